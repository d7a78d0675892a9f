"""The interface of a source to its readers, and a base class for live sources.

A source is pulled: it reads only on request, and counts the interruptions before the samples that it returns.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.arrivals import Arrivals
from edge_agent.acquisition.stream_findings import StreamFinding
from edge_agent.errors import SourceError

RATE_KEY = "rate_hz"
"""The usual origin of a source's rate: a key of its table."""
Samples = NDArray[np.float32]
Frames = NDArray[np.uint8]


class EndOfSource(SourceError):  # noqa: N818  # an end, not a fault
    """A recording was read to its end."""

    def __init__(self, message: str) -> None:
        super().__init__("source_lost", message)


class Source(Protocol):
    """An open sensor."""

    channels: tuple[str, ...]
    rate_hz: float
    """Samples per second, as configured or as reported by the device."""
    silence_s: float
    """How long it may send nothing before it counts as silent or lost."""
    live: bool
    """True: the outside sets the pace, and no sample is repeated. False: a recording, which restarts on opening."""
    window_size: int
    """0: one stream of samples; else the size of independent windows in samples, one after another."""
    frame_shape: tuple[int, ...]
    """Shape of a sample in each channel: ``()`` a number (float32), ``(height, width)`` a picture (uint8)."""
    length: int
    """Number of samples in a recording; 0 for a live source."""
    repeats: bool
    """Whether a recording restarts at its end."""
    malformed: int
    """Number of samples dropped as malformed."""
    gaps: int
    """Number of interruptions: samples are missing before the next one."""
    arrivals: Arrivals
    """The times of the samples of the last read, and the measured rate."""

    @property
    def trouble(self) -> str:
        """A clause on why no samples arrive, if the reason is known; else empty."""
        ...

    def read(self, timeout_s: float) -> Samples | Frames | None:
        """Return the arrived samples ``[n, *frame_shape, channels]``, n >= 1; None if none arrive in ``timeout_s``.

        Raises:
            EndOfSource: there are no more samples.
        """
        ...

    def close(self) -> None:
        """Release the sensor; may be called twice."""
        ...


def malformed_example(source: Source) -> str:
    """Return a malformed sample of ``source``, and its fault; empty if it shows none.

    A kind of another package may lack the attribute.
    """
    return str(getattr(source, "malformed_example", ""))


def rate_said_by(source: Source) -> str:
    """Return the origin of the rate of ``source``: the key ``rate_hz``, or another place.

    A kind of another package may lack the attribute.
    """
    return str(getattr(source, "rate_said_by", RATE_KEY))


def source_findings(source: Source) -> Sequence[StreamFinding]:
    """Return the findings of ``source`` itself; a kind of another package may lack the attribute ``findings``."""
    found: Sequence[StreamFinding] = getattr(source, "findings", ())
    return found


class Stream:
    """The defaults of live sensors; a kind overrides what differs."""

    live = True
    window_size = 0
    frame_shape: tuple[int, ...] = ()
    length = 0
    repeats = False

    def __init__(self, channels: list[str], rate_hz: float, silence_s: float) -> None:
        self.channels = tuple(channels)
        self.rate_hz = rate_hz
        self.silence_s = silence_s
        self.gaps = 0
        self.arrivals = Arrivals(rate_hz)

    def interrupt(self) -> None:
        """Record that samples are missing before the next one."""
        self.gaps += 1
        self.arrivals.interrupt()
