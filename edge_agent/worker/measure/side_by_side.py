"""Runs several models side by side in one process after another, or in groups if they do not fit into memory.

The callers interpret the times: :mod:`edge_agent.worker.measure.comparison` and :mod:`edge_agent.worker.measure.race`.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import NamedTuple

from edge_agent.errors import LimitError, ModelError
from edge_agent.worker.measure.question import Answer, Request, Served, fewest_rounds

Ask = Callable[[Request], Answer]
"""Carries out a measurement in a fresh process."""

WARMED_UP = 2
"""Untimed calls of a slow model before the timed ones."""
_ROUNDS, _MIN_ROUNDS = 50, 5
_MODEL_S = 0.3
"""Seconds per model in one process for rounds beyond the minimum."""


class Run(NamedTuple):
    """Times (ms) of each model from one process, or from several if the models do not fit together.

    Attributes:
        times: one list per model, empty for a refused model. There are fewer lists if the time was up.
        together: whether one process held all models.
        refused: the place of a model → why it cannot be loaded or run.
    """

    times: list[list[float]]
    together: bool = False
    refused: Mapping[int, ModelError] = MappingProxyType({})


def runs(
    models: Sequence[Served],
    feeds: Path,
    ask: Ask,
    *,
    rounds: int = _ROUNDS,
    references: int = 1,
    most_bytes: int = 0,
    seconds: float = math.inf,
    tolerant: bool = False,
) -> Iterator[Run]:
    """Yield one run after another, without end.

    Args:
        models: what to call.
        feeds: one row for all of them (:func:`edge_agent.worker.measure.feeds.write_feeds`).
        ask: carries out a request, as :meth:`edge_agent.worker.measure.asking.Probes.ask` does.
        rounds: calls of each model in one process, as far as time allows.
        references: the number of first models that each process holds, however few others fit.
        most_bytes: memory limit for the models of one process; 0: no limit.
        seconds: time after which no further group starts.
        tolerant: report a model that cannot be loaded or run, as long as all others fit into one process.

    Raises:
        ModelError, LimitError, StageError: as in :func:`edge_agent.worker.measure.comparison.compare`.
    """
    request = Request(
        feeds=str(feeds),
        models=list(models),
        rounds=rounds,
        min_rounds=_MIN_ROUNDS,
        seconds=_MODEL_S * len(models),
        warmed=True,
        most_bytes=most_bytes,
        fewest=references + 1,
        tolerant=tolerant,
    )
    together = True
    until = time.monotonic() + seconds
    for number in count():
        found = run(request, ask, first=number % len(models), together=together, until=until)
        together = found.together
        yield found


def run(request: Request, ask: Ask, *, first: int, together: bool, until: float = math.inf) -> Run:
    """One run of all models.

    Args:
        request: what to measure.
        ask: as in :func:`runs`.
        first: the model to load first. The model that is loaded last is faster by 0.4 to 0.8 % (measured on an x86-64
            server), because its memory lies better, so the models take turns.
        together: whether to try a single process first.
        until: time on the monotonic clock after which no further group starts.

    Raises the errors of :func:`runs`.
    """
    begun: list[list[float]] = []
    try:
        if together:
            order = [*range(first, len(request.models)), *range(first)]
            answer = ask(replace(request, models=[request.models[index] for index in order]))
            refused = {order[one.place]: ModelError(one.code, one.message) for one in answer.refused}
            if len(answer.times_ms) + len(refused) == len(order):
                served = [index for index in order if index not in refused]
                found = dict(zip(served, answer.times_ms, strict=True))
                return Run([found.get(index, []) for index in range(len(order))], together=True, refused=refused)
            begun = answer.times_ms if first == 0 and not refused else []
        request = replace(request, tolerant=False)
        if request.most_bytes:
            return Run(_times_in_groups(request, ask, begun, until))
    except LimitError as error:
        if error.code != "out_of_memory":
            raise
    found_alone: list[list[float]] = []
    for model in request.models:
        if len(found_alone) >= request.fewest and time.monotonic() >= until:
            break
        found_alone += ask(replace(request, models=[model], tolerant=False)).times_ms
    return Run(found_alone)


def _times_in_groups(request: Request, ask: Ask, times: list[list[float]], until: float) -> list[list[float]]:
    """Times of each model from processes that hold the references and as many others as fit.

    ``times`` holds the times that the first process has already measured.
    """
    kept = request.fewest - 1
    while len(times) < len(request.models) and (not times or time.monotonic() < until):
        rest = request.models[max(len(times), kept) :]
        found = ask(replace(request, models=[*request.models[:kept], *rest])).times_ms
        slower = median(found[0]) / median(times[0]) if times else 1.0
        times = [*(times or found[:kept]), *([ms / slower for ms in one] for one in found[kept:])]
    return times


def seconds_of(reference_ms: float, rounds: int = _ROUNDS) -> float:
    """The seconds of one model's calls in one process of :func:`runs`."""
    call_s = reference_ms / 1000.0
    fewest = WARMED_UP + fewest_rounds(_MIN_ROUNDS, call_s)
    return max(fewest * call_s, min(2 * rounds * call_s, _MODEL_S))
