"""Reads the numbered lines of a text file piece by piece.

The encoding is UTF-8 or UTF-16, with or without a byte order mark; anything else is read as Latin-1, in which every
byte is a character. Lines end with LF, CR LF or CR. A file compressed by gzip is decompressed.

Comments begin with ``#``, ``//`` or ``%``, at the beginning of a line or after its fields. A spreadsheet's error value
(``#N/A``) is not a comment.
"""

import codecs
import gzip
import io
import re
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

from edge_agent.acquisition.recordings import Unreadable
from edge_agent.acquisition.shown import shown

_HEAD_BYTES = 1 << 16
_MAX_LINE = 1 << 20
_BLOCK = 1024
_GZIP = b"\x1f\x8b"
COMMENTS = ("#", "//", "%")
_SPREADSHEETS = r"#(?:N/A|NA\b|VALUE!|DIV/0!|REF!|NAME\?|NUM!|NULL!)"
_COMMENT = re.compile(rf"\s*(?:(?!{_SPREADSHEETS})#|//|%)", re.IGNORECASE)
_BEHIND = re.compile(rf"[\s,;|](?:(?!{_SPREADSHEETS})#|//|%(?!\s*(?:[,;|\t]|$)))", re.IGNORECASE)
"""The percent sign of ``40 %`` is a unit, not a comment."""


class Line(NamedTuple):
    """A line without its end, and its number from 1."""

    number: int
    text: str

    def __str__(self) -> str:
        """Return the line as messages quote it."""
        return f"line {self.number} ({shown(self.text)})"

    @property
    def comment(self) -> bool:
        """Whether it is a comment."""
        return _COMMENT.match(self.text) is not None

    @property
    def row(self) -> str:
        """The line without a trailing comment; a comment mark within quotes does not count."""
        if any(mark in self.text for mark in COMMENTS):
            for found in _BEHIND.finditer(self.text):
                if self.text.count('"', 0, found.start()) % 2 == 0:
                    return self.text[: found.start()]
        return self.text


def blocks(path: Path) -> Iterator[list[Line]]:
    """Yield nonblank lines in blocks of about a thousand; raise ``OSError``, ``Unreadable`` for an endless line."""
    with io.TextIOWrapper(_open(path), encoding=encoding_of(path), errors="replace") as file:
        numbers, block = count(1), []
        while text := file.readline(_MAX_LINE):
            number = next(numbers)
            if len(text) == _MAX_LINE and not text.endswith("\n"):
                raise Unreadable(f"line {number} has no end within {_MAX_LINE} characters; it is not a text table")
            if not text.isspace():
                block.append(Line(number, text.rstrip("\n")))
            if len(block) == _BLOCK:
                yield block
                block = []
        yield block


def first_lines(path: Path, number: int) -> list[Line]:
    """Return the first nonblank lines."""
    return list(islice((line for block in blocks(path) for line in block), number))


def encoding_of(path: Path) -> str:
    """Detect the file's encoding by its byte order mark or its first bytes."""
    with _open(path) as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head[1:2] == b"\0" != head[:1]:  # an ASCII character in two bytes
        return "utf-16-le"
    if head[:1] == b"\0" != head[1:2]:
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open the file, decompressed; raise ``OSError``, also on reading."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path) if packed else path.open("rb")
