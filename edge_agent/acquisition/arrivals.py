"""The arrival times of samples, and their rate. Pure: the caller supplies the time.

Samples arrive in batches, later than they were taken. Each sample gets its own time. The newest sample of a batch has
the time of its arrival, and each earlier one is one period older, but never older than the previous batch.
"""

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
_RATE_AFTER_S = 1.0
TOO_SLOW, TOO_FAST = 0.8, 1.25
"""Multiples of ``rate_hz`` between which a measured rate counts as correct; below, samples are missing."""


class Arrivals:
    """The times of one source's samples.

    Attributes:
        times: times of the last batch's samples ``[n]``, in seconds of the monotonic clock, strictly ascending over all
            batches.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._last = -np.inf
        self._since: float | None = None
        self._samples = 0
        self.times: Times = np.empty(0)

    def hear(self, samples: int, now: float) -> None:
        """Record that ``samples`` (at least 1) arrived at ``now``."""
        newest = max(now, float(np.nextafter(self._last, np.inf)))
        times = newest - self._period_s * np.arange(samples - 1, -1, -1, dtype=np.float64)
        if times[0] <= self._last:
            # They were delayed: spread them over the time since the previous batch.
            newest = max(newest, self._last + samples * 1e-9)
            times = self._last + (newest - self._last) / samples * np.arange(1, samples + 1, dtype=np.float64)
        self._last, self.times = float(times[-1]), times
        if self._since is None:  # the first samples may have waited for an unknown time, so they do not count
            self._since, self._samples = now, 0
        else:
            self._samples += samples

    def interrupt(self) -> None:
        """Restart the measurement of the rate after an interruption of the stream."""
        self._since = None

    def rate_hz(self, after_s: float = _RATE_AFTER_S) -> float | None:
        """Return samples per second since the stream last started; None during the first ``after_s``."""
        if self._since is None or self._last - self._since < after_s:
            return None
        return self._samples / (self._last - self._since)
