"""In which order planned candidates are scored: successive halving over their structures. Pure.

Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization": all are tried a
little, the better half a little more, and so on. Here a try is a range method: every structure has its first one before
any has a second, and each round after that is for the better half of those that have any left. Halving decides the
order alone; what it leaves out comes back where nothing passes.
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
    """Round after round of ``specs``, for as long as the caller asks.

    Args:
        ratios: the screened ratio of each structure that could be screened; of one speed the first planned comes first.
        specs: what was planned.
        limit: structures that are slower are left out if any is not.
        tried: what has been measured, to which the caller adds what it is given.
        apart: how far numbers of the preference may be apart and still be one, as each time was screened: what comes
            next shall not hang on that.
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
    """``specs`` that could be screened: the first of each structure, from the fastest on, then the second of each.

    So whatever the budget, every structure is known before one is known in all its ranges. What leaves layers float
    from the start comes before the others: it is planned only where these are known to fail. What is slower than
    ``limit`` comes last, and of each structure only one if any other is not so slow: it can only explain a refusal.
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
    """By the best that each has shown: what passes and gains by how it stands, then by closeness; the rest by that."""
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
