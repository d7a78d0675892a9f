"""Which candidates stand before the held-out set: chances as one of many, and whether a second one follows. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.quant.prospect import Prospect, chances
from edge_agent.worker.search.policy import SAME_CHANCE, SURE, EvaluatedCandidate, farness, finalists
from edge_agent.worker.search.preference import tied

SHARED_CONFIDENCE = 1.0 - (1.0 - CONFIDENCE) / 2.0
"""Of each proof where two finalists share the held-out set (Bonferroni): together they err as often as one."""
_ALIKE = 0.2
"""How much the fall of one finalist says of the other: both are int8 of one model, on the same windows. Where neither
was wrong in 40 search windows, this foretells that one of them stands in 91 % of all cases; of simulated ones, 90 to
94 % do. Where each was wrong once in 50, 68 % are foretold, and 84 to 86 % stand
(``tests/bench/second_finalist.py``)."""
_PAYS = 1.05
"""The factor that is by far: a second one costs a proof of its speed and a pass of the held-out set."""
_FOR_WINDOWS = ("agreement_too_low", "accuracy_too_low", "output_kind_needed")


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate whose speed is proved, with what it was measured beside.

    Attributes:
        item: the candidate.
        reference: the float model, with its latency of that measurement.
        ratio_lower: the lower bound of the latency ratio.
    """

    item: EvaluatedCandidate
    reference: MeasuredModel
    ratio_lower: float


def with_chances(tried: Sequence[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    """``tried``, with the chance that each stands as one of all of them."""
    among = _chances(tried, CONFIDENCE)
    return [replace(item, chance=among.get(number, item.chance)) for number, item in enumerate(tried)]


def second_finalists(tried: Sequence[EvaluatedCandidate], first: EvaluatedCandidate) -> list[EvaluatedCandidate]:
    """Those that make the job likelier to end accepted beside ``first``: the likeliest, of these the closest to float.

    Two finalists share the held-out set, so each has to prove more; but one may stand where the other falls. A second
    one pays where it is likelier to prove that than the first is to prove what one alone has to, or where the first is
    doubtful and either of them is likelier by far. What gains nothing would be refused for that, so it follows nothing
    that does.
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
    """The chance that at least one of two stands, from the chance of each."""
    return one + (1.0 - one) * other * (1.0 - _ALIKE)


def _chances(tried: Sequence[EvaluatedCandidate], confidence: float) -> dict[int, float]:
    """Place in ``tried`` → chance, of those that fail nothing but what windows prove: no other can be chosen."""
    running: list[tuple[int, Prospect]] = [
        (number, item.prospect)
        for number, item in enumerate(tried)
        if item.prospect is not None and (item.passed or item.record.code in _FOR_WINDOWS)
    ]
    found = chances([prospect for _, prospect in running], confidence)
    return {number: chance for (number, _), chance in zip(running, found, strict=True)}
