"""How often samples come now, and whether that is what the operator says. Pure: the caller says what time it is.

A process that reads for weeks must see in a minute that a sensor has become slower; an average over its life would not.
"""

from collections import deque
from typing import Literal

from edge_agent.acquisition.arrivals import TOO_FAST, TOO_SLOW

_AFTER_S = 10.0
_WITHIN_S, _WITHIN_SAMPLES = 60.0, 100
_STEP_S = 1.0
_SLOW_NO_MORE, _FAST_NO_MORE = 0.85, 1.2
"""A rate at the limit itself must not be now sound, now not."""

Judgement = Literal["", "slow", "fast"]


class RecentRate:
    """Samples a second over about the last minute, or as long as a hundred samples take."""

    def __init__(self, rate_hz: float) -> None:
        self._within_s = max(_WITHIN_S, _WITHIN_SAMPLES / rate_hz)
        self._marks: deque[tuple[float, int]] = deque()
        """When so many samples had come: about once a second."""
        self._samples = 0
        self._last = 0.0

    def hear(self, samples: int, now: float) -> None:
        """``samples`` have arrived at ``now``, which does not go back."""
        if not self._marks:  # how long these had been waiting is not known, so they do not count
            self._marks.append((now, self._samples))
        else:
            self._samples += samples
            if now - self._marks[-1][0] >= _STEP_S:
                self._marks.append((now, self._samples))
        self._last = now
        while len(self._marks) > 1 and now - self._marks[1][0] >= self._within_s:
            self._marks.popleft()

    def interrupt(self) -> None:
        """The stream stopped: what came until here says nothing about what comes next."""
        self._marks.clear()

    @property
    def rate_hz(self) -> float | None:
        """Samples a second; None until the stream has been on for ten seconds."""
        if not self._marks or self._last - self._marks[0][0] < _AFTER_S:
            return None
        began, before = self._marks[0]
        return (self._samples - before) / (self._last - began)


def judge(seen_hz: float, rate_hz: float, before: Judgement) -> Judgement:
    """How ``seen_hz`` is beside what the operator says, ``rate_hz``; ``before`` is the last answer. Empty: sound."""
    if seen_hz < (_SLOW_NO_MORE if before == "slow" else TOO_SLOW) * rate_hz:
        return "slow"
    if seen_hz > (_FAST_NO_MORE if before == "fast" else TOO_FAST) * rate_hz:
        return "fast"
    return ""
