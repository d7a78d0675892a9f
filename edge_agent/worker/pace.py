"""Progress over a known number of like steps, with the time that is left of the stage."""

import time

from edge_agent.worker.context import Context


class Pace:
    """Call it after each step; it moves the stage from ``begin`` to ``end`` (fractions) and estimates what is left.

    What is left is of the stage, at the pace of these steps. ``timed`` is False where fractions do not go with time, as
    in a search, whose number of candidates nobody knows: then no time is told.
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
        """When the first steps were done, and how many; they load and warm up, so they say nothing of the rest."""

    def __call__(self, done: int) -> None:
        """Say that ``done`` of the steps are done."""
        now = time.monotonic()
        begun, before = self._since = self._since or (now, done)
        left = None
        if self._timed and done > before:
            later = self._total * (1.0 - self._end) / (self._end - self._begin)
            left = (now - begun) / (done - before) * (self._total - done + later)
        fraction = self._begin + (self._end - self._begin) * min(done / self._total, 1.0)
        self._context.progress(fraction, f"{self._detail} ({done} of {self._total})", eta_s=left)
