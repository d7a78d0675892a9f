"""Framings: bytes that come off a wire in arbitrary pieces become samples. Pure; one file per framing.

A decoder starts in the middle of a stream, finds where a sample begins, and finds it again after noise or lost bytes.
What it cannot understand it counts and drops: a sample is whole and its channels are in their places, or it is none.

* ``decimals``: lines of decimals, in any of the ``dialects`` of firmware, or labelled ``one_a_line``
* ``json_lines``: one JSON document a line
* ``cobs``: binary records in COBS frames
* ``sync``: binary records behind a sync word, with a checksum
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Samples = NDArray[np.float32]


class Decoder(Protocol):
    """Feed it bytes; it gives rows of numbers."""

    unit: str
    """What a sample is on the wire: ``line``, ``frame``."""
    wanted: str
    """What each should have been: ``3 decimals``."""

    @property
    def malformed(self) -> int:
        """Samples that were dropped."""
        ...

    @property
    def example(self) -> str:
        """One of them, printable and cut, and what is wrong with it; may be empty."""
        ...

    def restart(self) -> None:
        """The stream was interrupted: look for the beginning of a sample anew."""
        ...

    def feed(self, data: bytes) -> Numbers:
        """The rows ``[n, columns]`` that ended in ``data``; n may be 0."""
        ...


def to_samples(numbers: NDArray[Any]) -> Samples:
    """As float32; what that cannot hold is Inf, which quality refuses by name."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)
