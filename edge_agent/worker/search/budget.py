"""The time budget of one search: the time left, and whether one more step fits."""

import math
import time

_LEAST_S, _MOST_S = 60.0, 900.0
_OF_STAGE = 0.5
"""The part of the stage's time limit ([limits] stage_timeout_s) that a search takes if the recipe sets no budget. It
leaves a reserve because a stage that times out has no result."""
_FITTING = 0.7
"""The largest part of the stage's time limit for a budget, because the steps after it may take a third on top."""
_FLOAT_PASSES = 40
SCREENING_SHARE = 1 / 3
"""The part of the budget after which a screening measures nothing new, so that there is time to score."""
_OVERRUN_SHARE = 1 / 3
_LEAST_OVERRUN_S = 20.0
"""The smallest overrun, so that one candidate of a small model is always tried and its speed proved."""


def budget_s(asked_s: float, float_pass_s: float, stage_timeout_s: float) -> float:
    """The seconds of a search, limited by the time of the stage.

    Args:
        asked_s: the budget in the recipe; 0: 40 float passes, at least 60 s, at most 900 s and half of the stage.
        float_pass_s: seconds of one float pass over the calibration windows.
        stage_timeout_s: time limit of the stage; 0: none.
    """
    if asked_s:
        return min(asked_s, _most(_FITTING, stage_timeout_s))
    return min(max(_LEAST_S, _FLOAT_PASSES * float_pass_s), _MOST_S, _most(_OF_STAGE, stage_timeout_s))


def more(seconds: float, stage_timeout_s: float) -> str:
    """The settings for twice the budget, or for as much as the stage has time for."""
    most = math.floor(_most(_FITTING, stage_timeout_s)) if stage_timeout_s else math.inf
    if seconds < most:
        return f"[recipe] search_budget_s = {min(2 * seconds, most):g}"
    limit = _stage_for(2 * seconds)
    return f"[recipe] search_budget_s = {2 * seconds:g} with [limits] stage_timeout_s = {limit} on the device"


def shortened(asked_s: float, stage_timeout_s: float) -> str:
    """A warning if the recipe's budget exceeds the time of the stage; else empty."""
    given = _most(_FITTING, stage_timeout_s)
    if asked_s <= given:
        return ""
    return (
        f"[recipe] search_budget_s = {asked_s:g} exceeds the time that a stage may take on this device: the search "
        f"had {given:g} s; for more, set [limits] stage_timeout_s = {_stage_for(asked_s)} there"
    )


def _stage_for(seconds: float) -> int:
    """The smallest stage_timeout_s that leaves time for a budget of ``seconds``."""
    return math.ceil(seconds / _FITTING - 1e-6)


def _most(part: float, stage_timeout_s: float) -> float:
    return part * stage_timeout_s if stage_timeout_s else math.inf


class Budget:
    """The seconds that a search may take, from now on.

    Attributes:
        seconds: the whole budget.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._overrun_s = max(seconds * _OVERRUN_SHARE, _LEAST_OVERRUN_S)
        self._kept_s = 0.0

    def keep(self, seconds: float) -> None:
        """Reserve seconds for the steps after the search; only the part beyond the allowed overrun shortens it."""
        self._kept_s = seconds

    def extend(self, seconds: float) -> None:
        """Give back seconds that something else has taken meanwhile."""
        self._end += seconds

    def left_s(self) -> float:
        """The seconds left; negative when the budget is spent."""
        return self._end - time.monotonic() - max(0.0, self._kept_s - self._overrun_s)

    def leaves(self, share: float, seconds: float = 0.0) -> bool:
        """Whether more than ``share`` of the budget is left after ``seconds`` more; a negative share allows overrun."""
        return self.left_s() - seconds > self.seconds * share

    def allows(self, seconds: float) -> bool:
        """Whether a first candidate that takes ``seconds``, and the steps after it, still fit, however late it is."""
        return seconds + self._kept_s < self._overrun_s + max(self._end - time.monotonic(), 0.0)
