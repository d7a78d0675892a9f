"""The recent sampling rate, compared with the configured one. Pure: the caller supplies the time.

A process that reads for weeks must detect a slower sensor within a minute; a lifetime average would not show it.
"""

from collections import deque
from typing import Literal

from edge_agent.acquisition.arrivals import TOO_FAST, TOO_SLOW

_AFTER_S = 10.0
_WITHIN_S, _WITHIN_SAMPLES = 60.0, 100
_STEP_S = 1.0
_SLOW_NO_MORE, _FAST_NO_MORE = 0.85, 1.2
"""Hysteresis: a rate at the limit must not alternate between sound and wrong."""

Judgement = Literal["", "slow", "fast"]


class RecentRate:
    """Samples per second over about the last minute, or over the time of a hundred samples."""

    def __init__(self, rate_hz: float) -> None:
        self._within_s = max(_WITHIN_S, _WITHIN_SAMPLES / rate_hz)
        self._marks: deque[tuple[float, int]] = deque()
        """Time and total number of samples, about once per second."""
        self._samples = 0
        self._last = 0.0

    def hear(self, samples: int, now: float) -> None:
        """Count ``samples`` that arrived at ``now``, a monotonic time."""
        if not self._marks:  # the first samples may have waited for an unknown time, so they do not count
            self._marks.append((now, self._samples))
        else:
            self._samples += samples
            if now - self._marks[-1][0] >= _STEP_S:
                self._marks.append((now, self._samples))
        self._last = now
        while len(self._marks) > 1 and now - self._marks[1][0] >= self._within_s:
            self._marks.popleft()

    def interrupt(self) -> None:
        """Forget the samples before an interruption of the stream."""
        self._marks.clear()

    @property
    def rate_hz(self) -> float | None:
        """Samples per second; None until the stream has run for ten seconds."""
        if not self._marks or self._last - self._marks[0][0] < _AFTER_S:
            return None
        began, before = self._marks[0]
        return (self._samples - before) / (self._last - began)


def judge(seen_hz: float, rate_hz: float, before: Judgement) -> Judgement:
    """Compare ``seen_hz`` with the configured ``rate_hz``; ``before`` is the last judgement. Empty: sound."""
    if seen_hz < (_SLOW_NO_MORE if before == "slow" else TOO_SLOW) * rate_hz:
        return "slow"
    if seen_hz > (_FAST_NO_MORE if before == "fast" else TOO_FAST) * rate_hz:
        return "fast"
    return ""
