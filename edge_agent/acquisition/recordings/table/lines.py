"""The lines of a text file, numbered, read piece by piece.

UTF-8 and UTF-16 with or without a byte order mark; what is neither is read as Latin-1, in which every byte is a letter.
Lines end with LF, CR LF or CR. A file that gzip has compressed is read as what it holds.

Comments begin with ``#``, ``//`` or ``%``, at a line's beginning or behind its fields. What a spreadsheet writes for a
number that it has not (``#N/A``) is none.
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
"""``40 %`` is no comment but a unit."""


class Line(NamedTuple):
    """A line without its end, and its number from 1."""

    number: int
    text: str

    def __str__(self) -> str:
        """As messages name it."""
        return f"line {self.number} ({shown(self.text)})"

    @property
    def comment(self) -> bool:
        """Whether it is a comment."""
        return _COMMENT.match(self.text) is not None

    @property
    def row(self) -> str:
        """It without a comment behind it; within quotes there is none."""
        if any(mark in self.text for mark in COMMENTS):
            for found in _BEHIND.finditer(self.text):
                if self.text.count('"', 0, found.start()) % 2 == 0:
                    return self.text[: found.start()]
        return self.text


def blocks(path: Path) -> Iterator[list[Line]]:
    """Lines that are not blank, about a thousand at a time; raises ``OSError``, ``Unreadable`` for an endless line."""
    with io.TextIOWrapper(_open(path), encoding=encoding_of(path), errors="replace") as file:
        numbers, block = count(1), []
        while text := file.readline(_MAX_LINE):
            number = next(numbers)
            if len(text) == _MAX_LINE and not text.endswith("\n"):
                raise Unreadable(f"line {number} has no end within {_MAX_LINE} characters; it is no table of text")
            if not text.isspace():
                block.append(Line(number, text.rstrip("\n")))
            if len(block) == _BLOCK:
                yield block
                block = []
        yield block


def first_lines(path: Path, number: int) -> list[Line]:
    """The first lines that are not blank."""
    return list(islice((line for block in blocks(path) for line in block), number))


def encoding_of(path: Path) -> str:
    """The file's encoding, by its mark or by its first bytes."""
    with _open(path) as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head[1:2] == b"\0" != head[:1]:  # a letter of ASCII in two bytes
        return "utf-16-le"
    if head[:1] == b"\0" != head[1:2]:
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """The file's bytes, unpacked; raises ``OSError``, as its reading does."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path) if packed else path.open("rb")
