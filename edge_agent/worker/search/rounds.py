"""The order in which planned candidates are scored: successive halving over their structures. Pure.

Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization": all are tried a
little, the better half a little more, and so on. Here one try is one range method. Every structure gets its first try
before any gets a second, and each later round covers the better half of the structures with tries left. Halving affects
only the order: the candidates that it skips are scored later if nothing passes.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

from edge_agent.backends import CandidateSpec
from edge_agent.worker.search.policy import EvaluatedCandidate, Structure, structure
from edge_agent.worker.search.preference import tied

_Closeness = tuple[float, float]
_UNKNOWN: _Closeness = (float("-inf"), float("-inf"))


def halving(
    ratios: dict[Structure, float],
    specs: Sequence[CandidateSpec],
    limit: float,
    tried: Sequence[EvaluatedCandidate],
    apart: float = 0.0,
) -> Iterator[CandidateSpec]:
    """Yield ``specs`` round after round, until the caller stops.

    Args:
        ratios: the screened ratio of each structure that could be screened; at equal speed the plan's order holds.
        specs: the planned candidates.
        limit: structures slower than this are left out if any structure is within it.
        tried: the measured candidates; the caller adds each yielded one.
        apart: the difference of preference numbers that is still a tie, so that the order does not depend on noise of
            the screening.
    """
    hopeful = any(ratio <= limit for ratio in ratios.values())
    lanes: dict[Structure, list[CandidateSpec]] = {}
    for spec in by_speed(ratios, specs, limit):
        if not (hopeful and ratios[structure(spec)] > limit):
            lanes.setdefault(structure(spec), []).append(spec)
    yield from (lane.pop(0) for lane in lanes.values())
    while left := [key for key, lane in lanes.items() if lane]:
        order = _best_first(left, tried, apart)
        lanes = {key: lanes[key] for key in order[: math.ceil(len(order) / 2)]}
        yield from [lane.pop(0) for lane in lanes.values()]


def by_speed(
    ratios: dict[Structure, float], specs: Iterable[CandidateSpec], limit: float = math.inf
) -> list[CandidateSpec]:
    """The screened ``specs``: the first of each structure, fastest first, then the second of each, and so on.

    Whatever the budget, every structure is thus scored once before any is scored with all its ranges. Candidates with
    layers left float from the start come before the others, because they are planned only if the others are known to
    fail. Structures slower than ``limit`` come last, and with one candidate each if any structure is within the limit,
    because they can only explain a refusal.
    """
    rounds: dict[Structure, int] = {}
    hopeful = any(ratio <= limit for ratio in ratios.values())
    order: list[tuple[bool, int, bool, float, CandidateSpec]] = []
    for spec in specs:
        key = structure(spec)
        if key not in ratios:
            continue
        rounds[key] = rounds.get(key, 0) + 1
        slow = ratios[key] > limit
        if not (slow and hopeful and rounds[key] > 1):
            order.append((slow, rounds[key], not spec.float_layers, ratios[key], spec))
    return [spec for *_, spec in sorted(order, key=lambda item: item[:4])]


def _best_first(structures: Sequence[Structure], tried: Sequence[EvaluatedCandidate], apart: float) -> list[Structure]:
    """By the best result of each: those that pass and gain by standing, then closeness; the rest by closeness."""
    standing: dict[Structure, float] = {}
    closeness: dict[Structure, _Closeness] = {}
    for item in tried:
        key = structure(item.spec)
        closeness[key] = max(closeness.get(key, _UNKNOWN), item.record.closeness)
        if item.worth_it:
            standing[key] = min(standing.get(key, math.inf), item.standing)
    order: list[Structure] = []
    worthy = [key for key in structures if key in standing]
    others = [key for key in structures if key not in standing]
    for alike in (*tied(worthy, standing.__getitem__, apart), others):
        order += sorted(alike, key=lambda key: closeness.get(key, _UNKNOWN), reverse=True)
    return order
