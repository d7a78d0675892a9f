"""The daemon's time: the system clock, but never earlier than a floor.

A Pi without a clock battery boots in the past, and expired documents must not become valid again. The floor is the
latest of three times: this build's time, the last synchronised time, and the newest ``created`` of a verified manifest.

A manifest cannot lock the device out. ``created`` moves the floor at most one day beyond the synchronised time, and not
at all before the first synchronisation. Only synchronised time is saved. :meth:`Clock.reset` lowers a floor that is
still wrong, for example after a time server gave a wrong time.
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
"""The most seconds by which a manifest's ``created`` may lie beyond the synchronised time."""


class Clock:
    """The daemon's time; the file at ``path`` stores its floor across boots."""

    def __init__(self, path: Path, is_synchronised: Callable[[], bool] = synchronised) -> None:
        """``is_synchronised`` returns whether the system clock is synchronised now."""
        self._path = path
        self._is_synchronised = is_synchronised
        self._build = min(Path(__file__).stat().st_mtime, MAX_TIME)
        self._saved = self._floor = max(self._build, _read(path))
        self._synchronised_at: tuple[float, float] | None = None
        """The last synchronised time, and the monotonic seconds at which it was read."""

    def now(self) -> float:
        """Seconds since the epoch; never before the floor, never beyond the latest valid timestamp."""
        return min(max(time.time(), self._floor), MAX_TIME)

    def seen(self, created: float) -> None:
        """Raise the floor to the creation time of a verified document, within ``AHEAD_S``."""
        self.look()
        if self._synchronised_at is not None:
            at, then = self._synchronised_at
            self._floor = max(self._floor, min(created, at + time.monotonic() - then + AHEAD_S))

    def look(self) -> None:
        """Record the system time if the clock is synchronised."""
        if self._is_synchronised():
            now = min(time.time(), MAX_TIME)
            self._synchronised_at = now, time.monotonic()
            self._floor = max(self._floor, now)

    def save(self, *, force: bool = False) -> None:
        """Save a synchronised time for the next boot; at most once an hour, to spare the SD card."""
        self.look()
        if self._synchronised_at is None:
            return
        latest = self._synchronised_at[0]
        if latest - self._saved >= (0 if force else SAVE_EVERY_S):
            self._saved = latest
            with contextlib.suppress(OSError):  # a full disk only makes the floor less precise at the next boot
                write_durably(self._path, f"{latest:.0f}".encode())

    def reset(self) -> None:
        """Lower the floor to this build's time and discard every later time."""
        self._path.unlink(missing_ok=True)
        self._saved = self._floor = self._build
        self._synchronised_at = None

    @property
    def plausible(self) -> bool:
        """Whether the system clock is not before the floor."""
        return time.time() >= self._floor

    def told(self) -> str:
        """A clause about this clock, for the message that rejects a document because of its time."""
        if self.plausible:
            return f"this device's clock says {rfc3339(self.now(), timespec='seconds')}"
        return (
            f"this device knows that it is at least {rfc3339(self._floor, timespec='seconds')}; its system clock says "
            f"{rfc3339(time.time(), timespec='seconds')}; if that is right, run edge-agent clock --reset there"
        )

    def as_dict(self) -> dict[str, Any]:
        """The output of ``edge-agent clock``."""
        return {
            "time": rfc3339(self.now(), timespec="seconds"),
            "system": rfc3339(time.time(), timespec="seconds"),
            "floor": rfc3339(self._floor, timespec="seconds"),
            "synchronised": self._is_synchronised(),
        }


def _read(path: Path) -> float:
    """The saved time; 0.0 if there is none or it is invalid."""
    try:
        saved = float(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0
    return saved if 0.0 <= saved <= MAX_TIME else 0.0
