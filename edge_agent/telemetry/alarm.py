"""Rate limit for events about a condition that comes and goes. Pure."""

import math

AGAIN_AFTER_S = 3600.0


class Alarm:
    """Counts how often a condition begins; :meth:`note` returns the count when an event is due."""

    def __init__(self, again_after_s: float = AGAIN_AFTER_S) -> None:
        self._again_after_s = again_after_s
        self._is_on = False
        self._begun = 0
        self._reported_at = -math.inf

    def note(self, now_s: float, *, is_on: bool) -> int:
        """Record the condition's current state.

        Args:
            now_s: seconds of a monotonic clock.
            is_on: whether the condition holds, or has held at any time since the last call.

        Returns:
            How often the condition has begun since the last reported event, if an event is due now; otherwise 0.
        """
        if is_on and not self._is_on:
            self._begun += 1
        self._is_on = is_on
        if not self._begun or now_s - self._reported_at < self._again_after_s:
            return 0
        begun, self._begun, self._reported_at = self._begun, 0, now_s
        return begun


def times(message: str, begun: int) -> str:
    """The message, with the number of occurrences when the condition has begun more than once."""
    return message if begun == 1 else f"{message} ({begun} times since the last such event)"
