"""A daily budget of disk writes for events, as an SD card wears out. Pure apart from its clock."""

import time
from collections.abc import Callable

WRITES_A_DAY = 500
_DAY_S = 86_400.0


class WriteBudget:
    """A token bucket of half a day's writes that refills at that rate, so that 24 hours see at most ``a_day`` writes.

    Attributes:
        left: writes that were allowed at once after the last update.
    """

    def __init__(self, a_day: int = WRITES_A_DAY, timer: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full bucket; ``timer`` is a monotonic clock."""
        self._most = a_day / 2
        self._timer = timer
        self._at = timer()
        self.left = self._most

    def resume(self, left: float, at: float, now: float) -> None:
        """Continue with the ``left`` writes that an earlier process saved at time ``at`` (seconds since the epoch)."""
        self._at = self._timer()
        self.left = self._gained(min(max(left, 0.0), self._most), max(0.0, now - at))

    def allows(self) -> bool:
        """Whether :meth:`take` would succeed."""
        return self._gained(self.left, self._timer() - self._at) >= 1

    def give_back(self) -> None:
        """Return the write that was taken last, as it failed."""
        self.left = min(self._most, self.left + 1)

    def take(self) -> bool:
        """Take one write from the budget; False if none is left."""
        now = self._timer()
        self.left = self._gained(self.left, now - self._at)
        self._at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def _gained(self, left: float, seconds: float) -> float:
        return min(self._most, left + seconds / _DAY_S * self._most)
