"""Progress over a known number of similar steps, with an estimate of the stage's remaining time."""

import time

from edge_agent.worker.context import Context


class Pace:
    """Reports progress after each step, from the fraction ``begin`` to the fraction ``end`` of the stage.

    The remaining time is that of the whole stage, at the pace of these steps. ``timed`` False: no time is reported,
    because fractions are not proportional to time. An example is a search whose number of candidates is unknown.
    """

    def __init__(
        self, context: Context, detail: str, total: int, *, begin: float, end: float, timed: bool = True
    ) -> None:
        self._context = context
        self._detail = detail
        self._total = max(total, 1)
        self._begin = begin
        self._end = end
        self._timed = timed
        self._since: tuple[float, int] | None = None
        """End time and number of the first steps. They include loading and warm-up, so the estimate ignores them."""

    def __call__(self, done: int) -> None:
        """Report that ``done`` of the steps are finished."""
        now = time.monotonic()
        begun, before = self._since = self._since or (now, done)
        left = None
        if self._timed and done > before:
            later = self._total * (1.0 - self._end) / (self._end - self._begin)
            left = (now - begun) / (done - before) * (self._total - done + later)
        fraction = self._begin + (self._end - self._begin) * min(done / self._total, 1.0)
        self._context.progress(fraction, f"{self._detail} ({done} of {self._total})", eta_s=left)
