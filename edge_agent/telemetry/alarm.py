"""A condition that comes and goes, told when it begins, and not too often. Pure."""

import math

AGAIN_AFTER_S = 3600.0


class Alarm:
    """Counts how often a condition begins; :meth:`note` says when that is to be told."""

    def __init__(self, again_after_s: float = AGAIN_AFTER_S) -> None:
        self._again_after_s = again_after_s
        self._is_on = False
        self._begun = 0
        self._told_at = -math.inf

    def note(self, now_s: float, *, is_on: bool) -> int:
        """Note how it is now.

        Args:
            now_s: of a clock that is not set back.
            is_on: whether the condition holds, or has held since it was noted last.

        Returns:
            How often it has begun since that was told last, if it is to be told now; else 0.
        """
        if is_on and not self._is_on:
            self._begun += 1
        self._is_on = is_on
        if not self._begun or now_s - self._told_at < self._again_after_s:
            return 0
        begun, self._begun, self._told_at = self._begun, 0, now_s
        return begun


def times(message: str, begun: int) -> str:
    """A sentence about something that has begun so often."""
    return message if begun == 1 else f"{message} ({begun} times since the last such event)"
