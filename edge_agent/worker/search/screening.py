"""Screens model files for speed beside float: all files with all serving options in the same few processes.

A file that crashes a runtime ends its process. A failing group is therefore halved until the culprits are found, and
the rest is screened without them. A file that one runtime refuses can still be served by another.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.worker.measure.asking import ask
from edge_agent.worker.measure.comparison import SCREENINGS, Screened, screen
from edge_agent.worker.measure.latency import Percentiles
from edge_agent.worker.measure.question import Request, Served
from edge_agent.worker.measure.runtimes import ServingOption
from edge_agent.worker.search.policy import SAME_SPEED

_SHARE = 0.5
"""The part of a memory limit for all models of one screening; this process needs the rest."""
_MOST_BYTES = 512 << 20
"""The largest memory of one screening: all candidates of a model with large activations would take gigabytes."""


def room_for_models(memory_bytes: int) -> int:
    """The memory for models that are measured together, under a limit of ``memory_bytes``; 0: no limit."""
    return int(memory_bytes * _SHARE)


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed of one file.

    Attributes:
        option: the serving option in which it is fastest.
        times: percentiles of one call.
        ratio: its time as a multiple of the fastest float's, at p50.
        ratio_same_option: the same against float with the same serving option.
    """

    option: ServingOption
    times: Percentiles
    ratio: float
    ratio_same_option: float


class Screening:
    """Screens files against float.

    Attributes:
        float_option: the serving option in which float is fastest, according to the first screening.
        float_times: float's times in that option, in the last screening; None before the first.
        most_bytes: memory limit for the models of one process.
    """

    def __init__(
        self,
        model: Path,
        feeds: Path,
        options: Sequence[ServingOption],
        memory_bytes: int = 0,
        seconds: float = math.inf,
    ) -> None:
        """Measure nothing yet.

        Args:
            model: the float model.
            feeds: one row (:func:`edge_agent.worker.measure.feeds.write_feeds`).
            options: the serving options; the first of equally fast ones is preferred.
            memory_bytes: memory limit of this process and its children; 0: no limit.
            seconds: time after which a screening starts nothing new.
        """
        self._model = model
        self._feeds = feeds
        self._options = options
        self._seconds = seconds
        self.most_bytes = min(room_for_models(memory_bytes) or _MOST_BYTES, _MOST_BYTES)
        self.float_option = options[0]
        self.float_times: Percentiles | None = None
        self._failed: dict[tuple[Path, ServingOption], ModelError] = {}

    def __call__(self, paths: Sequence[Path], processes: int = SCREENINGS) -> list[Speed | ModelError | None]:
        """The speed of each file, or its error if it cannot be served; None if time was up, but never for the first.

        Args:
            paths: the files.
            processes: the number of processes; with a single one the ratios may spread by :data:`.policy.COARSE`.

        Raises:
            ModelError, StageError: float itself cannot be served.
            LimitError: float alone does not fit into memory, or a call of it takes minutes.
        """
        items = [(path, option) for option in self._options for path in paths]  # one runtime often refuses several
        items = [item for item in items if item not in self._failed]
        begun = time.monotonic()
        try:
            times = self._screened(items, processes, self._seconds)
        except (
            ModelError,
            StageError,
            LimitError,
        ):  # a crash does not name its file, nor does a refusal across several groups
            self._failed |= self._culprits(items)
            items = [item for item in items if item not in self._failed]
            times = self._screened(items, processes, self._seconds - (time.monotonic() - begun))
        floats = {option: times.pop((self._model, option)) for option in self._options}
        if self.float_times is None:
            self.float_option = _fastest(floats, next(iter(floats.values())))
        self.float_times = floats[self.float_option].times
        found: list[Speed | ModelError | None] = []
        for path in paths:
            mine = {option: times[path, option] for option in self._options if (path, option) in times}
            found.append(self._speed(mine, floats) if mine else self._failed.get((path, self._options[0])))
        return found

    def _speed(self, mine: Mapping[ServingOption, Screened], floats: Mapping[ServingOption, Screened]) -> Speed:
        reference = floats[self.float_option]
        option = _fastest(mine, reference)
        return Speed(option, mine[option].times, mine[option].ratio(reference), mine[option].ratio(floats[option]))

    def refusal(self, path: Path, option: ServingOption) -> ModelError | None:
        """Load and run a file in another process; return the error, or None if it works."""
        return self._culprits([(path, option)]).get((path, option))

    def _screened(
        self, items: Sequence[tuple[Path, ServingOption]], processes: int, seconds: float
    ) -> dict[tuple[Path, ServingOption], Screened]:
        every = [*((self._model, option) for option in self._options), *items]
        models = [_served(*item) for item in every]
        references = len(self._options)
        times = screen(
            models,
            self._feeds,
            processes=processes,
            references=references,
            most_bytes=self.most_bytes,
            seconds=seconds,
            tolerant=True,
        )
        found: dict[tuple[Path, ServingOption], Screened] = {}
        for place, (item, one) in enumerate(zip(every, times, strict=False)):
            if isinstance(one, Screened):
                found[item] = one
            elif place < references:
                raise one
            else:
                self._failed[item] = one
        return found

    def _culprits(self, items: Sequence[tuple[Path, ServingOption]]) -> dict[tuple[Path, ServingOption], ModelError]:
        """The items that cannot be loaded and run, with their errors; as many at a time as fit into memory."""
        if not items:
            return {}
        try:
            refused, called = self._called(items)
        except (ModelError, StageError, LimitError) as error:
            if len(items) > 1:
                middle = len(items) // 2
                return self._culprits(items[:middle]) | self._culprits(items[middle:])
            if isinstance(error, LimitError):
                return {items[0]: ModelError(error.code, f"served alone, {error.message}")}
            crash = f"the runtime crashes on the int8 model: {error.message}"
            return {items[0]: ModelError("rewrite_invalid", crash) if isinstance(error, StageError) else error}
        return refused | self._culprits(items[called:])

    def _called(
        self, items: Sequence[tuple[Path, ServingOption]]
    ) -> tuple[dict[tuple[Path, ServingOption], ModelError], int]:
        """The errors among the first items that fit into one process, and the number of items tried."""
        request = Request(
            feeds=str(self._feeds),
            models=[_served(*item) for item in items],
            rounds=1,
            min_rounds=1,
            seconds=0.0,
            most_bytes=self.most_bytes,
            fewest=1,
            tolerant=True,
        )
        answer = ask(request)
        refused = {items[one.place]: ModelError(one.code, one.message) for one in answer.refused}
        return refused, len(answer.times_ms) + len(refused)


def _served(path: Path, option: ServingOption) -> Served:
    return Served(str(path), option.runtime, option.threads)


def _fastest(screened: Mapping[ServingOption, Screened], reference: Screened) -> ServingOption:
    """The first serving option that is as fast as the fastest."""
    ratios = {option: one.ratio(reference) for option, one in screened.items()}
    limit = min(ratios.values()) * (1 + SAME_SPEED)
    return next(option for option, ratio in ratios.items() if ratio <= limit)
