"""How often somebody may try to log in: a few at once, then one now and then. Pure but for its clock.

Counted by address, and over all addresses: a name is no key, as anybody could then lock the operator out.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 5
EVERY_S: Final = 30.0
"""After so long one more may be tried from an address."""
IN_ALL_AT_ONCE: Final = 60
IN_ALL_EVERY_S: Final = 1.0
_MOST_ADDRESSES = 1000


class Attempts:
    """A bucket of tries for each address, and one for all of them. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        """Address → when its bucket is full again."""
        self._all_due = 0.0

    def wait_s(self, address: str) -> float:
        """Note a try, and return 0; or the seconds after which one may be made, and note none."""
        now = self._clock()
        with self._lock:
            wait = max(
                _wait(self._due.get(address, 0.0), now, AT_ONCE, EVERY_S),
                _wait(self._all_due, now, IN_ALL_AT_ONCE, IN_ALL_EVERY_S),
            )
            if wait <= 0:
                self._due[address] = max(now, self._due.pop(address, 0.0)) + EVERY_S
                self._all_due = max(now, self._all_due) + IN_ALL_EVERY_S
                if len(self._due) > _MOST_ADDRESSES:
                    del self._due[next(iter(self._due))]
            return max(0.0, wait)

    def succeeded(self, address: str) -> None:
        """The one who tried is known: what went wrong before does not count."""
        with self._lock:
            self._due.pop(address, None)


def _wait(due: float, now: float, at_once: int, every_s: float) -> float:
    """Seconds until a bucket that is full again at ``due`` has one in it."""
    return due - now - (at_once - 1) * every_s
