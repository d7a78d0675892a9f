"""The benchmark stage: measures the memory of float and of the chosen model, the gain, and describes the device.

Both models are loaded as they are served: in their optimised forms, if the search has kept these.

Latency is proved earlier (:mod:`edge_agent.worker.measure.latency`), before the held-out set is opened, and
measurements while the device throttles are discarded there. Throttling does not change memory, so this stage only
records it.
"""

from dataclasses import replace as replace_in
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edge_agent.backends import load
from edge_agent.contract.carried_state import CarriedState
from edge_agent.device import board
from edge_agent.errors import StageError
from edge_agent.jobs.outcome import Outcome, read_result
from edge_agent.jobs.precision import in_its_words, worded
from edge_agent.jobs.result import MeasuredModel, MeasuredOn
from edge_agent.jobs.task import Stage, chosen_folder
from edge_agent.quant.findings import MEMORY_GATE
from edge_agent.quant.gain import GATE, gains
from edge_agent.quant.gates import evaluate_measured
from edge_agent.worker.artefacts import chosen_path, read_chosen, with_refusal
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.forms.files import key_here, served_file, served_float
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.memory import FEW, REPEATS, kept_ratio, measure_memory, measure_usual, with_memory
from edge_agent.worker.measure.question import Served
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.fp16_better import with_fp16_finding


def run(context: Context) -> Outcome:
    """Measure, describe the device, and judge peak memory and gain over float; raises as :func:`measure_memory`."""
    backend = load(context.task.format)
    info = backend.inspect(context.model_path)
    row = next(iter(open_dataset(context, info).rows("calibration")))
    feeds = context.out_dir / "feeds.npz"
    write_feeds(feeds, CarriedState(context.task.state, info).feeds(row))
    folder = chosen_folder(context.job_dir)
    chosen = read_chosen(folder)
    model = chosen_path(folder, backend.SUFFIX)
    as_pushed = _served(context.model_path, chosen.reference)
    float_key, key = (key_here(backend, one.runtime or "") for one in (chosen.reference, chosen.record))
    float_file = served_float(context.model_path, context.folder(Stage.QUANTIZE), float_key)
    as_served = replace_in(as_pushed, path=str(float_file))
    models = [as_served, _served(served_file(model, key), chosen.record)]
    deciding = REPEATS * len(models)
    pace = Pace(context, "measuring memory, process", deciding + FEW, begin=0.0, end=1.0)
    reference, target = measure_memory(models, feeds, pace)
    usual = measure_usual(as_pushed, feeds, lambda done: pace(deciding + done))
    feeds.unlink()
    before = read_result(context.job_dir)
    proved = before.chosen or chosen.record
    memory_ratio = kept_ratio(target.steady_rss_bytes, reference.steady_rss_bytes)
    gain = gains(
        time_ratio=proved.ratio_p50_upper,
        size_ratio=(model.stat().st_size + (proved.form_bytes or 0)) / info.size_bytes,
        memory_ratio=memory_ratio,
    )
    judgement = evaluate_measured(context.task.gates, target.peak_rss_bytes, memory_ratio, gain)
    kept = [gate for gate in proved.gates if gate.name not in (GATE, MEMORY_GATE)]  # judged again here
    measured = with_memory(proved, target, gates=[*kept, *judgement.gates])
    result = replace(
        before,
        reference=with_memory(before.reference or chosen.reference, reference),
        usual=None if usual is None else with_memory(MeasuredModel(method="float"), usual),
        chosen=measured,
        device=msgspec.convert(board.stamp(), MeasuredOn),
    )
    if not judgement.passed:
        refused = in_its_words(replace(measured, code=judgement.code, message=judgement.message))
        candidates = with_refusal(before.candidates, chosen.number, refused)
        result = replace(result, candidates=candidates)
    message = worded(judgement.message, measured.method)
    return with_fp16_finding(Outcome(code=judgement.code, message=message, results=result), context.task)


def _served(path: Path, record: MeasuredModel) -> Served:
    """The file at ``path``, served with the runtime and threads of ``record``."""
    if record.runtime is None or record.threads is None:
        raise StageError("stage_crashed", f"{path.name}: the record lacks runtime or threads")
    return Served(str(path), record.runtime, record.threads)
