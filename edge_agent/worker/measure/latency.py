"""Whether a target is at most ``limit`` times as slow as float on this very device, and how sure that is.

One process is one observation: it holds float, float again and target (``edge_agent.worker.measure.probe``) and yields
the ratio of their median times. Within a process the ratio is steady; from one to the next it moves with where the
memory came to lie, so the ratio is the *median over processes*, with its exact one-sided 95 % bound by order
statistics. Float against float tells how noisy the device is.

:func:`judge` is the statistic and pure; :func:`compare` runs the processes.

Looks at the data are few and fixed, since each is another chance to be wrong: at 5 processes (only to refuse, where
all five agree), 8, 16 and 24. If the true ratio lies exactly at the limit, one of them accepts in 7 % of all cases
and refuses in 8 %; half a standard deviation of the process ratios above the limit, one in 1,000 is accepted
(simulated with normal ratios; ``tests/worker/measure/test_latency.py`` repeats it).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from edge_agent.device import board
from edge_agent.errors import LimitError
from edge_agent.quant.bounds import order_statistic_bound
from edge_agent.quant.findings import room_for
from edge_agent.worker.measure.probe import Request, Served, ask

SCREENINGS = 3
"""Processes of a screening: one alone may spread several percent on a device that does other things too."""
SCREENING_S = 6.0
"""After this no further process of a screening is started."""
FIRST_LOOK = 5
FEWEST = 8
LOOKS = (FEWEST, 16, 24)
MOST = LOOKS[-1]
LONGEST_S = 60.0
"""After this no further process is started, once there are ``FEWEST``."""
MAX_NOISE = 0.05
_SCREEN_ROUNDS, _SCREEN_MIN_ROUNDS = 50, 5
_SCREEN_MODEL_S = 0.3
"""For each model in one process, rounds beyond the fewest allowed."""


class Decision(StrEnum):
    """What the processes so far prove. The value of a refusal is its code."""

    ACCEPTED = "accepted"
    """Proved to be within the limit; or there is no limit."""
    SLOWER = "latency_too_high"
    INCONCLUSIVE = "latency_inconclusive"
    NOISY = "too_noisy"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds of one call, over all calls in all processes."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


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


@dataclass(frozen=True, slots=True)
class Observation:
    """The times (ms) of one process: float and float again, target, and float served like the target."""

    reference: Sequence[float]
    again: Sequence[float]
    target: Sequence[float]
    same_runtime: Sequence[float]

    @property
    def ratio(self) -> float:
        """Target / reference at p50; both float sessions count."""
        return median(self.target) / median([*self.reference, *self.again])

    @property
    def ratio_same_runtime(self) -> float:
        """Target / float on the target's runtime and threads, at p50."""
        return median(self.target) / median(self.same_runtime)

    @property
    def float_ratio(self) -> float:
        """Float again / float at p50: 1 on a quiet device."""
        return median(self.again) / median(self.reference)


@dataclass(frozen=True, slots=True)
class Latency:
    """A comparison. Ratios are target / reference at p50; a bound that nothing supports is infinite.

    Attributes:
        decision: what is proved about the limit.
        ratio_p50: median over processes.
        ratio_p50_upper: its exact one-sided 95 % upper bound.
        ratio_p50_lower: its exact one-sided 95 % lower bound.
        ratio_p50_same_runtime: against float on the target's runtime and threads.
        noise: |median over processes of float again / float - 1|.
        processes: how many were counted.
        throttled: how many were void because something slowed the processor down, and what.
        reference: float's times, as the fastest float is served.
        target: the target's times.
        served: how float is served.
    """

    decision: Decision
    ratio_p50: float
    ratio_p50_upper: float
    ratio_p50_lower: float
    ratio_p50_same_runtime: float
    noise: float
    processes: int
    reference: Percentiles
    target: Percentiles
    served: Served
    throttled: int = 0
    throttle_reasons: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """One sentence for the report."""
        allow = f", or set [gates] max_latency_ratio = {room_for(max(self.ratio_p50, self.ratio_p50_upper)):g}"
        times = f"{self.target.p50_ms:.3g} ms against float's {self.reference.p50_ms:.3g} ms"
        match self.decision:
            case Decision.ACCEPTED:
                return f"int8 takes {self.ratio_p50:.2f} of float's time here ({times})"
            case Decision.SLOWER:
                return f"int8 is {self.ratio_p50:.2f} times as slow as float here ({times}); keep float{allow}"
            case Decision.NOISY:
                return f"two runs of float differ by {self.noise:.0%}; stop other load or fix the governor, then retry"
            case Decision.INCONCLUSIVE if self.throttled:
                reasons = ", ".join(self.throttle_reasons)
                return f"the device slowed itself down while measuring ({reasons}); cool it or check its power supply"
            case Decision.INCONCLUSIVE:
                bounds = f"{self.ratio_p50_lower:.3f} to {self.ratio_p50_upper:.3f}"
                return (
                    f"int8 takes {bounds} of float's time here, which proves nothing; free the device and retry{allow}"
                )


