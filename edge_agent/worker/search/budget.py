"""The time of one search: what is left of it, and whether something more fits in."""

import time


class Budget:
    """Seconds that a search may take, from now on.

    Attributes:
        seconds: all of them.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left_s(self) -> float:
        """Seconds that are left; below zero when it is over."""
        return self._end - time.monotonic()

    def leaves(self, share: float, seconds: float = 0.0) -> bool:
        """Whether more than ``share`` of it is left when another ``seconds`` are over; below 0: time on top of it."""
        return self.left_s() - seconds > self.seconds * share
