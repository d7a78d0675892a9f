"""The code and the message of a search without a passing candidate. Pure."""

import math
from collections.abc import Iterable, Sequence

from edge_agent.jobs.precision import worded
from edge_agent.quant.gain import no_gain
from edge_agent.worker.search.policy import EvaluatedCandidate, closest, describe

_SPEED_CODES = ("latency_too_high", "latency_inconclusive", "too_noisy")
_NO_FASTER = " of such a model run in float, at float's speed: the gain is a smaller file"
_ALLOW_IT = ", and [gates] max_latency_ratio = 1.1 allows it"
_NO_BUDGET = "the search budget is too small; raise [recipe] search_budget_s, or set it to 0 for the default"


def why_none(tried: Sequence[EvaluatedCandidate], in_float: Iterable[str] = ()) -> tuple[str, str]:
    """The most informative code and sentence when no candidate is left.

    ``in_float``: the operators of this model that compute in float if only the weights are int8.

    The first choice is speed, for candidates that failed only there and would save size or memory. The second is the
    missing gain of the best candidate that met everything else. The third is the speed of the rest, and the last is the
    failure of the candidate closest to float.
    """
    late = [item for item in tried if item.record.code in _SPEED_CODES]
    worthless = [gate for item in tried if item.record.code == "no_gain" for gate in item.record.gates]
    if worthless and not any(item.gains for item in late):
        methods = {item.record.method for item in tried if item.record.code == "no_gain"}
        return "no_gain", worded(f"int8 refused: {no_gain(worthless)}", *methods)
    if late:
        relevant = [item for item in late if item.gains] or late
        quickest = min((item.record for item in relevant), key=lambda record: record.ratio_p50 or math.inf)
        floats = " and ".join(sorted(in_float)) if quickest.method == "uniform" else ""
        advice = f"; {floats}{_NO_FASTER}" if floats else ""
        if quickest.method == "uniform" and "[gates]" not in (quickest.message or ""):
            advice += _ALLOW_IT
        sentence = worded(f"int8 refused: {quickest.message}", quickest.method)
        return quickest.code or "no_candidate", f"{sentence} ({describe(quickest)}){advice}"
    best = closest(tried)
    if best is not None and best.record.code is not None:
        sentence = worded(best.record.message or "", best.record.method)
        return best.record.code, f"{sentence} (the closest candidate: {describe(best.record)})"
    reasons = "; ".join(sorted({item.record.message for item in tried if item.record.message}))
    none = worded("no int8 candidate could be tried", *(item.record.method for item in tried))
    return "no_candidate", f"{none}: {reasons or _NO_BUDGET}"
