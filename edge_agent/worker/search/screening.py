"""Screens model files for speed beside float: all of them in the same few processes, in every way they can be served.

A file on which a runtime crashes takes its process with it, so what fails together is halved until the culprits are
found, and the rest is screened without them. A file that one runtime refuses can still be served by another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.worker.measure.comparison import Screened, screen
from edge_agent.worker.measure.latency import Percentiles
from edge_agent.worker.measure.probe import Request, Served, ask
from edge_agent.worker.measure.runtimes import Way
from edge_agent.worker.search.policy import SAME_SPEED


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one file is, served in the way that suits it best.

    Attributes:
        way: that way.
        times: of one call.
        ratio: its time as a multiple of the fastest float's, at p50.
        ratio_same_way: the same against float in the same way.
    """

    way: Way
    times: Percentiles
    ratio: float
    ratio_same_way: float


class Screening:
    """Float and whatever is held against it.

    Attributes:
        float_way: the way in which float is fastest; found by the first screening and kept.
        float_times: float's in that way, of the last screening; None before the first.
    """

    def __init__(self, model: Path, feeds: Path, ways: Sequence[Way]) -> None:
        """Nothing is measured yet; ``ways``: what is preferred among equals first."""
        self._model = model
        self._feeds = feeds
        self._ways = ways
        self.float_way = ways[0]
        self.float_times: Percentiles | None = None

    def __call__(self, paths: Sequence[Path]) -> list[Speed | ModelError]:
        """The speed of each file, or why none of the ways can serve it.

        Raises:
            ModelError, StageError: float itself cannot be served.
            LimitError: not even one model alone fits into memory, or a call takes minutes.
        """
        items = [(path, way) for path in paths for way in self._ways]
        failed: dict[tuple[Path, Way], ModelError] = {}
        try:
            times = self._screened(items)
        except (ModelError, StageError):
            failed = self._culprits(items)
            items = [item for item in items if item not in failed]
            times = self._screened(items)
        floats = {way: times.pop((self._model, way)) for way in self._ways}
        if self.float_times is None:
            self.float_way = _fastest(floats, next(iter(floats.values())))
        self.float_times = floats[self.float_way].times
        found: list[Speed | ModelError] = []
        for path in paths:
            mine = {way: times[path, way] for way in self._ways if (path, way) in times}
            found.append(self._speed(mine, floats) if mine else failed[path, self._ways[0]])
        return found

    def _speed(self, mine: Mapping[Way, Screened], floats: Mapping[Way, Screened]) -> Speed:
        reference = floats[self.float_way]
        way = _fastest(mine, reference)
        return Speed(way, mine[way].times, mine[way].ratio(reference), mine[way].ratio(floats[way]))

    def _screened(self, items: Sequence[tuple[Path, Way]]) -> dict[tuple[Path, Way], Screened]:
        every = [*((self._model, way) for way in self._ways), *items]
        return dict(zip(every, screen([_served(*item) for item in every], self._feeds), strict=True))

    def _culprits(self, items: Sequence[tuple[Path, Way]]) -> dict[tuple[Path, Way], ModelError]:
        """Which of these cannot be loaded and run, and why."""
        try:
            models = [_served(*item) for item in items]
            ask(Request(feeds=str(self._feeds), models=models, rounds=1, min_rounds=1, seconds=0.0))
        except (ModelError, StageError, LimitError) as error:
            if len(items) > 1:
                middle = len(items) // 2
                return self._culprits(items[:middle]) | self._culprits(items[middle:])
            if isinstance(error, LimitError):
                raise
            crash = f"the runtime crashes on the int8 model: {error.message}"
            return {items[0]: ModelError("rewrite_invalid", crash) if isinstance(error, StageError) else error}
        return {}


def _served(path: Path, way: Way) -> Served:
    return Served(str(path), way.runtime, way.threads)


def _fastest(screened: Mapping[Way, Screened], reference: Screened) -> Way:
    """The first way of those that are as fast as the fastest."""
    ratios = {way: one.ratio(reference) for way, one in screened.items()}
    limit = min(ratios.values()) * (1 + SAME_SPEED)
    return next(way for way, ratio in ratios.items() if ratio <= limit)
