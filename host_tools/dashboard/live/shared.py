"""Shares the work for a view among its readers: fifty tabs of one view cost as much as one."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

import anyio

from host_tools.dashboard.live.parts import Parts

EVERY_S = 1.0
_MOST_SHARE = 0.1
"""Share of the time spent on making the parts of one view; a large fleet's parts are made less often."""
Make: TypeAlias = Callable[[], Awaitable[Parts]]


class Made(NamedTuple):
    """Parts that are valid for a while.

    Attributes:
        revision: revision of the fleet that they show.
        holds_s: how long they are used before they are made again.
    """

    parts: Parts
    revision: int
    holds_s: float


class Shared:
    """The parts of each open view; ``clock``: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._views: dict[str, _View] = {}

    @property
    def open(self) -> int:
        """The number of readers of all views."""
        return sum(one.watchers for one in self._views.values())

    @contextmanager
    def watching(self, name: str) -> Iterator["_View"]:
        """The view with that name, which includes its query, while the block runs."""
        view = self._views.setdefault(name, _View(self._clock))
        view.watchers += 1
        try:
            yield view
        finally:
            view.watchers -= 1
            if not view.watchers:
                self._views.pop(name, None)


class _View:
    def __init__(self, clock: Callable[[], float]) -> None:
        self.watchers = 0
        self._clock = clock
        self._turn = anyio.Lock()
        self._made = Made({}, -1, 0.0)
        self._made_at = float("-inf")

    async def made(self, revision: int, make: Make) -> Made:
        """The parts of ``revision``, or of an older one that is still valid."""
        async with self._turn:
            if self._clock() - self._made_at >= self._made.holds_s:
                began = self._clock()
                parts = await make()
                self._made_at = self._clock()
                self._made = Made(parts, revision, max(EVERY_S, (self._made_at - began) / _MOST_SHARE))
            return self._made
