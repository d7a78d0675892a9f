"""Recordings: files that are replayed as a sensor. One module per format.

* ``arrays``: ``.npz``
* ``table``: ``.csv`` and other tables of text
* ``sound``: ``.wav``
* ``pictures``: a folder of images
* ``formats``: detects the format of a file
* ``naming``: matches the operator's names with the channels of a file

A faulty file raises one of :data:`BROKEN`, with the fault in its message.
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
    TypeError,  # rate_hz or channels of a wrong shape
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,  # an encrypted member, or a compression that this Python lacks
    tokenize.TokenError,  # numpy parses a header as Python
    SyntaxError,
)
"""The exceptions of reading a faulty file."""


class Unreadable(ValueError):  # noqa: N818  # about a file, with advice
    """A file that cannot be read as a recording; the message gives the place, the reason, and advice."""


class Recording(Protocol):
    """An open recording.

    Attributes:
        names: names of the channels; empty if the file has none.
        columns: number of channels.
        rate_hz: samples per second; None if the file does not state the rate.
        rate_said_by: the place in the file that states the rate.
        length: number of samples.
        window_size: 0: one stream; else the size of its independent windows in samples.
        frame_shape: ``()`` for numbers (float32), ``(height, width)`` for pictures (uint8).
        at_once: number of samples to take at a time, to save memory.
        malformed: number of malformed samples so far.
        malformed_example: the first of them, and its fault; empty if there is none, or it cannot be shown.
        breaks: indices, ascending, of samples before which others are missing.
        findings: findings about the recording.
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
        """Return samples ``[n, *frame_shape, columns]``; n < ``count`` at the end, or if some are malformed."""
        ...

    def close(self) -> None:
        """Close its files; may be called twice."""
        ...


class Unbroken:
    """Common attributes of recordings without time stamps."""

    malformed_example = ""
    rate_said_by = ""
    breaks: Sequence[int] = ()
    findings: Sequence[StreamFinding] = ()


def numbers_only(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Return ``array``; raise ``Unreadable`` if it contains no numbers."""
    if array.dtype.kind not in "fiu" or not array.size:
        raise Unreadable(f"{what} contains no numbers; save numbers of one shape and type")
    return array
