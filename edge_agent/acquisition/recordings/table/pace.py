"""The rate and the gaps that time stamps tell of. Pure.

Even stamps (those of a sensor's own clock) are a period apart, and a step of one and a half periods has lost a sample;
the more they jitter, the longer a step must be. Stamps that come in batches (of a program that reads a buffer now and
then) tell the rate only on the average, and a gap only where the sensor would count as quiet: after a second, and five
samples' time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.monitored import QuietLimits

Times = NDArray[np.float64]
_EVEN_SHARE, _EVEN_BAND = 0.8, 0.5
_GAP_STEPS = 1.5
_JITTER_DEVIATIONS = 4
"""So far from the mean is one normally distributed step in thirty thousand."""
_TO_DEVIATION = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
_ROUND = 1e-3
"""A crystal is not surer than this, so 99.98 samples a second are 100."""


class Pace(NamedTuple):
    """What stamps say.

    Attributes:
        rate_hz: samples a second.
        longest_s: the longest step within which nothing is missing.
        period_s: after which the stamps begin anew, as those of times of day; 0: they do not.
    """

    rate_hz: float
    longest_s: float
    period_s: float = 0.0

    def breaks(self, times: Times) -> NDArray[np.int64]:
        """Places in ``times`` before which samples are missing: a step is too long, or leads back."""
        steps = np.diff(times)
        if self.period_s:
            steps = np.where(steps < -self.period_s / 2, steps + self.period_s, steps)
        return np.flatnonzero((steps > self.longest_s) | (steps < 0)) + 1


def pace_of(times: Times, period_s: float = 0.0) -> Pace | None:
    """What the first stamps of a recording, in seconds, say; None if that is nothing.

    Args:
        times: the stamps.
        period_s: after which they begin anew; 0: they do not.
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
    """The roundest number that is as near as a clock is right."""
    for digits in range(1, 7):
        near = float(f"{rate_hz:.{digits}g}")
        if abs(near - rate_hz) <= _ROUND * rate_hz:
            return near
    return rate_hz
