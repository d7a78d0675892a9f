"""The format of a buffer of Linux's industrial I/O: types such as ``le:s12/16>>4``, and offsets. Pure.

The kernel stores the enabled channels in the order of their ``index``. Each one is aligned to its own size, and the
whole sample to the largest (``Documentation/iio/iio_devbuf.rst``, ``iio_compute_scan_bytes``).
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TYPE = re.compile(r"(be|le):([su])(\d+)/(\d+)(?:X(\d+))?>>(\d+)")
_STORAGE_BITS = (8, 16, 32, 64)
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Element:
    """One number: the size of its storage word, and its bits in it."""

    big_endian: bool
    signed: bool
    bits: int
    storage_bits: int
    shift: int

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.storage_bits // 8

    def decode(self, raw: NDArray[np.uint64]) -> Numbers:
        """Return the numbers in storage words ``[n]``, which are already in the processor's byte order."""
        values = raw >> np.uint64(self.shift)
        spare = np.uint64(64 - self.bits)
        if self.signed:
            return ((values << spare).view(np.int64) >> spare.astype(np.int64)).astype(np.float64)
        return ((values << spare) >> spare).astype(np.float64)


def parse_type(text: str) -> Element:
    """Parse the content of a ``_type`` file; raise ``ValueError``."""
    found = _TYPE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()!r} is not a type such as le:s12/16>>4")
    order, sign, bits, storage, repeat, shift = found.groups()
    element = Element(order == "be", sign == "s", int(bits), int(storage), int(shift))
    if int(repeat or 1) != 1:
        raise ValueError(f"{text.strip()!r}: several numbers in one channel are not supported")
    if element.storage_bits not in _STORAGE_BITS or not 0 < element.bits <= element.storage_bits - element.shift:
        raise ValueError(f"{text.strip()!r}: {element.bits} bits shifted by {element.shift} do not fit")
    return element


class Scan:
    """The layout of one sample in the buffer.

    Attributes:
        size: bytes of a sample, padding included.
    """

    def __init__(self, elements: list[Element]) -> None:
        """Lay out the enabled channels, given in the order of their index."""
        self._elements = elements
        self._offsets, end = [], 0
        for element in elements:
            end = _aligned(end, element.size)
            self._offsets.append(end)
            end += element.size
        self.size = _aligned(end, max(element.size for element in elements))

    def decode(self, data: bytes) -> Numbers:
        """Return whole samples as ``[n, elements]``, before offset and scale."""
        scans = np.frombuffer(data, np.uint8).reshape(-1, self.size)
        return np.stack(
            [
                element.decode(_words(scans[:, at : at + element.size], element))
                for element, at in zip(self._elements, self._offsets, strict=True)
            ],
            axis=1,
        )


def _words(columns: NDArray[np.uint8], element: Element) -> NDArray[np.uint64]:
    order = ">" if element.big_endian else "<"
    words = np.ascontiguousarray(columns).view(f"{order}u{element.size}")
    return words.reshape(-1).astype(np.uint64)


def _aligned(offset: int, size: int) -> int:
    return -(-offset // size) * size
