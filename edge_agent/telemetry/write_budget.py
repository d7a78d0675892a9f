"""How often a day events may be put on the disk: an SD card wears out. Pure but for the clock that it is given."""

import time
from collections.abc import Callable

WRITES_A_DAY = 500
_DAY_S = 86_400.0


class WriteBudget:
    """A bucket of half a day's writes that gains as many a day, so that no 24 hours see more than ``a_day``.

    Attributes:
        left: writes that may be done at once, as of the last one.
    """

    def __init__(self, a_day: int = WRITES_A_DAY, timer: Callable[[], float] = time.monotonic) -> None:
        """Begin full; ``timer`` is not set back."""
        self._most = a_day / 2
        self._timer = timer
        self._at = timer()
        self.left = self._most

    def resume(self, left: float, at: float, now: float) -> None:
        """Go on with what an earlier process has left ``at`` a time, both times in seconds since the epoch."""
        self._at = self._timer()
        self.left = self._gained(min(max(left, 0.0), self._most), max(0.0, now - at))

    def allows(self) -> bool:
        """Whether :meth:`take` would."""
        return self._gained(self.left, self._timer() - self._at) >= 1

    def give_back(self) -> None:
        """The write that was taken last did not come about."""
        self.left = min(self._most, self.left + 1)

    def take(self) -> bool:
        """Whether one more write is allowed now."""
        now = self._timer()
        self.left = self._gained(self.left, now - self._at)
        self._at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def _gained(self, left: float, seconds: float) -> float:
        return min(self._most, left + seconds / _DAY_S * self._most)
