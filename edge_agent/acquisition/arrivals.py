"""When samples came: a time for each of them, and how many a second. Pure: the caller says what time it is.

Samples arrive in batches, later than they were taken. Each gets a time of its own: the newest of a batch that of its
arrival, those before it one period earlier each; but never before the batch that came before.
"""

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
_RATE_AFTER_S = 1.0
TOO_SLOW, TOO_FAST = 0.8, 1.25
"""Between these multiples of ``rate_hz`` a measured rate is what the operator says; below, samples are missing."""


class Arrivals:
    """The times of one source's samples.

    Attributes:
        times: of the samples of the last batch ``[n]``, in seconds of the monotonic clock, strictly ascending over
            all batches.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._last = -np.inf
        self._since: float | None = None
        self._samples = 0
        self.times: Times = np.empty(0)

    def hear(self, samples: int, now: float) -> None:
        """``samples`` (at least 1) have arrived at ``now``."""
        newest = max(now, float(np.nextafter(self._last, np.inf)))
        times = newest - self._period_s * np.arange(samples - 1, -1, -1, dtype=np.float64)
        if times[0] <= self._last:
            # They waited somewhere: spread them over the time since the batch before.
            newest = max(newest, self._last + samples * 1e-9)
            times = self._last + (newest - self._last) / samples * np.arange(1, samples + 1, dtype=np.float64)
        self._last, self.times = float(times[-1]), times
        if self._since is None:  # how long these had been waiting is not known, so they do not count
            self._since, self._samples = now, 0
        else:
            self._samples += samples

    def interrupt(self) -> None:
        """The stream stopped: what comes next says nothing about the rate until here."""
        self._since = None

    def rate_hz(self, after_s: float = _RATE_AFTER_S) -> float | None:
        """Samples a second since the stream last began; None before it has been heard for ``after_s``."""
        if self._since is None or self._last - self._since < after_s:
            return None
        return self._samples / (self._last - self._since)
