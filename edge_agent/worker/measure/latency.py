"""Whether a target is at most ``limit`` times as slow as float on this very device, and how sure that is. Pure.

One process is one observation: it holds float, float again and target (``edge_agent.worker.measure.probe``) and yields
the ratio of their median times. Within a process the ratio is steady; from one to the next it moves with where the
memory came to lie, so the ratio is the *median over processes*, with its exact one-sided 95 % bound by order
statistics. Float against float tells how noisy the device is.

:mod:`edge_agent.worker.measure.comparison` runs the processes.

Looks at the data are few and fixed, since each is another chance to be wrong: at 5 processes (where all five agree),
8, 16 and 24. The first one accepts only where all five lie further below the limit than they lie apart: what is
clearly faster needs no more, and ratios around the limit do so once in 2,000 times. If the true ratio lies exactly at
the limit, one of the looks accepts in 7 % of all cases and refuses in 8 %; half a standard deviation of the process
ratios above the limit, one in 1,000 is accepted (simulated with normal ratios;
``tests/worker/measure/test_latency.py`` repeats it). Where two candidates are asked,
each bound is at 97.5 % and the looks are at 6, 9, 16 and 24 processes: at the limit each is accepted in 3 %, one of
both in 6 % (``tests/bench/race_error.py``).

Where time is all that may be gained, what is accepted is measured on for the smaller ratio that is asked for. Of 7 %
less, with process ratios that spread 2 %, 5 % are proved in 62 % of all cases at the first full look, and in 98 % at
the last. The first look ends that only where all lie clearly below that ratio, or all above: a gain that is not there
is proved in 7 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import count as count_from
from statistics import median

import numpy as np

from edge_agent.jobs.digits import apart
from edge_agent.quant.bounds import CONFIDENCE, order_statistic_bound
from edge_agent.quant.findings import room_for
from edge_agent.worker.measure.question import Served

MAX_NOISE = 0.05
_NEXT = 3
"""Processes after the first look that make a bound of which one may lie on the other side."""
_LATER = (16, 24)


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
    """A comparison. Ratios are target / reference at p50; a bound that nothing supports is infinite: a noisy device's.

    Attributes:
        decision: what is proved about the limit.
        ratio_p50: median over processes.
        ratio_p50_upper: its exact one-sided upper bound.
        ratio_p50_lower: its exact one-sided lower bound.
        ratio_p50_same_runtime: against float on the target's runtime and threads.
        noise: |median over processes of float again / float - 1|.
        processes: how many were counted.
        limit: the largest ratio that is accepted; 0: any.
        confidence: of both bounds.
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
    limit: float = 0.0
    confidence: float = CONFIDENCE
    throttled: int = 0
    throttle_reasons: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """One sentence for the report."""
        allow = f", or set [gates] max_latency_ratio = {room_for(max(self.ratio_p50, self.ratio_p50_upper)):g}"
        times = "{} ms against float's {} ms".format(*apart(self.target.p50_ms, self.reference.p50_ms))
        match self.decision:
            case Decision.ACCEPTED:
                return f"int8 takes {self.ratio_p50:.2f} of float's time here ({times})"
            case Decision.SLOWER:
                slower, allowed = apart(self.ratio_p50, self.limit or 1.0)
                return (
                    f"int8 is {slower} times as slow as float here ({times}), and at most {allowed} is allowed; "
                    f"keep float{allow}"
                )
            case Decision.NOISY:
                return f"two runs of float differ by {self.noise:.0%}; stop other load or fix the governor, then retry"
            case Decision.INCONCLUSIVE if self.throttled:
                reasons = ", ".join(self.throttle_reasons)
                return f"the device slowed itself down while measuring ({reasons}); cool it or check its power supply"
            case Decision.INCONCLUSIVE:
                (least, _), (most, allowed) = (
                    apart(bound, self.limit or 1.0) for bound in (self.ratio_p50_lower, self.ratio_p50_upper)
                )
                return (
                    f"int8 takes {least} to {most} of float's time here, which does not prove that it is at most "
                    f"{allowed}; free the device and retry{allow}"
                )


