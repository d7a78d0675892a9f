"""The model in 16-bit floats, as a candidate or for comparison with int8.

If ``[recipe] accept`` has fp16, the model is planned, scored, proved and judged like any other candidate. Otherwise it
is measured on the search set after the search and reported, and can never be chosen. Its speed depends on the device: a
processor with 16-bit arithmetic may save time; any other computes in 32 bits as before.
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

_INFINITE = 65520.0
"""The least number that becomes infinite in 16 bits; smaller ones are rounded to at most 65,504."""
_PEAKS_S = 5.0
"""Time limit of the search for the largest activations."""
_PEAKS_COPIES = 3.0
"""Time of a pass that finds the peaks, as a multiple of a float pass: the runtime fuses nothing."""
_SCREENING_S = 2.0
"""Time of a screening of one model besides its calls."""
_CONVERSION_COPIES = 2.0
"""Time of the conversion, as a multiple of the slowest rewrite of an int8 candidate; 1.9 measured for 96 MiB."""
_MODEL_COPIES = 3.5
"""Memory of the conversion, as a multiple of the model's size; 3.1 measured. The peaks need 1.2."""
_NOT_COMPARED = "the model in 16-bit floats was not compared"
_TOO_LARGE = "the conversion needs more memory than this stage may use"


def without_overflow(
    planned: list[CandidateSpec], context: Context, prepared: Prepared, search: Search
) -> list[CandidateSpec]:
    """``planned`` without the float16 candidate if activations overflow or memory is too small.

    The search then counts the candidate as refused.
    """
    if FLOAT16 not in planned:
        return planned
    try:
        _check(context, prepared)
    except ModelError as error:
        search.refuse(FLOAT16, error)
        return [spec for spec in planned if spec != FLOAT16]
    return planned


def compare_fp16(
    context: Context, prepared: Prepared, evaluator: CandidateEvaluator, search: Search
) -> MeasuredModel | None:
    """Measure the float16 model if it is no candidate; None if there is no time or the measurement fails.

    A failure adds a warning and does not end the job.
    """
    recipe = context.task.recipe
    if "fp16" in recipe.accept or recipe.io == "int8" or search.left_s() < _expected_s(prepared, evaluator):
        return None
    context.progress(PROVED, "comparing fp16", force=True)
    try:
        _check(context, prepared)
        return _weighed(context, evaluator, _scored(context, prepared, evaluator))
    except (ModelError, LimitError, StageError) as error:
        search.warn(f"{_NOT_COMPARED}: {error.message}")
    except MemoryError:
        search.warn(f"{_NOT_COMPARED}: {_TOO_LARGE}")
    except OSError as error:
        search.warn(f"{_NOT_COMPARED}: its file could not be written ({error.strerror}); free space in state_dir")
    finally:
        evaluator.files.discard(FLOAT16)
    return None


def _check(context: Context, prepared: Prepared) -> None:
    """Raise ``ModelError`` if the model has no float16 form.

    ``fp16_overflow``: as :func:`_check_peaks`; ``out_of_memory``: the conversion or the peaks need too much memory.
    """
    if not fits(context.task.memory_bytes, prepared.info.size_bytes, copies=_MODEL_COPIES):
        raise ModelError("out_of_memory", _TOO_LARGE)
    try:
        _check_peaks(context, prepared)
    except MemoryError as error:
        raise ModelError("out_of_memory", _TOO_LARGE) from error


def _check_peaks(context: Context, prepared: Prepared) -> None:
    """Raise ``ModelError`` (``fp16_overflow``) if a search window drives an activation beyond 16-bit floats.

    A value that is infinite in float is no reason for the error, because it may be a mask.
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
            if _INFINITE <= peak < math.inf:
                raise ModelError(
                    "fp16_overflow", f"tensor {name!r} reaches {peak:.3g}, and 16-bit floats end at 65,504"
                )
        if time.monotonic() > end:
            return
        if model is not None:
            carried.keep(model.run(feeds))


def _scored(context: Context, prepared: Prepared, evaluator: CandidateEvaluator) -> EvaluatedCandidate:
    """The float16 model after a screening and a pass of the search set. Raises the errors of both.

    One process is enough: with two models in it, ratios spread by 1 % (x86-64, a loaded machine).
    """
    screened = evaluator.screen([FLOAT16], processes=1)[FLOAT16]
    if isinstance(screened, ModelError):
        raise screened
    windows = prepared.data.count("search")
    pace = Pace(context, "comparing fp16, window", windows, begin=PROVED, end=(1.0 + PROVED) / 2, timed=False)
    return evaluator.with_speed(evaluator.score(FLOAT16, screened, pace), screened)


def _weighed(context: Context, evaluator: CandidateEvaluator, item: EvaluatedCandidate) -> MeasuredModel:
    """The record with the memory of the model and the gates that the benchmark applies to a chosen model.

    fp16 has no optimised form, so it is compared with float's model file, not with float's form. One process is enough
    for float, and none is needed for a model that is refused already.
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
    """The seconds of the comparison, for a model that is as slow as float."""
    call_ms = evaluator.reference.latency_p50_ms or 0.0
    pass_s = prepared.data.count("search") * call_ms / 1000.0
    peaks_s = min(_PEAKS_S, _PEAKS_COPIES * pass_s)
    making_s = _CONVERSION_COPIES * evaluator.files.rewriting_s
    return peaks_s + making_s + 2 * pass_s + _SCREENING_S + (FEW + 1) * memory.expected_s(call_ms, 1)
