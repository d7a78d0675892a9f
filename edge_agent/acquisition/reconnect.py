"""Attempts to reconnect at intervals, within the caller's time-out."""

import time

from edge_agent.retry.backoff import Backoff

_EVERY_S = 0.2


class Retry:
    """Decides when the next attempt is due; the first one is due at once."""

    def __init__(self, every_s: float = _EVERY_S) -> None:
        self._backoff = Backoff(every_s, every_s)
        self._at = 0.0

    def due(self, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` for the next attempt's time; return whether to try now."""
        time.sleep(max(0.0, min(self._at - time.monotonic(), timeout_s)))
        if time.monotonic() < self._at:
            return False
        self._at = time.monotonic() + self._backoff.failed()
        return True
