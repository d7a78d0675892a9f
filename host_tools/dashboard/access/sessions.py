"""Login sessions: a random cookie per browser, kept in memory, so that a restart logs everybody out."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from host_tools.dashboard.access.viewer import Viewer

LONGEST_S: Final = 12 * 3600.0
IDLE_S: Final = 2 * 3600.0
MOST: Final = 1000
"""Sessions at once; one more ends the session that was used longest ago."""
_TOKEN_BYTES = 32


@dataclass(slots=True)
class _Session:
    viewer: Viewer
    began: float
    used: float


class Sessions:
    """Cookie → person. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _Session] = {}

    def begin(self, viewer: Viewer) -> str:
        """A new cookie for a person who has just logged in."""
        now, cookie = self._clock(), new_cookie()
        with self._lock:
            if len(self._open) >= MOST:
                del self._open[min(self._open, key=lambda one: self._open[one].used)]
            self._open[cookie] = _Session(viewer, now, now)
        return cookie

    def viewer(self, cookie: str, *, used: bool = True) -> Viewer | None:
        """The person with this cookie, or None; ``used``: a person did something, which resets the idle time."""
        now = self._clock()
        with self._lock:
            session = self._open.get(cookie)
            if session is None:
                return None
            if now - session.began > LONGEST_S or now - session.used > IDLE_S:
                del self._open[cookie]
                return None
            if used:
                session.used = now
            return session.viewer

    def end(self, cookie: str) -> None:
        """End the session."""
        with self._lock:
            self._open.pop(cookie, None)


def new_cookie() -> str:
    """A random value that nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)
