"""The daemon's time: the system clock, but never before what is known to have passed.

A Pi without a battery boots in the past, and expiry must not be fooled by it. So there is a floor: this build's time,
the last synchronised time that was seen or saved, and the newest ``created`` of a verified manifest. What others say
cannot lock the device out: ``created`` moves the floor at most to a day beyond the synchronised time, and not at all
while the clock was never synchronised; only synchronised time is saved. A floor that is wrong all the same (a time
server that lied) is taken back by :meth:`Clock.reset`.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agent.state.durable import write_durably
from edge_agent.state.kernel_clock import synchronised
from edge_agent.wire.timestamps import MAX_TIME, rfc3339

SAVE_EVERY_S = 3600.0
AHEAD_S = 86_400.0
"""How far beyond the synchronised time a manifest's ``created`` is believed."""


class Clock:
    """The daemon's time; its floor is kept in ``path`` across boots."""

    def __init__(self, path: Path, is_synchronised: Callable[[], bool] = synchronised) -> None:
        """``is_synchronised`` tells whether the system clock is synchronised now."""
        self._path = path
        self._is_synchronised = is_synchronised
        self._build = min(Path(__file__).stat().st_mtime, MAX_TIME)
        self._saved = self._floor = max(self._build, _read(path))
        self._synchronised_at: tuple[float, float] | None = None
        """The last synchronised time that was seen, and when (monotonic seconds)."""

    def now(self) -> float:
        """Seconds since the epoch; never before the floor, never beyond what a timestamp can say."""
        return min(max(time.time(), self._floor), MAX_TIME)

    def seen(self, created: float) -> None:
        """A verified document was created then, so it is at least that late, as far as that can be believed."""
        self.look()
        if self._synchronised_at is not None:
            at, then = self._synchronised_at
            self._floor = max(self._floor, min(created, at + time.monotonic() - then + AHEAD_S))

    def look(self) -> None:
        """Note the system clock, if it is synchronised."""
        if self._is_synchronised():
            now = min(time.time(), MAX_TIME)
            self._synchronised_at = now, time.monotonic()
            self._floor = max(self._floor, now)

    def save(self, *, force: bool = False) -> None:
        """Keep a synchronised time for the next boot; at most once an hour, for the SD card's sake."""
        self.look()
        if self._synchronised_at is None:
            return
        latest = self._synchronised_at[0]
        if latest - self._saved >= (0 if force else SAVE_EVERY_S):
            self._saved = latest
            with contextlib.suppress(OSError):  # a full disk costs precision at the next boot, no more
                write_durably(self._path, f"{latest:.0f}".encode())

    def reset(self) -> None:
        """Take the floor back to this build's time: what was seen and saved was wrong."""
        self._path.unlink(missing_ok=True)
        self._saved = self._floor = self._build
        self._synchronised_at = None

    @property
    def plausible(self) -> bool:
        """Whether the system clock is at least as late as what is known to have happened already."""
        return time.time() >= self._floor

    def told(self) -> str:
        """What an operator must know of a document that is refused for its time: this clock, and where it is from."""
        if self.plausible:
            return f"this device's clock says {rfc3339(self.now(), timespec='seconds')}"
        return (
            f"this device takes it to be {rfc3339(self._floor, timespec='seconds')} at least; its system clock says "
            f"{rfc3339(time.time(), timespec='seconds')}; run edge-agent clock --reset there if that one is right"
        )

    def as_dict(self) -> dict[str, Any]:
        """What ``edge-agent clock`` shows."""
        return {
            "time": rfc3339(self.now(), timespec="seconds"),
            "system": rfc3339(time.time(), timespec="seconds"),
            "floor": rfc3339(self._floor, timespec="seconds"),
            "synchronised": self._is_synchronised(),
        }


def _read(path: Path) -> float:
    """The time that was saved; 0.0: none, or none that can be."""
    try:
        saved = float(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0
    return saved if 0.0 <= saved <= MAX_TIME else 0.0
