"""How much may be written a day: flash wears. Pure.

Two means. **Thinning** keeps the judging part honest: of its stretches only a constant share, drawn at random before
anything is looked at, is offered to the sample at all. The share follows from configuration alone (rate, places,
budget), never from data or time of day, so the thinned stream is a uniform sample of the stream, and a uniform sample
of that is one too. What thinning costs is patience: the sample fills more slowly.

A **token bucket** holds the line, whatever the method asks for. It holds half a day's budget and gains as much a day,
so that no 24 hours see more than the budget; only a saved state may be written on credit. A process that is killed
forgets what it spent since it last saved its state, and :mod:`.reservoir` sees to it that this is little. In the
judging part the bucket is there for bad luck only: where it refuses, time just then is missing in the sample, and that
is counted. In the calibration part, which has no statistics to lose, it is the only means: what is new comes in a
little later.
"""

import math

_DAY_S = 86_400.0
_MARGIN = 0.9
"""The share of the budget that is planned for; acceptance is random."""


def thinning(places: int, stretches_a_day: float, writes_a_day: float) -> float:
    """The largest share of a stream that may be offered so that a sample of ``places`` never exceeds its bucket.

    Of n stretches offered in t days, the sample takes p * (1 + ln(n * t / p)) (Vitter 1985), and the bucket gives
    b/2 * (1 + t). The difference is largest at t = 2p/b, and not positive if n <= b/2 * exp(b / 2p).

    Args:
        places: that the sample has.
        stretches_a_day: that there are.
        writes_a_day: that are allowed.
    """
    half = _MARGIN * writes_a_day / 2
    exponent = min(half / places, 50.0)
    return min(1.0, half / stretches_a_day * math.exp(exponent))


class Bucket:
    """Bytes that may be written now."""

    def __init__(self, bytes_a_day: float, now_s: float) -> None:
        """Begin full at ``now_s`` of a clock that is not set back."""
        self._most = bytes_a_day / 2
        self.level = self._most
        self._at = now_s

    def take(self, size: int, now_s: float, *, needs: float | None = None) -> bool:
        """Whether ``size`` bytes may be written, which are then counted.

        Args:
            size: bytes.
            now_s: of the same clock as ever.
            needs: the level from which on they may, if another than ``size``: the rest is on credit.
        """
        self.level = min(self._most, self.level + max(0.0, now_s - self._at) / _DAY_S * self._most)
        self._at = now_s
        if self.level < (size if needs is None else needs):
            return False
        self.level -= size
        return True
