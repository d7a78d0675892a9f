"""The time of one search: what is left of it, and whether something more fits in."""

import math
import time

_LEAST_S, _MOST_S = 60.0, 900.0
_OF_STAGE = 0.5
"""The part of what a device gives a stage ([limits] stage_timeout_s) that a search takes where the recipe names no
seconds: one that is cut off leaves nothing."""
_FITTING = 0.7
"""The part that a budget may be at most, as what follows may take a third on top."""
_FLOAT_PASSES = 40
SCREENING_SHARE = 1 / 3
"""Of the budget, after which a screening measures nothing new: what is screened is to be scored."""
_OVERRUN_SHARE = 1 / 3
_LEAST_OVERRUN_S = 20.0
"""However small the budget: so that one candidate of a small model is always tried, and its speed proved."""


def budget_s(asked_s: float, float_pass_s: float, stage_timeout_s: float) -> float:
    """The seconds of a search, as far as the stage has time for them.

    Args:
        asked_s: by the recipe; 0: 40 float passes, at least 60 s, and at most 900 s and half of the stage.
        float_pass_s: of one float pass over the calibration windows.
        stage_timeout_s: after which the stage is ended; 0: never.
    """
    if asked_s:
        return min(asked_s, _most(_FITTING, stage_timeout_s))
    return min(max(_LEAST_S, _FLOAT_PASSES * float_pass_s), _MOST_S, _most(_OF_STAGE, stage_timeout_s))


def more(seconds: float, stage_timeout_s: float) -> str:
    """What to set for twice the budget, or for as much as the stage has time for."""
    most = math.floor(_most(_FITTING, stage_timeout_s)) if stage_timeout_s else math.inf
    if seconds < most:
        return f"[recipe] search_budget_s = {min(2 * seconds, most):g}"
    limit = _stage_for(2 * seconds)
    return f"[recipe] search_budget_s = {2 * seconds:g} with [limits] stage_timeout_s = {limit} on the device"


def shortened(asked_s: float, stage_timeout_s: float) -> str:
    """A warning where the stage has no time for the seconds that the recipe names; else empty."""
    given = _most(_FITTING, stage_timeout_s)
    if asked_s <= given:
        return ""
    return (
        f"[recipe] search_budget_s = {asked_s:g} is more than a stage has time for on this device: the search had "
        f"{given:g} s; for more set [limits] stage_timeout_s = {_stage_for(asked_s)} there"
    )


def _stage_for(seconds: float) -> int:
    """The smallest limit of a stage that has time for such a budget."""
    return math.ceil(seconds / _FITTING - 1e-6)


def _most(part: float, stage_timeout_s: float) -> float:
    return part * stage_timeout_s if stage_timeout_s else math.inf


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

    def extend(self, seconds: float) -> None:
        """Give back seconds that something else has taken meanwhile."""
        self._end += seconds

    def left_s(self) -> float:
        """Seconds that are left; below zero when it is over."""
        return self._end - time.monotonic() - max(0.0, self._kept_s - self._overrun_s)

    def leaves(self, share: float, seconds: float = 0.0) -> bool:
        """Whether more than ``share`` of it is left when another ``seconds`` are over; below 0: time on top of it."""
        return self.left_s() - seconds > self.seconds * share

    def allows(self, seconds: float) -> bool:
        """Whether a first candidate that takes ``seconds`` can be tried, however late it is, and what follows it."""
        return seconds + self._kept_s < self._overrun_s + max(self._end - time.monotonic(), 0.0)
