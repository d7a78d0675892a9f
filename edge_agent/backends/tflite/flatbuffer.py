"""Reads flatbuffers of unknown origin: every offset is checked before it is followed, and the work is limited.

The flatbuffers package for Python has no verifier. On a broken file it follows any offset, and it accepts a vector that
claims two billion elements. Here, a table, vector or string outside the file raises :class:`Malformed`. Because parts
may share bytes, the whole walk is limited to ``MOST_PARTS``.

The format: https://flatbuffers.dev/internals/. All numbers are little-endian; offsets are relative to their own place.
"""

import struct
from collections.abc import Iterator
from mmap import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_PARTS = 400_000
"""Most parts in one file, such as numbers in small vectors; a model needs about 60 for each operator."""
_TABLE_PARTS = 4
_VTABLE_HEADER = 4
_BYTES_A_PART = 64

_SIZES = {"b": 1, "B": 1, "?": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8}


class Malformed(ValueError):  # noqa: N818  # describes the file, not a fault of this program
    """The bytes are not a flatbuffer of the expected kind."""


class File:
    """The bytes of a file, with the remaining work budget."""

    def __init__(self, data: bytes | mmap) -> None:
        self.data = data
        self._left = min(len(data), MOST_PARTS)

    def root(self, identifier: bytes) -> "Table":
        """The root table; raises :class:`Malformed` also if the file lacks ``identifier``."""
        if self.data[4:8] != identifier:
            raise Malformed(f"it is not marked {identifier.decode()}")
        return Table(self, self.follow(0))

    def number(self, kind: str, position: int) -> Any:
        """The number of the given :mod:`struct` kind at a position."""
        if position < 0 or position + _SIZES[kind] > len(self.data):
            raise Malformed("it ends too early")
        return struct.unpack_from("<" + kind, self.data, position)[0]

    def follow(self, position: int) -> int:
        """The target of the offset at a position."""
        return int(position + self.number("I", position))

    def spend(self, parts: int) -> None:
        """Count parts that are read; raises :class:`Malformed` above the limit."""
        self._left -= parts
        if self._left < 0:
            raise Malformed("it describes more parts than it has room for")


class Table:
    """A table; fields are read by slot, in the order of the schema."""

    __slots__ = ("_fields", "_file", "_position", "_vtable")

    def __init__(self, file: File, position: int) -> None:
        file.spend(_TABLE_PARTS)
        self._file = file
        self._position = position
        self._vtable = position - file.number("i", position)
        self._fields = max(0, (file.number("H", self._vtable) - _VTABLE_HEADER) // 2)

    def place(self, slot: int) -> int:
        """The field's position in the file; 0 if it is omitted."""
        if slot >= self._fields:
            return 0
        offset = self._file.number("H", self._vtable + _VTABLE_HEADER + 2 * slot)
        return self._position + int(offset) if offset else 0

    def number(self, slot: int, kind: str, default: int = 0) -> int:
        """A number; ``default`` if it is omitted."""
        place = self.place(slot)
        return int(self._file.number(kind, place)) if place else default

    def table(self, slot: int) -> "Table | None":
        """Another table, or None."""
        place = self.place(slot)
        return Table(self._file, self._file.follow(place)) if place else None

    def vector(self, slot: int, size: int) -> tuple[int, int]:
        """A vector of elements of ``size`` bytes: its start and its number of elements."""
        place = self.place(slot)
        if not place:
            return 0, 0
        start = self._file.follow(place)
        count = int(self._file.number("I", start))
        if start + 4 + count * size > len(self._file.data):
            raise Malformed("it ends too early")
        return start + 4, count

    def numbers(self, slot: int, kind: str) -> tuple[int, ...]:
        """A small vector of numbers."""
        start, count = self.vector(slot, _SIZES[kind])
        self._file.spend(count)
        return struct.unpack_from(f"<{count}{kind}", self._file.data, start)

    def array(self, slot: int, kind: np.dtype[Any]) -> NDArray[Any]:
        """A vector of numbers of any length."""
        start, count = self.vector(slot, kind.itemsize)
        self._file.spend(count * kind.itemsize // _BYTES_A_PART)
        return np.frombuffer(self._file.data, kind, count, start).copy() if count else np.empty(0, kind)

    def tables(self, slot: int) -> Iterator["Table"]:
        """A vector of tables."""
        start, count = self.vector(slot, 4)
        for index in range(count):
            yield Table(self._file, self._file.follow(start + 4 * index))

    def text(self, slot: int) -> str:
        """A string; empty if it is omitted."""
        start, count = self.vector(slot, 1)
        self._file.spend(count // _BYTES_A_PART)
        try:
            return self._file.data[start : start + count].decode()
        except UnicodeDecodeError:
            raise Malformed("a name in it is not valid text") from None
