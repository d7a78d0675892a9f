"""Detects another client with this device's id, such as a cloned card: each one's connection ends the other's.

The link waits longer and longer between its attempts, so each of the two is reachable for a while. The finding is
reported until a connection has lasted so long that the other client must be gone.
"""

import time
from collections.abc import Callable

GONE_AFTER_S = 600.0
"""Longer than any delay between a link's attempts."""


class Twins:
    """``say`` gets the reason to believe in another client, and ``""`` once that client seems to be gone."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._ended_at: float | None = None

    def disconnected(self, twin: str) -> None:
        """Record the end of a connection; ``twin`` is the evidence for another client, empty if there is none."""
        if twin:
            self._ended_at = self._clock()
            self._say(twin)

    def tick(self) -> None:
        """Report that the other client is gone, once that is due."""
        if self._ended_at is not None and self._clock() - self._ended_at > GONE_AFTER_S:
            self._ended_at = None
            self._say("")
