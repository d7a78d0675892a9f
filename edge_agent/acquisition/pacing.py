"""Samples at a steady rate: how many are due, and waiting until one is."""

import time

_COALESCE_S = 0.02
"""At high rates samples are waited for in batches of this length: waking up for each would cost more than they do."""


class Schedule:
    """Begins when it is first waited on."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._batch = max(1, int(rate_hz * _COALESCE_S))
        self._started: float | None = None
        self._taken = 0

    def wait(self, timeout_s: float) -> int:
        """Samples that are due and not yet taken, after waiting at most ``timeout_s`` for one; 0: none yet."""
        if self._started is None:
            self._started = time.monotonic()
        due_at = self._started + (self._taken + self._batch) / self._rate_hz
        time.sleep(max(0.0, min(due_at - time.monotonic(), timeout_s)))
        return max(0, int((time.monotonic() - self._started) * self._rate_hz) - self._taken)

    def take(self, samples: int) -> None:
        """So many of the due samples were taken, or are given up."""
        self._taken += samples
