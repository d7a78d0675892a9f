"""A time in which no telemetry is published, as the broker ends the connection at it."""

import time
from collections.abc import Callable

PAUSE_S = 3600.0
"""Each attempt costs the device some connections; and an ACL is corrected by a person."""


class Pause:
    """Is looked at by whoever publishes telemetry."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends = clock()

    def begin(self) -> None:
        """The broker has ended connections at what was published."""
        self._ends = self._clock() + PAUSE_S

    @property
    def on(self) -> bool:
        """Whether nothing should be published now."""
        return self._clock() < self._ends
