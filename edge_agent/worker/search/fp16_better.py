"""Decides whether the model in 16-bit floats does better than int8, if the recipe excludes it. Pure.

The decision uses point estimates on the search set. They show that fp16 is worth judging and prove nothing. fp16
that was only compared has no optimised form, so sizes are of model files alone.
"""

import math

from msgspec.structs import replace

from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import Task
from edge_agent.wire.manifest import Preference
from edge_agent.worker.data.finding import Finding, with_more_findings
from edge_agent.worker.search.policy import COARSE, SAME_SPEED
from edge_agent.worker.search.preference import WEIGHTS, file_costs, score, tie

_OF_INT8 = frozenset({
    "agreement_too_low", "accuracy_too_low", "sqnr_too_low", "class_lost", "output_ruined", "detections_lost",
    "latency_too_high", "latency_inconclusive", "size_too_large", "memory_too_high", "no_gain", "no_candidate",
})  # fmt: skip
"""Codes of refusals that concern int8. Other refusals concern data, labels or the device, and so fp16 as well."""
_TO_DO = 'add "fp16" to [recipe] accept to have it judged'


def with_fp16_finding(outcome: Outcome, task: Task) -> Outcome:
    """``outcome``, with the finding ``fp16_better`` if fp16 does better."""
    result = outcome.results
    if not isinstance(result, Result) or (sentence := _sentence(outcome.code, result, task.recipe.prefer)) is None:
        return outcome
    finding = Finding("fp16_better", sentence, refuse=False)
    return replace(outcome, results=replace(result, data=with_more_findings(result.data, [finding])))


def _sentence(code: str, result: Result, prefer: Preference) -> str | None:
    """The sentence for a job that is refused with ``code`` or continues (empty code); None: fp16 does no better."""
    fp16, reference = result.fp16, result.reference
    if fp16 is None or fp16.code is not None or reference is None:
        return None
    if code:
        if code not in _OF_INT8:
            return None
        does = _does(fp16, reference)
        return f"int8 is refused here, and on the search set fp16 meets every gate: it {does}; {_TO_DO}"
    chosen, searched = result.chosen, _finalist(result)
    if chosen is None or searched is None or chosen.steady_rss_bytes is None:  # the benchmark is still to come
        return None
    gained = score(file_costs(chosen, reference), prefer) - score(file_costs(fp16, reference), prefer)
    if gained <= _least(prefer) or (fp16.agreement or 0.0) < (searched.agreement or 0.0):
        return None
    of_int8 = replace(chosen, windows=searched.windows, disagreements=searched.disagreements)
    return (
        f"on the search set fp16 does better than the int8 that passed: it {_does(fp16, reference)}, where int8 "
        f"{_does(of_int8, reference)}; {_TO_DO}"
    )


def _least(prefer: Preference) -> float:
    """The least advantage of fp16's score: its time is from one process, its memory from three."""
    return max(WEIGHTS[prefer].time * math.log1p(COARSE), tie(prefer, SAME_SPEED))


def _finalist(result: Result) -> MeasuredModel | None:
    """The record of the accepted candidate on the search set."""
    place = result.finalist
    return result.candidates[place] if place is not None and 0 <= place < len(result.candidates) else None


def _does(model: MeasuredModel, reference: MeasuredModel) -> str:
    """The part of a sentence with a model's agreement with float and its costs."""
    known = file_costs(model, reference)
    takes = [(known.time, "time"), (known.size, "size"), (known.memory, "memory")]
    parts = [f"{ratio:.2f} of its {what}" for ratio, what in takes if ratio is not None]
    windows = model.windows or 0
    agrees = f"agrees with float in {windows - (model.disagreements or 0)} of {windows} windows"
    return f"{agrees} and takes {', '.join(parts)}" if parts else agrees
