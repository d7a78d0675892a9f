"""Candidates that the search set refuses for counts of windows alone, and that may stand all the same. Pure.

The search set asks for half of what the verdict permits, so that what passes there mostly stands. Where nothing passes,
that margin would refuse what a proof may accept: with 150 search and 300 held-out windows, four that disagree are one
too many, and yet the proof succeeds more often than not. What the held-out set proves is proved whatever the search set
said, so the likeliest of these are given to it. One that would hardly pass is not: its refusal would only come later.
"""

from collections.abc import Iterable

from edge_agent.worker.search.policy import FINALISTS, SAME_SPEED, EvaluatedCandidate, in_order

WORTH_ASKING = 0.1
"""The chance to stand that earns a candidate the held-out set where nothing has passed."""

LEFT_TO_LABELS = 0.9
"""The same where labels will decide that the search set lacks: the agreement there, as what disagrees need not be
wrong."""

_COUNTED = ("min_agreement", "max_accuracy_drop")
_SCREENED = "max_latency_ratio"


def may_stand(item: EvaluatedCandidate) -> bool:
    """Whether a candidate failed nothing but counts of windows, and is worth the held-out set even so."""
    if item.passed or item.record.code not in ("agreement_too_low", "accuracy_too_low"):
        return False
    if not all(gate.passed for gate in item.record.gates if gate.name not in (*_COUNTED, _SCREENED)):
        return False
    if item.prospect is None:
        return (item.record.agreement or 0.0) >= LEFT_TO_LABELS
    return item.chance >= WORTH_ASKING


def likeliest(tried: Iterable[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    """The few that may stand, in the order of what is doubtful."""
    return in_order([item for item in tried if may_stand(item)], SAME_SPEED)[:FINALISTS]
