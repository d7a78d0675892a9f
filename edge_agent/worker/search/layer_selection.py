"""Selects layers to leave float by the effect of each rounding on the output. Pure: no model, no file, no clock.

The error that one rounding adds to the output is small and independent of the errors of the others. To first order, the
errors (noise energy) therefore add up:

* :func:`find_effects` measures groups of roundings instead of single ones, and splits only groups that matter;
* :func:`float_steps` computes the remaining error of any set of float layers without another measurement.

A tensor between two layers is rounded if either layer is int8, so freeing it means leaving *all* its layers float. The
unit of this search is therefore a place and not a layer. If errors are too large to add up, their order still helps,
and the caller measures the model of each step before it counts.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_agent.backends import CandidateSpec, Method
from edge_agent.jobs.result import GateResult
from edge_agent.worker.search.policy import SAME_SPEED, SCREEN_SLACK, EvaluatedCandidate, closest, finalists, structure

NEGLIGIBLE = 0.01
"""A group of places with at most this part of the total error is not split further."""

_MOST_FLOAT = 0.5
"""The part of all layers that may be left float; beyond it, the result is hardly an int8 model."""
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
"""Codes of refusals that a float layer can repair."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The effect of int8 on the output, by place. Errors are noise energy / signal energy of the judged output.

    Attributes:
        effects: place → error of the output if only this place is rounded.
        needed_by: place → the layers that need it rounded while they are int8.
        layers: all layers that are int8 in the candidate, in graph order.
    """

    effects: Mapping[str, float]
    needed_by: Mapping[str, Sequence[str]]
    layers: Sequence[str]

    def shares(self) -> dict[str, float]:
        """Layer → its part of the total error, 0 to 1; layers that share a place share its error equally."""
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

    The group with the largest error is split in half until it is a single place or negligible. The places of a group
    that stays together, for example because ``more`` returned false, count in equal parts.

    Args:
        places: in graph order, because neighbours tend to be alike.
        error: returns the error of the output if exactly these places are rounded.
        more: called before each split; returns whether there is time for two more measurements.
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
    """Yield growing sets of layers to leave float, in graph order; each at least halves (-3 dB) the remaining error.

    Each step takes the places that remove most error per float layer. The steps end when no error is left to remove or
    a set would exceed half of the layers.
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
    """``floats`` with the layers of the place that removes most error per added layer."""
    best, most = floats, -1.0
    for extended in dict.fromkeys(floats.union(known.needed_by[place]) for place in left):
        freed = sum(effect for place, effect in left.items() if extended.issuperset(known.needed_by[place]))
        if (worth := freed / len(extended - floats)) > most:
            best, most = extended, worth
    return best


def with_float(spec: CandidateSpec, layers: Iterable[str]) -> CandidateSpec:
    """``spec`` with these layers left float as well."""
    return replace(spec, float_layers=tuple(dict.fromkeys((*spec.float_layers, *layers))))


Starts = Collection[tuple[str, ...]]
"""The sets of float layers that candidates were planned with; a candidate with more is already repaired."""


def repairable(
    tried: Sequence[EvaluatedCandidate], methods: Collection[Method], starts: Starts = ((),)
) -> list[EvaluatedCandidate]:
    """The candidates that more float layers could turn into the best one, most promising first, one per structure.

    They are planned candidates of ``methods`` that are not far too slow, because float layers repair no speed. If no
    candidate that gains is sure to pass, they are those that failed for accuracy or may still do so, closest to float
    first. Otherwise they must also gain something and be clearly faster than the best sure candidate.
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
    """The best passing candidate if a float layer could bring it closer to float; None if not of ``methods``."""
    best = next(iter(finalists(tried)), None)
    return best if best is not None and best.spec.method in methods and best.spec.float_layers in starts else None


def _repairable(item: EvaluatedCandidate, methods: Collection[Method], starts: Starts) -> bool:
    if any(_too_slow(gate) for gate in item.record.gates):
        return False
    whole = item.spec.method in methods and item.spec.float_layers in starts
    doubtful = item.passed and not item.likely_to_pass
    return whole and (doubtful or (not item.passed and item.record.code in _ACCURACY_CODES))


def _too_slow(gate: GateResult) -> bool:
    """Whether this is the latency gate, missed by more than the spread of a screening."""
    if gate.name != "max_latency_ratio" or gate.limit is None or gate.value is None:
        return False
    return gate.value > gate.limit * SCREEN_SLACK


def _ratio(item: EvaluatedCandidate) -> float:
    return float("inf") if item.record.ratio_p50 is None else item.record.ratio_p50
