"""Limits the bytes written per day, since flash wears out. Pure.

There are two mechanisms. **Thinning** keeps the judging part unbiased: only a constant share of its segments, drawn at
random before they are examined, is offered to the sample. The share follows from the configuration alone (rate, places,
budget), never from data or time of day. So the thinned stream is a uniform sample of the stream, and a uniform sample
of it is one, too. The price of thinning is that the sample fills more slowly.

A **token bucket** enforces the limit, whatever the method requests. It holds half a day's budget and refills by the
same amount per day, so that no 24 hours exceed the budget; only a saved state may be written on credit. A killed
process forgets its spending since it last saved its state, which :mod:`.reservoir` keeps small. In the judging part the
bucket is only a safeguard: if it refuses, that moment is missing in the sample, and is counted. In the calibration
part, which has no statistics to protect, it is the only mechanism: it merely delays new segments.
"""

import math

_DAY_S = 86_400.0
_MARGIN = 0.9
"""The share of the budget to plan with, since acceptance is random."""


def thinning(places: int, stretches_a_day: float, writes_a_day: float) -> float:
    """Return the largest share of a stream that can be offered to a sample of ``places`` within its bucket.

    Of n segments offered in t days, the sample takes p * (1 + ln(n * t / p)) (Vitter 1985), and the bucket gives
    b/2 * (1 + t). The difference is largest at t = 2p/b, and not positive if n <= b/2 * exp(b / 2p).

    Args:
        places: places of the sample.
        stretches_a_day: segments of the stream per day.
        writes_a_day: permitted writes per day.
    """
    half = _MARGIN * writes_a_day / 2
    exponent = min(half / places, 50.0)
    return min(1.0, half / stretches_a_day * math.exp(exponent))


class Bucket:
    """The bytes that may be written now."""

    def __init__(self, bytes_a_day: float, now_s: float) -> None:
        """Start full at ``now_s`` of a monotonic clock."""
        self._most = bytes_a_day / 2
        self.level = self._most
        self._at = now_s

    def take(self, size: int, now_s: float, *, needs: float | None = None) -> bool:
        """Charge ``size`` bytes and return True if they may be written.

        Args:
            size: number of bytes.
            now_s: time of the same clock.
            needs: the required level, if other than ``size``: the rest is on credit.
        """
        self.level = min(self._most, self.level + max(0.0, now_s - self._at) / _DAY_S * self._most)
        self._at = now_s
        if self.level < (size if needs is None else needs):
            return False
        self.level -= size
        return True
