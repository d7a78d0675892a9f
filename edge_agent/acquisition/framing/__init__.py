"""Framings: decode samples from bytes that arrive in arbitrary pieces. Pure; one file per framing.

A decoder starts in the middle of a stream, finds the beginning of a sample, and synchronizes again after noise or lost
bytes. It counts and drops everything that it cannot decode: a sample is complete, with every channel in its place, or
it is dropped.

* ``decimals``: lines of decimals, in any of the ``dialects`` of firmware, or labelled ``one_a_line``
* ``json_lines``: one JSON document per line
* ``cobs``: binary records in COBS frames
* ``sync``: binary records after a sync word, with a checksum
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Samples = NDArray[np.float32]


class Decoder(Protocol):
    """Decodes bytes to rows of numbers."""

    unit: str
    """The unit of a sample on the wire: ``line``, ``frame``."""
    wanted: str
    """The expected content of a unit: ``3 decimals``."""

    @property
    def malformed(self) -> int:
        """Number of dropped samples."""
        ...

    @property
    def example(self) -> str:
        """A dropped sample, printable and shortened, and its fault; may be empty."""
        ...

    def restart(self) -> None:
        """Resynchronize after an interruption of the stream."""
        ...

    def feed(self, data: bytes) -> Numbers:
        """Return the rows ``[n, columns]`` that ended in ``data``; n may be 0."""
        ...


def to_samples(numbers: NDArray[Any]) -> Samples:
    """Convert to float32; numbers that are too large become Inf, which the quality check refuses by name."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)
