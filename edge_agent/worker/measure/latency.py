"""Decides whether a target is at most ``limit`` times as slow as float on this device, and with what confidence. Pure.

One process is one observation: it holds float, a second copy of float, and the target
(``edge_agent.worker.measure.probe``), and yields the ratio of their median times. The ratio is steady within a process
and differs between processes, because their memory layout differs. The result is therefore the *median over processes*
with its exact one-sided 95 % bound by order statistics. Float against float shows how noisy the device is.

:mod:`edge_agent.worker.measure.comparison` runs the processes.

The looks at the data are few and fixed, because each look is another chance of error. They come at 5 processes (if all
five agree), 8, 16 and 24. The first look accepts only if all five ratios lie further below the limit than they lie
apart: a clearly faster target needs no more processes, and ratios around the limit pass this look once in 2,000 times.
If the true ratio equals the limit, some look accepts in 7 % of all cases and some look refuses in 8 %. If it lies half
a standard deviation of the process ratios above the limit, one case in 1,000 is accepted. These rates are simulated
with normal ratios, and ``tests/worker/measure/test_latency.py`` repeats the simulation. With two candidates, each bound
is at 97.5 % and the looks come at 6, 9, 16 and 24 processes: at the limit, each candidate is accepted in 3 % and at
least one of them in 6 % of all cases (``tests/bench/race_error.py``).

If time is the only possible gain, an accepted target is measured further until the smaller ratio of the required gain
is proved. For a true saving of 7 % and process ratios that spread by 2 %, a required gain of 5 % is proved in 62 % of
all cases at the first full look and in 98 % at the last. The first look stops early only if all ratios lie clearly
below the required ratio, or all lie above it. A gain that does not exist is proved in 7 % of all cases.
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
"""Processes after the first look, so that the bound tolerates one observation on the other side."""
_LATER = (16, 24)


class Decision(StrEnum):
    """The decision that the processes so far support. The value of a refusal is its code."""

    ACCEPTED = "accepted"
    """The ratio is proved to be within the limit, or there is no limit."""
    SLOWER = "latency_too_high"
    INCONCLUSIVE = "latency_inconclusive"
    NOISY = "too_noisy"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of the time of one call (ms), over all calls in all processes."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Observation:
    """The times (ms) of one process: float, its second copy, the target, and float served like the target."""

    reference: Sequence[float]
    again: Sequence[float]
    target: Sequence[float]
    same_runtime: Sequence[float]

    @property
    def ratio(self) -> float:
        """Target / reference at p50, with both float sessions as the reference."""
        return median(self.target) / median([*self.reference, *self.again])

    @property
    def ratio_same_runtime(self) -> float:
        """Target / float on the target's runtime and threads, at p50."""
        return median(self.target) / median(self.same_runtime)

    @property
    def float_ratio(self) -> float:
        """Second copy of float / float at p50: 1 on a quiet device."""
        return median(self.again) / median(self.reference)


@dataclass(frozen=True, slots=True)
class Latency:
    """The result of a comparison. Ratios are target / reference at p50. On a noisy device the bounds are infinite.

    Attributes:
        decision: the decision about the limit.
        ratio_p50: the median over processes.
        ratio_p50_upper: its exact one-sided upper bound.
        ratio_p50_lower: its exact one-sided lower bound.
        ratio_p50_same_runtime: the ratio to float on the target's runtime and threads.
        noise: |median over processes of float's second copy / float - 1|.
        processes: the number of processes that count.
        reference: times of float in its fastest serving option.
        target: times of the target.
        served: how float is served.
        limit: the largest ratio that is accepted; 0: any.
        confidence: of both bounds.
        throttled: the number of processes that are void because the processor was slowed down.
        throttle_reasons: what slowed the processor down.
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
    """The numbers of processes at which a decision is possible: the first accepts only clear cases, the last is final.

    The first is the smallest sample that bounds a median at ``confidence``, with all values on one side.
    """
    first = next(count for count in count_from(1) if 0.5**count <= 1.0 - confidence)
    return first, first + _NEXT, *_LATER


def judge(
    observations: Sequence[Observation], limit: float, *, last: bool, confidence: float = CONFIDENCE, goal: float = 0.0
) -> Decision | None:
    """The decision that ``observations`` (one per process) support about ``limit``; None: continue to measure.

    Args:
        observations: the observations that count.
        limit: largest ratio to accept; 0: no gate, so the smallest number of processes with an exact bound is enough.
        last: there will be no further process.
        confidence: of the one-sided bounds.
        goal: a smaller ratio that an accepted target is measured further for, if the data may prove it. 0: none.
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
    """Whether all ratios lie further below the limit than they lie apart."""
    return 2 * max(ratios) - min(ratios) <= limit


def _nears(goal: float, ratios: Sequence[float], confidence: float) -> bool:
    """Whether the goal is unproved and more processes may prove it. The first look says no only in clear cases."""
    if goal and len(ratios) == looks(confidence)[0]:
        return not (_clear(ratios, goal) or min(ratios) > goal)
    return median(ratios) <= goal < order_statistic_bound(ratios, "upper", confidence)


def noise(observations: Sequence[Observation]) -> float:
    """The difference between two identical float sessions at p50, as a fraction: 0 on a quiet device."""
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
