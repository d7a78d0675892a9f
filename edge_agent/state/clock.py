"""A clock that never goes backwards: a Pi without a battery boots in the past, and expiry must not be fooled by it.

Time is the largest of the system clock, the last time saved, this build's time, and the newest verified ``created``.
"""

import contextlib
import time
from pathlib import Path

from edge_agent.state.durable import write_durably

SAVE_EVERY_S = 3600.0


class Clock:
    """The daemon's time, kept in ``path`` across boots."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._floor = Path(__file__).stat().st_mtime
        with contextlib.suppress(OSError, ValueError):
            self._floor = max(self._floor, float(path.read_text(encoding="ascii")))
        self._saved = self._floor
        self._last = 0.0

    def now(self) -> float:
        """Seconds since the epoch; never less than before."""
        self._last = max(time.time(), self._floor, self._last)
        return self._last

    def seen(self, created: float) -> None:
        """A verified document was created then, so it is at least that late."""
        self._floor = max(self._floor, created)

    def save(self, *, force: bool = False) -> None:
        """Keep the time for the next boot; at most once an hour, for the SD card's sake."""
        now = self.now()
        if force or now - self._saved >= SAVE_EVERY_S:
            self._saved = now
            with contextlib.suppress(OSError):  # a full disk costs precision at the next boot, no more
                write_durably(self._path, f"{now:.0f}".encode())

    @property
    def plausible(self) -> bool:
        """Whether the system clock is at least as late as what is known to have happened already."""
        return time.time() >= self._floor
