"""Runs processes that hold float and int8 side by side: a few to choose by (:func:`screen`), more to prove a limit.

:mod:`edge_agent.worker.measure.latency` judges what the measurements prove.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import overload

from edge_agent.device import throttling
from edge_agent.errors import ModelError
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.worker.measure.asking import Probes
from edge_agent.worker.measure.latency import (
    Decision,
    Latency,
    Observation,
    Percentiles,
    judge,
    looks,
    percentiles,
    summarise,
)
from edge_agent.worker.measure.question import Request, Served, fewest_rounds
from edge_agent.worker.measure.side_by_side import WARMED_UP, Run, run, runs

SCREENINGS = 3
"""Processes of a screening: a single one may be off by several percent on a device with other load."""
SCREENING_S = 6.0
"""A screening starts no further process after this."""
LONGEST_S = 60.0
"""A comparison starts no further process after this, once it has enough to accept."""


@dataclass(frozen=True, slots=True)
class Screened:
    """A model's times from a screening.

    Attributes:
        times: percentiles over all processes.
        p50s_ms: the median of each process.
    """

    times: Percentiles
    p50s_ms: tuple[float, ...]

    def ratio(self, reference: "Screened") -> float:
        """The time as a multiple of ``reference``'s: the median over processes, each of which ran both."""
        return median(mine / other for mine, other in zip(self.p50s_ms, reference.p50s_ms, strict=True))

    def cost_ms(self, one: "Screened", twin: "Screened") -> float:
        """The extra time (ms) of a call compared with ``one``; negative if the call is faster.

        ``twin`` is a second copy of the model ``one``. A cost counts as noise, and is returned as 0, if it is no larger
        than the difference between the two copies in some process, or if its sign changes between processes.
        """
        pairs = list(zip(one.p50s_ms, twin.p50s_ms, strict=True))
        costs = [mine - (first + second) / 2 for mine, (first, second) in zip(self.p50s_ms, pairs, strict=True)]
        noise = max(abs(first - second) for first, second in pairs)
        steady = min(costs) > 0 or max(costs) < 0
        return median(costs) if steady and abs(median(costs)) > noise else 0.0


def compare(
    reference: Served,
    target: Served,
    feeds: Path,
    *,
    limit: float,
    goal: float = 0.0,
    confidence: float = CONFIDENCE,
    same: Served | None = None,
    most_bytes: int = 0,
    on_process: Callable[[int], None] = lambda _count: None,
    root: Path = Path("/"),
) -> Latency:
    """Measure ``target`` against ``reference`` until the result about ``limit`` is proved.

    Args:
        reference: the fastest float.
        target: the candidate.
        feeds: one row for all of them (:func:`edge_agent.worker.measure.feeds.write_feeds`).
        limit: the largest ratio to accept; 0: no gate, the ratio is only measured.
        goal: a smaller ratio to prove as well, if the data may support it; 0: none.
        confidence: of the proof.
        same: float on the target's runtime and threads, if these differ from the reference's.
        most_bytes: memory limit for the models of one process, as in :func:`screen`.
        on_process: called after each process with the number of processes done.
        root: where to look for throttling (:mod:`edge_agent.device.throttling`).

    Raises:
        ModelError: a model cannot be loaded or run.
        LimitError: a single model does not fit into memory, or a call takes minutes.
        StageError: the runtime crashed.
    """
    models = [reference, reference, target] if same is None else [reference, reference, target, same]
    request = Request(feeds=str(feeds), models=models, most_bytes=most_bytes)
    begun = time.monotonic()
    counted: list[Observation] = []
    void: list[Observation] = []
    reasons: dict[str, None] = {}
    together = True
    _, fewest, _, most = looks(confidence)
    decision: Decision | None = None
    with Probes() as probes:
        while decision is None:
            probes.expect(next(look for look in looks(confidence) if look > len(counted)) - len(counted))
            before = throttling.throttling(root)
            found = run(request, probes.ask, first=(len(counted) + len(void)) % len(models), together=together)
            together = found.together
            slowed = throttling.throttling(root).since(before)
            reasons |= dict.fromkeys(slowed)
            (void if slowed else counted).append(_observation(found.times))
            tried = len(counted) + len(void)
            on_process(tried)
            last = tried >= most or (tried >= fewest and time.monotonic() - begun >= LONGEST_S)
            decision = judge(counted, limit, last=last, confidence=confidence, goal=goal)
    observed = counted or void
    latency = summarise(
        decision,
        observed,
        reference,
        limit=limit,
        confidence=confidence,
        throttled=len(void),
        reasons=tuple(reasons),
    )
    return latency if counted else replace(latency, ratio_p50_upper=math.inf, ratio_p50_lower=-math.inf)


def expected_s(reference_ms: float) -> float:
    """The seconds of calls in the shortest comparison, for a target that is as slow as its reference."""
    usual = Request(feeds="")
    round_s = 3 * reference_ms / 1000.0
    fewest = WARMED_UP + fewest_rounds(usual.min_rounds, reference_ms / 1000.0)
    _, processes, *_ = looks()
    return processes * max(fewest * round_s, min(usual.rounds * round_s, usual.seconds))


@overload
def screen(
    models: Sequence[Served],
    feeds: Path,
    *,
    processes: int = ...,
    references: int = ...,
    most_bytes: int = ...,
    seconds: float = ...,
) -> list[Screened]: ...
@overload
def screen(
    models: Sequence[Served],
    feeds: Path,
    *,
    processes: int = ...,
    references: int = ...,
    most_bytes: int = ...,
    seconds: float = ...,
    tolerant: bool,
) -> list[Screened] | list[Screened | ModelError]: ...
def screen(
    models: Sequence[Served],
    feeds: Path,
    *,
    processes: int = SCREENINGS,
    references: int = 1,
    most_bytes: int = 0,
    seconds: float = math.inf,
    tolerant: bool = False,
) -> list[Screened] | list[Screened | ModelError]:
    """Time several models in a few processes that hold them all. The times are enough to choose by and prove nothing.

    If the models do not fit into ``most_bytes`` (0: no limit), each process holds a group of them. Every group contains
    the first ``references`` models, and its times are scaled so that its first model is as fast as in the first group.
    After ``seconds`` no further group starts; the result then covers only the first models. If not even a group fits,
    each model gets its own process.

    With ``tolerant``, a model that cannot be loaded or run yields its error instead of times, as long as all models fit
    into one process. Otherwise raises the errors of :func:`compare`.
    """
    found: list[Run] = []
    refused: dict[int, ModelError] = {}
    begun = time.monotonic()
    with Probes() as probes:
        probes.expect(processes)
        limits = {"references": references, "most_bytes": most_bytes}
        for one in runs(models, feeds, probes.ask, seconds=seconds, tolerant=tolerant, **limits):
            if found and len(one.times) < len(models):  # a further run is useful only if it covers all models
                break
            found.append(one)
            refused |= one.refused
            if len(found) >= processes or not one.together or time.monotonic() - begun >= SCREENING_S:
                break
    times = zip(*(one.times for one in found), strict=True)
    return [refused.get(place) or _screened(mine) for place, mine in enumerate(times)]


def _screened(times: Sequence[Sequence[float]]) -> Screened:
    """The screening result of one model, from the call times (ms) in each process."""
    return Screened(percentiles([time_ms for one in times for time_ms in one]), tuple(median(one) for one in times))


def _observation(times: list[list[float]]) -> Observation:
    """The observation from the times of [reference, reference, target, float served like the target if different]."""
    reference, again, target, *other = times
    return Observation(reference, again, target, *(other or [[*reference, *again]]))
