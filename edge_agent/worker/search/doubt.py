"""Selects candidates that fail the search set only by counts of windows and may still pass the verdict. Pure.

The search set permits half of the disagreements that the verdict permits, so that a candidate that passes there mostly
passes the verdict. If nothing passes, that margin would refuse candidates that a proof may accept: with 150 search and
300 held-out windows, four disagreements are one too many, and yet the proof succeeds more often than not. A proof on
the held-out set is valid whatever the search set showed, so the most likely of these candidates go there. A candidate
with hardly a chance does not, because that would only delay its refusal.
"""

from collections.abc import Iterable

from edge_agent.worker.search.policy import FINALISTS, SAME_SPEED, EvaluatedCandidate, in_order

WORTH_ASKING = 0.1
"""The chance to pass that earns a candidate the held-out set if nothing has passed."""
_LEFT_TO_LABELS = 0.9
"""The agreement that does so if labels will decide that the search set lacks: a disagreement need not be an error."""
_COUNTED = ("min_agreement", "max_accuracy_drop")
_SCREENED = "max_latency_ratio"


def may_stand(item: EvaluatedCandidate) -> bool:
    """Whether a candidate failed only by counts of windows and is still worth the held-out set."""
    if item.passed or item.record.code not in ("agreement_too_low", "accuracy_too_low"):
        return False
    if not all(gate.passed for gate in item.record.gates if gate.name not in (*_COUNTED, _SCREENED)):
        return False
    return is_worth_asking(None if item.prospect is None else item.chance, item.record.agreement or 0.0)


def is_worth_asking(chance: float | None, agreement: float) -> bool:
    """Whether counts of windows leave a candidate enough hope.

    Args:
        chance: the chance to pass on the held-out set; None if the search windows do not show it.
        agreement: the share of search windows that agree with float.
    """
    return agreement >= _LEFT_TO_LABELS if chance is None else chance >= WORTH_ASKING


def likeliest(tried: Iterable[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
    """The few candidates that may stand, most likely first."""
    return in_order([item for item in tried if may_stand(item)], SAME_SPEED)[:FINALISTS]
