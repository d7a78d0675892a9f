"""A schedule for samples at a steady rate: waits for the next one, and counts those that are due."""

import time

_COALESCE_S = 0.02
"""Duration of a batch at high rates: waking up for each sample would cost more than the sample itself."""


class Schedule:
    """A schedule that starts with the first wait."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._batch = max(1, int(rate_hz * _COALESCE_S))
        self._started: float | None = None
        self._taken = 0

    def wait(self, timeout_s: float) -> int:
        """Wait at most ``timeout_s`` for a sample, and return the number that are due and not taken; 0: none yet."""
        if self._started is None:
            self._started = time.monotonic()
        due_at = self._started + (self._taken + self._batch) / self._rate_hz
        time.sleep(max(0.0, min(due_at - time.monotonic(), timeout_s)))
        return max(0, int((time.monotonic() - self._started) * self._rate_hz) - self._taken)

    def take(self, samples: int) -> None:
        """Record that ``samples`` of the due samples were taken or skipped."""
        self._taken += samples
