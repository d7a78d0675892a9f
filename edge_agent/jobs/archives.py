"""Exceptions that a damaged ``.npz`` raises, from the archive or from numpy's header of a member."""

import lzma
import tokenize
import zipfile
import zlib

DAMAGED = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    EOFError,
    NotImplementedError,  # a compression that this Python lacks
    RuntimeError,  # an encrypted member
    tokenize.TokenError,  # numpy parses a header as Python
    SyntaxError,
)
