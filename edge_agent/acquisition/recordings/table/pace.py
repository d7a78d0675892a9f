"""Derives the rate and the gaps of a recording from its time stamps. Pure.

Even stamps (from a sensor's own clock) are one period apart, and a step of one and a half periods means a lost sample;
with more jitter the step must be longer. Stamps in batches (from a program that reads a buffer at intervals) give the
rate only on average. They show a gap only where the sensor would count as quiet: after a second, and five samples'
time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.monitored import QuietLimits

Times = NDArray[np.float64]
_EVEN_SHARE, _EVEN_BAND = 0.8, 0.5
_GAP_STEPS = 1.5
_JITTER_DEVIATIONS = 4
"""Only one normally distributed step in thirty thousand is this far above the mean."""
_TO_DEVIATION = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
_ROUND = 1e-3
"""Tolerance for rounding: no crystal is more accurate, so 99.98 samples per second mean 100."""


class Pace(NamedTuple):
    """The rate and the regularity of time stamps.

    Attributes:
        rate_hz: samples per second.
        longest_s: the longest step without a missing sample.
        period_s: period after which the stamps wrap, such as a day for times of day; 0: they do not.
    """

    rate_hz: float
    longest_s: float
    period_s: float = 0.0

    def breaks(self, times: Times) -> NDArray[np.int64]:
        """Return the indices in ``times`` before which samples are missing: a step is too long, or backwards."""
        steps = np.diff(times)
        if self.period_s:
            steps = np.where(steps < -self.period_s / 2, steps + self.period_s, steps)
        return np.flatnonzero((steps > self.longest_s) | (steps < 0)) + 1


def pace_of(times: Times, period_s: float = 0.0) -> Pace | None:
    """Return the pace of the first stamps of a recording; None if they do not determine one.

    Args:
        times: the stamps in seconds.
        period_s: period after which they wrap; 0: they do not.
    """
    steps = np.diff(times)
    steps = steps[np.isfinite(steps) & (steps >= 0)]
    if not np.any(steps > 0):
        return None
    typical = float(np.median(steps))
    even = steps[np.abs(steps - typical) <= _EVEN_BAND * typical] if typical else steps[:0]
    if len(even) >= _EVEN_SHARE * len(steps):
        period = float(even.mean())
        deviation = _TO_DEVIATION * float(np.median(np.abs(steps - period)))
        return Pace(_rounded(1 / period), max(_GAP_STEPS * period, period + _JITTER_DEVIATIONS * deviation), period_s)
    rate_hz = len(steps) / float(steps.sum())
    return Pace(_rounded(rate_hz), QuietLimits.of(rate_hz, 0).dropout_s, period_s)


def _rounded(rate_hz: float) -> float:
    """Return the roundest number within the accuracy of a clock."""
    for digits in range(1, 7):
        near = float(f"{rate_hz:.{digits}g}")
        if abs(near - rate_hz) <= _ROUND * rate_hz:
            return near
    return rate_hz
