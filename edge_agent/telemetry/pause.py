"""A pause in publishing telemetry, after the broker has closed connections because of it."""

import time
from collections.abc import Callable

PAUSE_S = 3600.0
"""Each attempt costs the device some connections, and a person has to correct the ACL first."""


class Pause:
    """Shared by all publishers of telemetry, which check :attr:`on` first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends = clock()

    def begin(self) -> None:
        """Start the pause: the broker closes connections because of what is published."""
        self._ends = self._clock() + PAUSE_S

    @property
    def on(self) -> bool:
        """Whether publishing is paused now."""
        return self._clock() < self._ends