def compare(
    reference: Served,
    target: Served,
    feeds: Path,
    *,
    limit: float,
    same: Served | None = None,
    on_process: Callable[[int], None] = lambda _count: None,
    root: Path = Path("/"),
) -> Latency:
    """Measure ``target`` against ``reference`` until something is proved about ``limit``.

    Args:
        reference: the fastest float.
        target: the candidate.
        feeds: one row for all of them (:func:`edge_agent.worker.measure.probe.write_feeds`).
        limit: the largest ratio to accept; 0: no gate, the ratio is only measured.
        same: float on the target's runtime and threads, where these are not the reference's.
        on_process: called with the number of processes done, after each.
        root: where to look for throttling (:mod:`edge_agent.device.board`).

    Raises:
        ModelError: a model cannot be loaded or run.
        LimitError: not even one model alone fits into memory, or a call takes minutes.
        StageError: the runtime crashed.
    """
    models = [reference, reference, target] if same is None else [reference, reference, target, same]
    request = Request(feeds=str(feeds), models=models)
    begun = time.monotonic()
    counted: list[Observation] = []
    void: list[Observation] = []
    reasons: dict[str, None] = {}
    together = True
    decision: Decision | None = None
    while decision is None:
        before = board.throttling(root)
        times, together = _times(request, together=together)
        slowed = board.throttling(root).since(before)
        reasons |= dict.fromkeys(slowed)
        (void if slowed else counted).append(_observation(times))
        tried = len(counted) + len(void)
        on_process(tried)
        last = tried >= MOST or (tried >= FEWEST and time.monotonic() - begun >= LONGEST_S)
        decision = judge(counted, limit, last=last)
    return summarise(decision, counted or void, reference, throttled=len(void), reasons=tuple(reasons))


def screen(models: Sequence[Served], feeds: Path, *, processes: int = SCREENINGS) -> list[Screened]:
    """Times of several models from a few processes that hold them all; enough to choose by, proof of nothing.

    Where they do not fit together, one process each. Raises as :func:`compare`.
    """
    request = Request(
        feeds=str(feeds),
        models=list(models),
        rounds=_SCREEN_ROUNDS,
        min_rounds=_SCREEN_MIN_ROUNDS,
        seconds=_SCREEN_MODEL_S * len(models),
        warmed=True,
    )
    runs: list[list[list[float]]] = []
    together = True
    begun = time.monotonic()
    while not runs or (len(runs) < processes and together and time.monotonic() - begun < SCREENING_S):
        times, together = _times(request, together=together)
        runs.append(times)
    return [
        Screened(_percentiles([time_ms for one in mine for time_ms in one]), tuple(median(one) for one in mine))
        for mine in zip(*runs, strict=True)
    ]


def judge(observations: Sequence[Observation], limit: float, *, last: bool) -> Decision | None:
    """What ``observations`` (one per process) prove about ``limit``; None: measure on. Pure.

    Args:
        observations: those that count.
        limit: largest ratio to accept; 0: no gate, so the fewest processes do of which the bound is exact.
        last: there will be no further process.
    """
    count = len(observations)
    look = count in LOOKS or (last and count >= FEWEST)
    if not limit:
        return Decision.ACCEPTED if count >= FIRST_LOOK or last else None
    quiet = count > 0 and noise(observations) <= MAX_NOISE
    if quiet and (look or count == FIRST_LOOK):
        ratios = [one.ratio for one in observations]
        if order_statistic_bound(ratios, "lower") > limit:
            return Decision.SLOWER
        if look and order_statistic_bound(ratios, "upper") <= limit:
            return Decision.ACCEPTED
    if not last:
        return None
    return Decision.INCONCLUSIVE if quiet or count < FEWEST else Decision.NOISY


def noise(observations: Sequence[Observation]) -> float:
    """How much two identical float sessions differ at p50: a fraction, 0 on a quiet device."""
    return abs(median(one.float_ratio for one in observations) - 1.0)


def summarise(
    decision: Decision,
    observations: Sequence[Observation],
    served: Served,
    *,
    throttled: int = 0,
    reasons: tuple[str, ...] = (),
) -> Latency:
    """The numbers behind a decision. Pure; ``observations`` must not be empty."""
    ratios = [one.ratio for one in observations]
    return Latency(
        decision=decision,
        ratio_p50=median(ratios),
        ratio_p50_upper=order_statistic_bound(ratios, "upper"),
        ratio_p50_lower=order_statistic_bound(ratios, "lower"),
        ratio_p50_same_runtime=median(one.ratio_same_runtime for one in observations),
        noise=noise(observations),
        processes=len(observations),
        reference=_percentiles([value for one in observations for value in (*one.reference, *one.again)]),
        target=_percentiles([value for one in observations for value in one.target]),
        served=served,
        throttled=throttled,
        throttle_reasons=reasons,
    )


def _times(request: Request, *, together: bool) -> tuple[list[list[float]], bool]:
    """Times of each model from one process, or from one each where they do not fit together; and whether they did."""
    if together:
        try:
            return ask(request).times_ms, True
        except LimitError as error:
            if error.code != "out_of_memory":
                raise
    alone = [msgspec.structs.replace(request, models=[model]) for model in request.models]
    return [ask(one).times_ms[0] for one in alone], False


def _observation(times: list[list[float]]) -> Observation:
    """From the times of [reference, reference, target] and, where it is served differently, float like the target."""
    reference, again, target, *other = times
    return Observation(reference, again, target, *(other or [[*reference, *again]]))


def _percentiles(times_ms: Sequence[float]) -> Percentiles:
    p50, p95, p99 = np.percentile(times_ms, [50, 95, 99]).tolist()
    return Percentiles(p50, p95, p99)
