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

_Rank = tuple[bool, float, float, float]
_UNKNOWN: _Rank = (False, 0.0, float("-inf"), float("-inf"))


def halving(
    ratios: dict[Structure, float],
    specs: Sequence[CandidateSpec],
    limit: float,
    tried: Sequence[EvaluatedCandidate],
) -> Iterator[CandidateSpec]:
    """Round after round of ``specs``, for as long as the caller asks.

    Args:
        ratios: the screened ratio of each structure that could be screened; of one speed the first planned comes first.
        specs: what was planned.
        limit: structures that are slower are left out if any is not.
        tried: what has been measured, to which the caller adds what it is given.
    """
    hopeful = any(ratio <= limit for ratio in ratios.values())
    lanes: dict[Structure, list[CandidateSpec]] = {}
    for spec in by_speed(ratios, specs, limit):
        if not (hopeful and ratios[structure(spec)] > limit):
            lanes.setdefault(structure(spec), []).append(spec)
    yield from (lane.pop(0) for lane in lanes.values())
    while left := [key for key, lane in lanes.items() if lane]:
        best = _best(tried)
        left.sort(key=lambda key: best.get(key, _UNKNOWN), reverse=True)
        lanes = {key: lanes[key] for key in left[: math.ceil(len(left) / 2)]}
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


def _best(tried: Sequence[EvaluatedCandidate]) -> dict[Structure, _Rank]:
    """Of each structure the best it has shown: what passes and gains goes by the preference, the rest by closeness."""
    best: dict[Structure, _Rank] = {}
    for item in tried:
        key = structure(item.spec)
        best[key] = max(
            best.get(key, _UNKNOWN), (item.worth_it, -item.standing if item.worth_it else 0.0, *item.record.closeness)
        )
    return best
