"""The time of one search: what is left of it, and whether something more fits in."""

import time

_LEAST_S, _MOST_S = 60.0, 900.0
"""At most half of what a device gives a stage ([limits] stage_timeout_s): a search that is cut off leaves nothing."""
_FLOAT_PASSES = 40
SCREENING_SHARE = 1 / 3
"""Of the budget, after which a screening measures nothing new: what is screened is to be scored."""
_OVERRUN_SHARE = 1 / 3
_LEAST_OVERRUN_S = 20.0
"""However small the budget: so that one candidate of a small model is always tried, and its speed proved."""


def default_s(float_pass_s: float) -> float:
    """The seconds of a search for which the recipe names none: 40 float passes, at least 60 s and at most 900 s."""
    return min(max(_LEAST_S, _FLOAT_PASSES * float_pass_s), _MOST_S)


class Budget:
    """Seconds that a search may take, from now on.

    Attributes:
        seconds: all of them.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._overrun_s = max(seconds * _OVERRUN_SHARE, _LEAST_OVERRUN_S)
        self._kept_s = 0.0

    def keep(self, seconds: float) -> None:
        """Keep seconds free for what follows the search, as far as it may not exceed the budget by them."""
        self._kept_s = seconds

    def left_s(self) -> float:
        """Seconds that are left; below zero when it is over."""
        return self._end - time.monotonic() - max(0.0, self._kept_s - self._overrun_s)

    def leaves(self, share: float, seconds: float = 0.0) -> bool:
        """Whether more than ``share`` of it is left when another ``seconds`` are over; below 0: time on top of it."""
        return self.left_s() - seconds > self.seconds * share

    def allows(self, seconds: float) -> bool:
        """Whether a first candidate that takes ``seconds`` can be tried, however late it is, and what follows it."""
        return seconds + self._kept_s < self._overrun_s + max(self._end - time.monotonic(), 0.0)
