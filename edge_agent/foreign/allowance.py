"""How often somebody else may have us do something: so much at once, and so much a second after that."""

import time
from collections.abc import Callable


class Allowance:
    """A bucket of ``burst`` that fills by ``per_s`` a second. For one thread."""

    def __init__(self, per_s: float, burst: int, timer: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._timer = timer
        self._left = float(burst)
        self._at = timer()

    def take(self) -> bool:
        """Whether once more is allowed now."""
        now = self._timer()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
