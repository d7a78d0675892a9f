"""Limits the log's rate, as anybody who may write to a topic could cause a line with every message.

Each logging statement may write a burst of lines, then a few at a steady rate. Its next line reports how many were left
out. The daemon's log goes to an SD card.
"""

import logging
import threading
import time
from collections.abc import Callable

from edge_agent.printable import printable_lines

BURST = 20
EVERY_S = 10.0
"""Interval between two lines after the burst."""


class LogLimit(logging.Filter):
    """A filter for a handler; it also escapes unprintable characters in each line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._places: dict[tuple[str, int], tuple[float, float, int]] = {}
        """Place → lines left in its burst, time of that count, lines left out."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line may be written; it then also reports how many similar lines were left out."""
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
