"""Runs the processes that hold float and int8 side by side: few to choose by (:func:`screen`), more to prove a limit.

What they prove is :mod:`edge_agent.worker.measure.latency`'s.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from statistics import median

import msgspec

from edge_agent.device import board
from edge_agent.errors import LimitError
from edge_agent.quant.bounds import CONFIDENCE
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
from edge_agent.worker.measure.probe import Request, Served, ask, fewest_rounds

SCREENINGS = 3
"""Processes of a screening: one alone may spread several percent on a device that does other things too."""
SCREENING_S = 6.0
"""After this no further process of a screening is started."""
LONGEST_S = 60.0
"""After this no further process is started, once there are enough to accept."""
_WARMED_UP = 2
"""Calls of a slow model before those that are timed."""
_SCREEN_ROUNDS, _SCREEN_MIN_ROUNDS = 50, 5
_SCREEN_MODEL_S = 0.3
"""For each model in one process, rounds beyond the fewest allowed."""


@dataclass(frozen=True, slots=True)
class Screened:
    """A model's times from a screening.

    Attributes:
        times: over all processes.
        p50s_ms: the median of each process.
    """

    times: Percentiles
    p50s_ms: tuple[float, ...]

    def ratio(self, reference: "Screened") -> float:
        """Its time as a multiple of ``reference``'s: the median over processes, each of which had both."""
        return median(mine / other for mine, other in zip(self.p50s_ms, reference.p50s_ms, strict=True))


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
    """Measure ``target`` against ``reference`` until something is proved about ``limit``.

    Args:
        reference: the fastest float.
        target: the candidate.
        feeds: one row for all of them (:func:`edge_agent.worker.measure.probe.write_feeds`).
        limit: the largest ratio to accept; 0: no gate, the ratio is only measured.
        goal: a smaller ratio that is to be proved, too, if it may be; 0: none.
        confidence: of the proof.
        same: float on the target's runtime and threads, where these are not the reference's.
        most_bytes: what the models of one process may take, as of :func:`screen`.
        on_process: called with the number of processes done, after each.
        root: where to look for throttling (:mod:`edge_agent.device.board`).

    Raises:
        ModelError: a model cannot be loaded or run.
        LimitError: not even one model alone fits into memory, or a call takes minutes.
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
    while decision is None:
        before = board.throttling(root)
        times, together = _times(request, first=(len(counted) + len(void)) % len(models), together=together)
        slowed = board.throttling(root).since(before)
        reasons |= dict.fromkeys(slowed)
        (void if slowed else counted).append(_observation(times))
        tried = len(counted) + len(void)
        on_process(tried)
        last = tried >= most or (tried >= fewest and time.monotonic() - begun >= LONGEST_S)
        decision = judge(counted, limit, last=last, confidence=confidence, goal=goal)
    observed = counted or void
    found = summarise(
        decision,
        observed,
        reference,
        limit=limit,
        confidence=confidence,
        throttled=len(void),
        reasons=tuple(reasons),
    )
    return found if counted else replace(found, ratio_p50_upper=math.inf, ratio_p50_lower=-math.inf)


def expected_s(reference_ms: float) -> float:
    """Seconds of calls in the fewest processes of a comparison with a target that is as slow as its reference."""
    usual = Request(feeds="")
    round_s = 3 * reference_ms / 1000.0
    fewest = _WARMED_UP + fewest_rounds(usual.min_rounds, reference_ms / 1000.0)
    _, processes, *_ = looks()
    return processes * max(fewest * round_s, min(usual.rounds * round_s, usual.seconds))


def screening_s(reference_ms: float, rounds: int = _SCREEN_ROUNDS) -> float:
    """Seconds of calls of one model in one process of :func:`screenings`."""
    call_s = reference_ms / 1000.0
    fewest = _WARMED_UP + fewest_rounds(_SCREEN_MIN_ROUNDS, call_s)
    return max(fewest * call_s, min(2 * rounds * call_s, _SCREEN_MODEL_S))


def screen(
    models: Sequence[Served],
    feeds: Path,
    *,
    processes: int = SCREENINGS,
    references: int = 1,
    most_bytes: int = 0,
    seconds: float = math.inf,
) -> list[Screened]:
    """Times of several models from a few processes that hold them all; enough to choose by, proof of nothing.

    Where they do not fit into ``most_bytes`` (0: no matter), groups of them have a process each, and the first
    ``references`` models are in every one: the times of a group are as if its first model had taken what it took in
    the first group. After ``seconds`` no further group is begun, and the models that are left have no times: what is
    returned is of the first ones. Where not even a group fits, one process each. Raises as :func:`compare`.
    """
    runs: list[list[list[float]]] = []
    begun = time.monotonic()
    for times, together in screenings(models, feeds, references=references, most_bytes=most_bytes, seconds=seconds):
        if runs and len(times) < len(models):  # a further run is of all or of no use
            break
        runs.append(times)
        if len(runs) >= processes or not together or time.monotonic() - begun >= SCREENING_S:
            break
    return [
        Screened(percentiles([time_ms for one in mine for time_ms in one]), tuple(median(one) for one in mine))
        for mine in zip(*runs, strict=True)
    ]


def screenings(
    models: Sequence[Served],
    feeds: Path,
    *,
    rounds: int = _SCREEN_ROUNDS,
    references: int = 1,
    most_bytes: int = 0,
    seconds: float = math.inf,
) -> Iterator[tuple[list[list[float]], bool]]:
    """Times (ms) of each model from one process after another, without end, and whether one process held them all.

    ``rounds``: calls of each in one process, as far as time allows. Other arguments and exceptions as of
    :func:`screen`.
    """
    request = Request(
        feeds=str(feeds),
        models=list(models),
        rounds=rounds,
        min_rounds=_SCREEN_MIN_ROUNDS,
        seconds=_SCREEN_MODEL_S * len(models),
        warmed=True,
        most_bytes=most_bytes,
        fewest=references + 1,
    )
    together = True
    until = time.monotonic() + seconds
    for number in count():
        times, together = _times(request, first=number % len(models), together=together, until=until)
        yield times, together


def _times(request: Request, *, first: int, together: bool, until: float = math.inf) -> tuple[list[list[float]], bool]:
    """Times of each model from one process, or from several where they do not fit together; and whether they did.

    ``until``: on the monotonic clock, after which no further group is begun.

    ``first``: which model is loaded first. What is loaded last finds its memory a little better placed (measured on an
    x86-64 server: 0.4 to 0.8 %), so each has its turn.
    """
    begun: list[list[float]] = []
    try:
        if together:
            order = [*range(first, len(request.models)), *range(first)]
            turned = msgspec.structs.replace(request, models=[request.models[index] for index in order])
            times = ask(turned).times_ms
            if len(times) == len(order):
                found = dict(zip(order, times, strict=True))
                return [found[index] for index in range(len(order))], True
            begun = times if first == 0 else []
        if request.most_bytes:
            return _times_in_groups(request, begun, until), False
    except LimitError as error:
        if error.code != "out_of_memory":
            raise
    found_alone: list[list[float]] = []
    for model in request.models:
        if len(found_alone) >= request.fewest and time.monotonic() >= until:
            break
        found_alone += ask(msgspec.structs.replace(request, models=[model])).times_ms
    return found_alone, False


def _times_in_groups(request: Request, times: list[list[float]], until: float) -> list[list[float]]:
    """Times of each model from processes that hold the references and as many others as fit; ``times``: the first's."""
    kept = request.fewest - 1
    while len(times) < len(request.models) and (not times or time.monotonic() < until):
        rest = request.models[max(len(times), kept) :]
        found = ask(msgspec.structs.replace(request, models=[*request.models[:kept], *rest])).times_ms
        slower = median(found[0]) / median(times[0]) if times else 1.0
        times = [*(times or found[:kept]), *([ms / slower for ms in one] for one in found[kept:])]
    return times


def _observation(times: list[list[float]]) -> Observation:
    """From the times of [reference, reference, target] and, where it is served differently, float like the target."""
    reference, again, target, *other = times
    return Observation(reference, again, target, *(other or [[*reference, *again]]))
