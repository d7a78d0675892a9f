"""What a source is to whoever reads it, and what most live ones have in common.

A source is pulled: it reads when it is asked to, and says of what it returns whether it follows on what came before.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.arrivals import Arrivals
from edge_agent.acquisition.stream_findings import StreamFinding
from edge_agent.errors import SourceError

RATE_KEY = "rate_hz"
"""What mostly says a source's rate: a key of its table."""
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
    """Samples a second, as the operator or the device says."""
    silence_s: float
    """How long it may send nothing before it counts as silent or lost."""
    live: bool
    """True: the world sets the pace and nothing comes twice. False: a recording, which begins anew when opened."""
    window_size: int
    """0: one stream of samples; else independent windows of this many samples, one after another."""
    frame_shape: tuple[int, ...]
    """What a sample is in each channel: ``()`` a number (float32), ``(height, width)`` a picture (uint8)."""
    length: int
    """Samples in a recording; 0: this is none."""
    repeats: bool
    """Whether a recording begins again at its end."""
    malformed: int
    """Samples that were dropped because they could not be understood."""
    gaps: int
    """How often the stream was interrupted, so that the next sample does not follow on the last."""
    arrivals: Arrivals
    """The times of the samples of the last read, and how many come a second."""

    @property
    def trouble(self) -> str:
        """A clause on why nothing comes, as far as is known; else empty."""
        ...

    def read(self, timeout_s: float) -> Samples | Frames | None:
        """Samples ``[n, *frame_shape, channels]``, n >= 1, that have arrived; None if nothing did in ``timeout_s``.

        Raises:
            EndOfSource: there will be no more.
        """
        ...

    def close(self) -> None:
        """Let the sensor go; may be called twice."""
        ...


def malformed_example(source: Source) -> str:
    """A sample of ``source`` that could not be understood, and why; empty where it shows none.

    A kind of another package need not have the attribute.
    """
    return str(getattr(source, "malformed_example", ""))


def rate_said_by(source: Source) -> str:
    """Who says the rate of ``source``: the key ``rate_hz``, or what else it was found in.

    A kind of another package need not have the attribute.
    """
    return str(getattr(source, "rate_said_by", RATE_KEY))


def source_findings(source: Source) -> Sequence[StreamFinding]:
    """What ``source`` has to say of itself; a kind of another package need not have the attribute ``findings``."""
    found: Sequence[StreamFinding] = getattr(source, "findings", ())
    return found


class Stream:
    """What is the same in most live sensors; a kind says what is not."""

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
        """The next sample does not follow on the last."""
        self.gaps += 1
        self.arrivals.interrupt()