@cache
def looks(confidence: float = CONFIDENCE) -> tuple[int, int, int, int]:
    """Numbers of processes at which is decided: the first accepts only what is clear, and the last ends it.

    The first is the fewest values that bound a median at ``confidence``: all of them on one side.
    """
    first = next(count for count in count_from(1) if 0.5**count <= 1.0 - confidence)
    return first, first + _NEXT, *_LATER


def judge(
    observations: Sequence[Observation], limit: float, *, last: bool, confidence: float = CONFIDENCE, goal: float = 0.0
) -> Decision | None:
    """What ``observations`` (one per process) prove about ``limit``; None: measure on.

    Args:
        observations: those that count.
        limit: largest ratio to accept; 0: no gate, so the fewest processes do of which the bound is exact.
        last: there will be no further process.
        confidence: of the one-sided bounds.
        goal: a smaller ratio to prove as well, if it may be: what is accepted is measured on for it. 0: none.
    """
    count = len(observations)
    first, *full = looks(confidence)
    look = count in full or (last and count >= full[0])
    ratios = [one.ratio for one in observations]
    quiet = count > 0 and noise(observations) <= MAX_NOISE
    if not limit:
        proved = quiet or not goal
        enough = (look or count == first) and proved and not _nears(goal, ratios, confidence)
        return Decision.ACCEPTED if enough or last else None
    if quiet and (look or count == first):
        if order_statistic_bound(ratios, "lower", confidence) > limit:
            return Decision.SLOWER
        accepted = order_statistic_bound(ratios, "upper", confidence) <= limit and (look or _clear(ratios, limit))
        if accepted and (last or not _nears(goal, ratios, confidence)):
            return Decision.ACCEPTED
    if not last:
        return None
    return Decision.INCONCLUSIVE if quiet or count < full[0] else Decision.NOISY


def _clear(ratios: Sequence[float], limit: float) -> bool:
    """Whether all lie further below the limit than they lie apart."""
    return 2 * max(ratios) - min(ratios) <= limit


def _nears(goal: float, ratios: Sequence[float], confidence: float) -> bool:
    """Whether a goal is not proved, and more processes may prove it. A first look ends it only where it is clear."""
    if goal and len(ratios) == looks(confidence)[0]:
        return not (_clear(ratios, goal) or min(ratios) > goal)
    return median(ratios) <= goal < order_statistic_bound(ratios, "upper", confidence)


def noise(observations: Sequence[Observation]) -> float:
    """How much two identical float sessions differ at p50: a fraction, 0 on a quiet device."""
    return abs(median(one.float_ratio for one in observations) - 1.0)


def summarise(
    decision: Decision,
    observations: Sequence[Observation],
    served: Served,
    *,
    limit: float = 0.0,
    confidence: float = CONFIDENCE,
    throttled: int = 0,
    reasons: tuple[str, ...] = (),
) -> Latency:
    """The numbers behind a decision, with bounds at ``confidence``. ``observations`` must not be empty."""
    ratios = [one.ratio for one in observations]
    supported = noise(observations) <= MAX_NOISE
    return Latency(
        decision=decision,
        ratio_p50=median(ratios),
        ratio_p50_upper=order_statistic_bound(ratios, "upper", confidence) if supported else math.inf,
        ratio_p50_lower=order_statistic_bound(ratios, "lower", confidence) if supported else -math.inf,
        ratio_p50_same_runtime=median(one.ratio_same_runtime for one in observations),
        noise=noise(observations),
        processes=len(observations),
        reference=percentiles([value for one in observations for value in (*one.reference, *one.again)]),
        target=percentiles([value for one in observations for value in one.target]),
        served=served,
        limit=limit,
        confidence=confidence,
        throttled=throttled,
        throttle_reasons=reasons,
    )


def percentiles(times_ms: Sequence[float]) -> Percentiles:
    """The percentiles of single calls."""
    p50, p95, p99 = np.percentile(times_ms, [50, 95, 99]).tolist()
    return Percentiles(p50, p95, p99)
