"""Which layers to leave float, from what each rounding does to the output. Pure: no model, no file, no clock.

What one rounding adds to the output is small beside it and has nothing to do with what another adds, so errors (noise
energy) add up to first order. Therefore:

* :func:`find_effects` asks for groups of roundings instead of one by one, and splits only groups that matter;
* :func:`float_steps` knows what any set of float layers would leave without asking again.

A tensor between two layers is rounded while one of both is int8, so freeing it means leaving *all* its layers float:
what this search goes by is a place, not a layer. Where errors are too large to add up, the order still tells most, and
the caller measures the model of each step before it counts.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_agent.backends import CandidateSpec, Method
from edge_agent.jobs.result import GateResult
from edge_agent.worker.search.policy import SAME_SPEED, SCREEN_SLACK, EvaluatedCandidate, closest, finalists, structure

NEGLIGIBLE = 0.01
"""A group of places with at most this part of the whole error is not split further."""

_MOST_FLOAT = 0.5
"""The part of all layers that may be left float; beyond it the rest is no int8 model."""
HALVED = 0.5
_ACCURACY_CODES = (
    "agreement_too_low",
    "accuracy_too_low",
    "sqnr_too_low",
    "output_kind_needed",
    "output_ruined",
    "class_lost",
    "detections_lost",
)
"""What a candidate is refused for that a float layer can mend."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What int8 does to the output, by place: errors are noise energy / signal energy of the judged output.

    Attributes:
        effects: place → error of the output if only this place is rounded.
        needed_by: place → the layers that, left int8, want it rounded.
        layers: all layers that the candidate has in int8, in graph order.
    """

    effects: Mapping[str, float]
    needed_by: Mapping[str, Sequence[str]]
    layers: Sequence[str]

    def shares(self) -> dict[str, float]:
        """Layer → its part of the whole error, 0 to 1; what several layers want rounded is theirs in equal parts."""
        total = sum(self.effects.values())
        shares = dict.fromkeys(self.layers, 0.0)
        for place, effect in self.effects.items():
            for layer in self.needed_by[place]:
                shares[layer] += effect / total / len(self.needed_by[place]) if total else 0.0
        return shares


def find_effects(
    places: Sequence[str],
    error: Callable[[frozenset[str]], float],
    *,
    more: Callable[[], bool] = lambda: True,
) -> dict[str, float]:
    """The error that each place adds to the output.

    The group with the largest error is split in half until it is one place or negligible. What is left together, also
    because ``more`` said no, counts in equal parts.

    Args:
        places: in graph order, as neighbours tend to be alike.
        error: of the output if exactly these places are rounded.
        more: asked before each split: whether there is time for two more questions.
    """
    if not places:
        return {}
    total = error(frozenset(places))
    groups = [(total, tuple(places))]
    found: dict[str, float] = {}
    while groups:
        loss, group = groups.pop(max(range(len(groups)), key=lambda index: groups[index][0]))
        if len(group) == 1 or loss <= NEGLIGIBLE * total or not more():
            found.update(dict.fromkeys(group, loss / len(group)))
            continue
        middle = len(group) // 2
        groups += [(error(frozenset(half)), half) for half in (group[:middle], group[middle:])]
    return {place: found[place] for place in places}


def float_steps(known: Sensitivity) -> Iterator[tuple[str, ...]]:
    """Ever larger sets of layers to leave float, in graph order; each at least halves (-3 dB) the error that was left.

    Next comes whatever frees most error for each layer that it leaves float. Ends when there is nothing to gain, or
    when it would take more than half of the layers.
    """
    left = {place: effect for place, effect in known.effects.items() if effect > 0}
    floats: frozenset[str] = frozenset()
    goal = sum(left.values()) * HALVED
    while left:
        floats = _extended(known, left, floats)
        if len(floats) > _MOST_FLOAT * len(known.layers):
            return
        left = {place: effect for place, effect in left.items() if not floats.issuperset(known.needed_by[place])}
        rest = sum(left.values())
        if rest <= goal:
            goal = rest * HALVED
            yield tuple(layer for layer in known.layers if layer in floats)


def _extended(known: Sensitivity, left: Mapping[str, float], floats: frozenset[str]) -> frozenset[str]:
    """``floats`` with the layers of the place that frees most error for each layer added."""
    best, most = floats, -1.0
    for extended in dict.fromkeys(floats.union(known.needed_by[place]) for place in left):
        freed = sum(effect for place, effect in left.items() if extended.issuperset(known.needed_by[place]))
        if (worth := freed / len(extended - floats)) > most:
            best, most = extended, worth
    return best


def with_float(spec: CandidateSpec, layers: Iterable[str]) -> CandidateSpec:
    """``spec`` with these layers left float, too."""
    return replace(spec, float_layers=tuple(dict.fromkeys((*spec.float_layers, *layers))))


Starts = Collection[tuple[str, ...]]
"""The sets of float layers that candidates were planned with; what has more was mended already."""


def repairable(
    tried: Sequence[EvaluatedCandidate], methods: Collection[Method], starts: Starts = ((),)
) -> list[EvaluatedCandidate]:
    """The candidates that more float layers could make the best one, the most promising first; one a structure.

    Only those of ``methods``, as they were planned, and none that is too slow by far: float layers mend no speed.
    Where nothing that gains is sure of its verdict: what failed for accuracy or may yet, the closest to float first.
    Else what did so, gains something, and is clearly faster than the best that is sure.
    """
    sure = [item for item in finalists(tried) if item.likely_to_pass]
    best = next((item for item in sure if item.gains), None)
    limit = None if best is None else _ratio(best) / (1 + SAME_SPEED)
    failed = [item for item in tried if _repairable(item, methods, starts) and (limit is None or _ratio(item) < limit)]
    if sure:
        failed = [item for item in failed if item.gains]
    found = []
    while (nearest := closest(failed)) is not None:
        found.append(nearest)
        failed = [item for item in failed if structure(item.spec) != structure(nearest.spec)]
    return found


def refinable(
    tried: Iterable[EvaluatedCandidate], methods: Collection[Method], starts: Starts = ((),)
) -> EvaluatedCandidate | None:
    """The best candidate that passes, if a float layer could bring it closer to float; None if not of ``methods``."""
    best = next(iter(finalists(tried)), None)
    return best if best is not None and best.spec.method in methods and best.spec.float_layers in starts else None


def _repairable(item: EvaluatedCandidate, methods: Collection[Method], starts: Starts) -> bool:
    if any(_too_slow(gate) for gate in item.record.gates):
        return False
    whole = item.spec.method in methods and item.spec.float_layers in starts
    doubtful = item.passed and not item.likely_to_pass
    return whole and (doubtful or (not item.passed and item.record.code in _ACCURACY_CODES))


def _too_slow(gate: GateResult) -> bool:
    """Whether this is the gate of latency, and missed by more than a screening spreads."""
    if gate.name != "max_latency_ratio" or gate.limit is None or gate.value is None:
        return False
    return gate.value > gate.limit * SCREEN_SLACK


def _ratio(item: EvaluatedCandidate) -> float:
    return float("inf") if item.record.ratio_p50 is None else item.record.ratio_p50
