"""One binary sample: numbers in a ``struct`` layout, followed by a checksum. Pure.

``layout`` is a format of Python's ``struct`` with its byte order first: ``"<6h"`` is six little-endian int16,
``"<Ixx3f"`` a uint32, two bytes of padding and three float32. The checksum covers the record and has its byte order.
"""

import binascii
import struct
import zlib
from collections.abc import Callable
from typing import Literal, NamedTuple

from edge_agent.strict import counted

Check = Literal["none", "sum8", "crc16-ccitt-false", "crc16-xmodem", "crc32"]
_MAX_BYTES = 4096
_INTEGERS = "bBhHiIlLqQ"


class _Sum(NamedTuple):
    size: int
    of: Callable[[bytes], int]


_SUMS: dict[str, _Sum] = {
    "none": _Sum(0, lambda _: 0),
    "sum8": _Sum(1, lambda data: sum(data) & 0xFF),
    "crc16-ccitt-false": _Sum(2, lambda data: binascii.crc_hqx(data, 0xFFFF)),
    "crc16-xmodem": _Sum(2, lambda data: binascii.crc_hqx(data, 0)),
    "crc32": _Sum(4, zlib.crc32),
}
"""Polynomials and initial values are those of the CRC catalogue under these names."""


class Record:
    """The binary format of a sample.

    Attributes:
        size: bytes of the numbers and the checksum.
        first_modulus: the value at which the first number wraps if it is a counter: 256 for a uint8; 0 for floats.
    """

    def __init__(self, layout: str, columns: int, check: Check) -> None:
        """Parse ``layout``; raise ``ValueError`` with its fault."""
        if layout[:1] not in ("<", ">"):
            raise ValueError(f"layout {layout!r} must begin with its byte order, < (little-endian) or >")
        if set(layout[1:]) - set(_INTEGERS + "efdx0123456789 "):
            raise ValueError(f"layout {layout!r} must contain only {_INTEGERS}efd for numbers and x for padding")
        try:
            self._struct = struct.Struct(layout)
        except struct.error as error:
            raise ValueError(f"layout {layout!r}: {error}; write it in the format of Python's struct") from None
        if not 0 < self._struct.size <= _MAX_BYTES:
            raise ValueError(f"layout {layout!r} has {self._struct.size} bytes and must have 1 to {_MAX_BYTES}")
        values = self._struct.unpack(bytes(self._struct.size))
        if len(values) != columns:
            raise ValueError(
                f"layout {layout!r} has {counted(len(values), 'number')} and must have {columns} (channels and counter)"
            )
        self._check = _SUMS[check]
        self._order: Literal["little", "big"] = "little" if layout[0] == "<" else "big"
        self.size = self._struct.size + self._check.size
        first = next(letter for letter in layout[1:] if letter.isalpha() and letter != "x")
        self.first_modulus = 256 ** struct.calcsize("<" + first) if first in _INTEGERS else 0

    def decode(self, data: bytes) -> tuple[float, ...] | None:
        """Return the numbers in ``data``; None if its length or checksum is wrong."""
        if len(data) != self.size:
            return None
        body = data[: self._struct.size]
        if self._check.of(body) != int.from_bytes(data[self._struct.size :], self._order):
            return None
        return self._struct.unpack(body)

    def why_malformed(self, data: bytes) -> str:
        """Return the fault of ``data`` for which :meth:`decode` returns None, and what to do."""
        if len(data) != self.size:
            return f"it has {len(data)} bytes, not {self.size}; correct layout and check"
        body, behind = data[: self._struct.size], data[self._struct.size :]
        right = self._check.of(body).to_bytes(self._check.size, self._order)
        return f"its checksum is {behind.hex(' ')}, but its numbers give {right.hex(' ')}; correct check or layout"
