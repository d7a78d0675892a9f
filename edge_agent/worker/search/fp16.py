"""The model in 16-bit floats, beside int8 or as one of the candidates: whether it fits, and what it does.

Where ``[recipe] accept`` has fp16 it is planned, scored, proved and judged like any other candidate. Else it is
measured when the search is over, on the search set, and told of: it can never be chosen. How fast it is only the device
can say. A processor with 16-bit arithmetic may win time; one without computes in 32 bits as before.
"""

import math
import time

from msgspec.structs import replace

from edge_agent.backends import CandidateSpec
from edge_agent.contract.carried_state import CarriedState
from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.jobs.precision import in_its_words
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import Stage
from edge_agent.quant.gain import gains
from edge_agent.quant.gates import evaluate_measured
from edge_agent.worker.artefacts import prepared_path
from edge_agent.worker.context import Context
from edge_agent.worker.measure import memory
from edge_agent.worker.measure.memory import FEW, kept_ratio, measure_memory, with_memory
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.evaluator import CandidateEvaluator
from edge_agent.worker.search.policy import FLOAT16, EvaluatedCandidate
from edge_agent.worker.search.preference import file_costs
from edge_agent.worker.search.prepared import Prepared
from edge_agent.worker.search.search import PROVED, Search
from edge_agent.worker.search.sensitivity import fits

_LARGEST = 65504.0
"""The largest 16-bit float."""
_PEAKS_S = 5.0
"""After this no further window is looked at for how large activations become."""
_SCREENING_S = 2.0
"""What a screening of one model takes besides its calls."""
_NOT_COMPARED = "the model in 16-bit floats was not compared"


def without_overflow(
    planned: list[CandidateSpec], context: Context, prepared: Prepared, search: Search
) -> list[CandidateSpec]:
    """``planned``, without the float16 candidate if activations outgrow it, which the search then counts as refused."""
    if FLOAT16 not in planned:
        return planned
    try:
        _check_peaks(context, prepared)
    except ModelError as error:
        search.refuse(FLOAT16, error)
        return [spec for spec in planned if spec != FLOAT16]
    return planned


def compare_fp16(
    context: Context, prepared: Prepared, evaluator: CandidateEvaluator, search: Search
) -> MeasuredModel | None:
    """What is measured of the float16 model where it is no candidate; None where there is no time, or it fails.

    A failure is worth a sentence and ends nothing.
    """
    if "fp16" in context.task.recipe.accept or search.left_s() < _expected_s(prepared, evaluator):
        return None
    if not fits(context.task.memory_bytes, prepared.info.size_bytes):
        search.warn(f"{_NOT_COMPARED}: this model needs more memory for that")
        return None
    context.progress(PROVED, "comparing fp16", force=True)
    try:
        _check_peaks(context, prepared)
        return _weighed(context, evaluator, _scored(context, prepared, evaluator))
    except (ModelError, LimitError, StageError) as error:
        search.warn(f"{_NOT_COMPARED}: {error.message}")
    except MemoryError:
        search.warn(f"{_NOT_COMPARED}: it needs more memory than this stage may have")
    return None


def _check_peaks(context: Context, prepared: Prepared) -> None:
    """Raise ``ModelError`` (``fp16_overflow``) if a search window drives an activation beyond 16-bit floats.

    What is infinite in float is so in 16 bits, too, and no reason: a mask may be.
    """
    task, backend = context.task, prepared.backend
    path = prepared_path(context.folder(Stage.CALIBRATE), backend.SUFFIX)
    peaks = backend.float16_peaks(path)
    if peaks is None:
        return
    carried = CarriedState(task.state, prepared.info)
    model = backend.open(path, runtime=prepared.ranges.runtimes[0]) if task.state else None
    end = time.monotonic() + _PEAKS_S
    for row in prepared.data.rows("search"):
        feeds = carried.feeds(row)
        for name, peak in peaks.run(feeds).items():
            if _LARGEST < peak < math.inf:
                raise ModelError(
                    "fp16_overflow", f"tensor {name!r} reaches {peak:.3g}, and 16-bit floats end at 65,504"
                )
        if time.monotonic() > end:
            return
        if model is not None:
            carried.keep(model.run(feeds))


def _scored(context: Context, prepared: Prepared, evaluator: CandidateEvaluator) -> EvaluatedCandidate:
    """The float16 model after a screening and a pass of the search set; raises as these.

    One process does: with two models in it, ratios spread 1 % (x86-64, a loaded machine).
    """
    screened = evaluator.screen([FLOAT16], processes=1)[FLOAT16]
    if isinstance(screened, ModelError):
        raise screened
    windows = prepared.data.count("search")
    pace = Pace(context, "comparing fp16, window", windows, begin=PROVED, end=(1.0 + PROVED) / 2, timed=False)
    return evaluator.with_speed(evaluator.score(FLOAT16, screened, pace), screened)


def _weighed(context: Context, evaluator: CandidateEvaluator, item: EvaluatedCandidate) -> MeasuredModel:
    """Its record with its memory, and what the gates say that the benchmark holds a chosen model against.

    It has no optimised form, so it is held against float's model file, not against float's form. Of float one process
    is enough, and none is needed for what is refused already.
    """
    gates, reference = context.task.gates, evaluator.reference
    refused = item.record.code is not None
    pace = Pace(context, "comparing fp16, process", FEW + 1, begin=(1.0 + PROVED) / 2, end=1.0, timed=False)
    (taken,) = measure_memory([evaluator.target_served(item)], evaluator.feeds, pace, repeats=1 if refused else FEW)
    ratio = None
    if not refused:
        (of_float,) = measure_memory(
            [evaluator.float_file_served()], evaluator.feeds, lambda _: pace(FEW + 1), repeats=1
        )
        ratio = kept_ratio(taken.steady_rss_bytes, of_float.steady_rss_bytes)
    known = file_costs(item.record, reference)
    gain = gains(time_ratio=known.time, size_ratio=known.size, memory_ratio=ratio)
    known_gates = gates if ratio is not None else replace(gates, max_memory_ratio=None)
    judgement = evaluate_measured(known_gates, taken.peak_rss_bytes, 1.0 if ratio is None else ratio, gain)
    found = with_memory(item.record, taken, memory_ratio=ratio, gates=[*item.record.gates, *judgement.gates])
    if found.code is None and not judgement.passed:
        found = replace(found, code=judgement.code, message=judgement.message)
    return in_its_words(found)


def _expected_s(prepared: Prepared, evaluator: CandidateEvaluator) -> float:
    """Seconds of the comparison with a model that is as slow as float."""
    call_ms = evaluator.reference.latency_p50_ms or 0.0
    passes_s = 2 * prepared.data.count("search") * call_ms / 1000.0
    return passes_s + _SCREENING_S + (FEW + 1) * memory.expected_s(call_ms, 1)
