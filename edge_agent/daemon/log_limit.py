"""Keeps the log readable and small: whoever may write to a topic may provoke a line with every message.

Each place in the code that logs may do so freely a few times, then at a steady, slow pace. What was left out is counted
and said with the next line of that place. The daemon's log goes to an SD card.
"""

import logging
import threading
import time
from collections.abc import Callable

from edge_agent.printable import printable_lines

BURST = 20
EVERY_S = 10.0
"""After a burst, one line so often."""


class LogLimit(logging.Filter):
    """A filter for a handler; also makes each line printable."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._places: dict[tuple[str, int], tuple[float, float, int]] = {}
        """Place → lines that it may still write, as of when, and how many it could not."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line may be written; it then says how many like it were not."""
        place, now = (record.pathname, record.lineno), self._clock()
        with self._lock:
            left, since, dropped = self._places.get(place, (float(BURST), now, 0))
            left = min(float(BURST), left + (now - since) / EVERY_S)
            allowed = left >= 1
            self._places[place] = (left - 1, now, 0) if allowed else (left, now, dropped + 1)
        if allowed:
            more = f" ({dropped} lines like this were left out)" if dropped else ""
            record.msg, record.args = printable_lines(record.getMessage()) + more, ()
        return allowed
