"""Another client by this device's id, as of a cloned card: each ends the other's connection by its own.

The link waits longer and longer between its attempts, so each of the two is reachable for a while. Here is remembered
what to say of it while we are: until the connection has stood for so long that the other one must be gone.
"""

import time
from collections.abc import Callable

GONE_AFTER_S = 600.0
"""Longer than any delay of a link."""


class Twins:
    """``say`` is told why there seems to be another client by our id, and ``""`` once it seems to be gone."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._ended_at: float | None = None

    def disconnected(self, twin: str) -> None:
        """A connection ended; ``twin``: why another client is believed to have done it, empty: it is not."""
        if twin:
            self._ended_at = self._clock()
            self._say(twin)

    def tick(self) -> None:
        """Time has passed."""
        if self._ended_at is not None and self._clock() - self._ended_at > GONE_AFTER_S:
            self._ended_at = None
            self._say("")
