"""A rate limit for actions that an outsider can trigger: a burst at once, then a steady rate."""

import time
from collections.abc import Callable


class Allowance:
    """A token bucket of ``burst`` tokens that refills by ``per_s`` per second. For one thread."""

    def __init__(self, per_s: float, burst: int, timer: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._timer = timer
        self._left = float(burst)
        self._at = timer()

    def take(self) -> bool:
        """Take a token; False if none is left."""
        now = self._timer()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
