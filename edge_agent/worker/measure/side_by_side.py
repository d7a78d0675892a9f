"""Runs of several models side by side: in one process after another, or in groups where memory forbids.

What the times mean is the caller's: :mod:`edge_agent.worker.measure.comparison`, :mod:`edge_agent.worker.measure.race`.
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
"""Calls of a slow model before those that are timed."""
_ROUNDS, _MIN_ROUNDS = 50, 5
_MODEL_S = 0.3
"""For each model in one process, rounds beyond the fewest allowed."""


class Run(NamedTuple):
    """Times (ms) of each model from one process, or from several where they do not fit together.

    Attributes:
        times: one list a model; those of a model that was refused are empty. Fewer lists: time was over.
        together: whether one process held all.
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
    """One run after another, without end.

    Args:
        models: what to call.
        feeds: one row for all of them (:func:`edge_agent.worker.measure.feeds.write_feeds`).
        ask: see :class:`edge_agent.worker.measure.asking.Probes`.
        rounds: calls of each in one process, as far as time allows.
        references: how many of the first models each process holds, however few fit.
        most_bytes: what the models of one process may take; 0: no matter.
        seconds: after which no further group is begun.
        tolerant: a model that cannot be loaded or run is told of, as long as all others fit into one process.

    Raises:
        ModelError, LimitError, StageError: as :func:`edge_agent.worker.measure.comparison.compare`.
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
        ask: as of :func:`runs`.
        first: which model is loaded first. What is loaded last finds its memory a little better placed (measured on an
            x86-64 server: 0.4 to 0.8 %), so each has its turn.
        together: whether to try with one process.
        until: on the monotonic clock, after which no further group is begun.

    Raises as :func:`runs`.
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
    """Times of each model from processes that hold the references and as many others as fit; ``times``: the first's."""
    kept = request.fewest - 1
    while len(times) < len(request.models) and (not times or time.monotonic() < until):
        rest = request.models[max(len(times), kept) :]
        found = ask(replace(request, models=[*request.models[:kept], *rest])).times_ms
        slower = median(found[0]) / median(times[0]) if times else 1.0
        times = [*(times or found[:kept]), *([ms / slower for ms in one] for one in found[kept:])]
    return times


def seconds_of(reference_ms: float, rounds: int = _ROUNDS) -> float:
    """Seconds of calls of one model in one process of :func:`runs`."""
    call_s = reference_ms / 1000.0
    fewest = WARMED_UP + fewest_rounds(_MIN_ROUNDS, call_s)
    return max(fewest * call_s, min(2 * rounds * call_s, _MODEL_S))
