"""Selects the candidates for the held-out set, by their chance as one of many, and decides on a second one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.quant.prospect import Prospect, chances
from edge_agent.worker.search.policy import SAME_CHANCE, SURE, EvaluatedCandidate, farness, finalists
from edge_agent.worker.search.preference import tied

SHARED_CONFIDENCE = 1.0 - (1.0 - CONFIDENCE) / 2.0
"""Confidence of each proof if two finalists share the held-out set (Bonferroni): together they err as often as one."""
_ALIKE = 0.2
"""The part by which the failure of one finalist lowers the chance of the other: both are int8 of one model, on the same
windows. If neither was wrong in 40 search windows, the predicted chance that one of them passes is 91 %, and in 90 to
94 % of simulated cases one does. If each was wrong once in 50 windows, the predicted chance is 68 %, and in 84 to 86 %
one passes (``tests/bench/second_finalist.py``)."""
_PAYS = 1.05
"""The factor that pays for a second finalist, which costs a proof of its speed and a pass of the held-out set."""
_FOR_WINDOWS = ("agreement_too_low", "accuracy_too_low", "output_kind_needed")


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate with proved speed, and the float model of the same measurement.

    Attributes:
        item: the candidate.
        reference: the float model, with its latency in that measurement.
        ratio_lower: the lower bound of the latency ratio.
    """

    item: EvaluatedCandidate
    reference: MeasuredModel
    ratio_lower: float


def with_chances(tried: Sequence[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    """``tried``, each with its chance to pass on the held-out set, given that it is one of many."""
    among = _chances(tried, CONFIDENCE)
    return [replace(item, chance=among.get(number, item.chance)) for number, item in enumerate(tried)]


def second_finalists(tried: Sequence[EvaluatedCandidate], first: EvaluatedCandidate) -> list[EvaluatedCandidate]:
    """The candidates that raise the chance of acceptance beside ``first``: likeliest first, then closest to float.

    Two finalists share the held-out set, so each has to prove more, but one may pass if the other fails. A second one
    pays if its chance of the stricter proof exceeds the first one's chance of proof alone. It also pays if the first is
    doubtful and the chance that at least one passes is higher by :data:`_PAYS`. A candidate that gains nothing would be
    refused for that, so it never follows one that gains.
    """
    if first.prospect is None:
        return []
    shared = {
        tried[number].spec: prospect.absolute(chance)
        for number, chance in _chances(tried, SHARED_CONFIDENCE).items()
        if (prospect := tried[number].prospect) is not None
    }
    alone, beside = first.prospect.absolute(first.chance), shared.get(first.spec, 0.0)
    others = [item for item in finalists(tried) if item.spec != first.spec and item.gains >= first.gains]
    likelier = [
        item
        for item in others
        if (own := shared.get(item.spec, 0.0)) > alone or (alone < SURE and either(beside, own) > alone * _PAYS)
    ]
    groups = tied(likelier, lambda item: -shared[item.spec], SAME_CHANCE)
    return [item for alike in groups for item in sorted(alike, key=farness)]


def either(one: float, other: float) -> float:
    """The chance that at least one of two finalists passes, from the chance of each."""
    return one + (1.0 - one) * other * (1.0 - _ALIKE)


def _chances(tried: Sequence[EvaluatedCandidate], confidence: float) -> dict[int, float]:
    """Place in ``tried`` → chance, for candidates that fail at most by counts of windows; no other can be chosen."""
    running: list[tuple[int, Prospect]] = [
        (number, item.prospect)
        for number, item in enumerate(tried)
        if item.prospect is not None and (item.passed or item.record.code in _FOR_WINDOWS)
    ]
    found = chances([prospect for _, prospect in running], confidence)
    return {number: chance for (number, _), chance in zip(running, found, strict=True)}
