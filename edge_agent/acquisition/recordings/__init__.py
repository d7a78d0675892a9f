"""Recordings: files that play a sensor. One file per format.

* ``arrays``: ``.npz``
* ``table``: ``.csv`` and other tables of text
* ``sound``: ``.wav``
* ``pictures``: a folder of images
* ``formats``: which of these a file is
* ``naming``: which of its channels are meant by the operator's names

What is wrong with a file is raised as one of :data:`BROKEN`, with what is wrong.
"""

import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.stream_findings import StreamFinding

Data = NDArray[np.float32] | NDArray[np.uint8]

BROKEN: tuple[type[BaseException], ...] = (
    OSError,
    ValueError,
    TypeError,  # rate_hz or channels of an unfit shape
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,  # an encrypted member, or a compression that this Python lacks
    tokenize.TokenError,  # numpy parses a header as Python
    SyntaxError,
)
"""What reading a broken file raises."""


class Unreadable(ValueError):  # noqa: N818  # a finding about a file, in words that say what to do
    """A file that cannot be read as a recording; the message says where, why, and what to do."""


class Recording(Protocol):
    """An open recording.

    Attributes:
        names: of the channels; empty if the file does not say.
        columns: how many channels there are.
        rate_hz: samples a second; None if the file does not say.
        rate_said_by: where in the file the rate was found.
        length: samples in it.
        window_size: 0: one stream; else it consists of independent windows of so many samples.
        frame_shape: ``()`` for numbers (float32), ``(height, width)`` for pictures (uint8).
        at_once: how many samples to take at a time, so that little memory is held.
        malformed: samples that could not be understood so far.
        malformed_example: the first of them, and what is wrong with it; empty if there is none, or it cannot be shown.
        breaks: samples, ascending, before which others are missing.
        findings: what is to be said of it.
    """

    names: list[str]
    columns: int
    rate_hz: float | None
    rate_said_by: str
    length: int
    window_size: int
    frame_shape: tuple[int, ...]
    at_once: int
    malformed: int
    malformed_example: str
    breaks: Sequence[int]
    findings: Sequence[StreamFinding]

    def take(self, start: int, count: int) -> Data:
        """Samples ``[n, *frame_shape, columns]``; n is less than ``count`` at the end, or by what is malformed."""
        ...

    def close(self) -> None:
        """Close its files; may be called twice."""
        ...


class Unbroken:
    """What is the same in recordings that have no time stamps."""

    malformed_example = ""
    rate_said_by = ""
    breaks: Sequence[int] = ()
    findings: Sequence[StreamFinding] = ()


def numbers_only(array: NDArray[Any], what: str) -> NDArray[Any]:
    """``array`` itself; raises ``Unreadable`` if it holds no numbers."""
    if array.dtype.kind not in "fiu" or not array.size:
        raise Unreadable(f"{what} holds no numbers; save numbers of one shape and type")
    return array
