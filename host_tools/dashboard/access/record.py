"""A log of logins and refusals: one sentence each, or a count when there are too many."""

import threading
import time
from collections.abc import Callable
from typing import Final

from edge_agent.printable import printable

AT_ONCE: Final = 30
EVERY_S: Final = 10.0
"""Interval after which one more sentence is allowed."""
_LONGEST = 300


class Record:
    """Passes sentences to ``say`` at a limited rate; thread-safe."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._due = 0.0
        self._left_out = 0

    def note(self, text: str) -> None:
        """Report a sentence; or count it, for the next one that is reported."""
        now = self._clock()
        with self._lock:
            if self._due - now > (AT_ONCE - 1) * EVERY_S:
                self._left_out += 1
                return
            self._due = max(now, self._due) + EVERY_S
            before, self._left_out = self._left_out, 0
        self._say(printable(text, _LONGEST) + (f" ({before} more before this)" if before else ""))
