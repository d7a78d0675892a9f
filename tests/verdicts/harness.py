"""Judges one case with the real stages: capture, calibrate and validate, and the benchmark where memory decides.

The search is left out, and so is the measurement of time: its bounds are the case's.

What a search would leave is written by hand: the sabotaged model is the chosen candidate, and what the output means is
found from float's outputs on the search set, as the search finds it.
"""

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from support.jobs import make_job, run_stages
from verdicts.case import ACCEPTED, Array, Case, End, Windows
from verdicts.models import write_models

from edge_agent.backends import CandidateSpec, load
from edge_agent.errors import EdgeAgentError
from edge_agent.jobs.data_summary import OutputKindFound
from edge_agent.jobs.outcome import Outcome, read_result
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import CHOSEN_FILE, OUTCOME_FILE, Stage, read_task
from edge_agent.quant.gain import GATE
from edge_agent.wire.manifest import MinGain
from edge_agent.worker.artefacts import Chosen, chosen_path, read_ranges
from edge_agent.worker.capture.labelled_set import check_kind
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.search.scoring import ReferenceOutputs

_LABELS_SEEN = 64


def judge(case: Case, folder: Path) -> End:
    """How ``case`` ends; its job is made in ``folder``."""
    shape = case.heldout.values.shape[1:]
    wanted, target = write_models(folder, shape, case.model, case.tamper, case.tamper_second)
    job_dir = make_job(
        folder,
        wanted,
        _arrays(case.calibration),
        _arrays(case.heldout),
        labelled=None if case.evaluation is None else _arrays(case.evaluation),
        output=case.output,
        gates=case.gates,
    )
    try:
        outcome = run_stages(job_dir, Stage.CAPTURE)
        if not outcome.code:
            outcome = run_stages(job_dir, Stage.CALIBRATE)
        if not outcome.code:
            leave_chosen(job_dir, target, case.took)
            outcome = run_stages(job_dir, Stage.VALIDATE)
        if not outcome.code and case.took is not None and not _gain_is_known(job_dir):
            outcome = run_stages(job_dir, Stage.BENCHMARK)
    except EdgeAgentError as error:
        return End(error.code, error.message)
    data = read_result(job_dir).data
    said = [*data.warnings, *(f"{finding.code}: {finding.message}" for finding in data.findings)]
    return End(outcome.code or ACCEPTED, outcome.message, said)


def _arrays(windows: Windows) -> dict[str, Array]:
    """The arrays of a file as the operator gives it. Marks are spread, so that nothing is to be said of them."""
    values = windows.values.astype(np.float32)
    spread = np.random.default_rng(0).uniform(0.0, 0.4, len(values))
    marked = (spread + 0.6 * windows.marked).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    others = {"labels": windows.labels, "groups": windows.groups}
    return {"x": values, "mark": marked} | {name: one for name, one in others.items() if one is not None}


def _gain_is_known(job_dir: Path) -> bool:
    """Whether it is decided what is gained, without memory."""
    chosen = read_result(job_dir).chosen
    asked = read_task(job_dir).gates.min_gain
    return asked == MinGain(0, 0, 0) or (chosen is not None and any(gate.name == GATE for gate in chosen.gates))


def leave_chosen(job_dir: Path, target: Path, took: tuple[float, float] | None = None) -> None:
    """Leave what the quantize stage leaves when ``target`` is its best candidate.

    ``took``: the bounds of its time as a multiple of float's.
    """
    lower, upper = took or (None, None)
    task = read_task(job_dir)
    backend = load(task.format)
    folder = job_dir / Stage.QUANTIZE
    folder.mkdir()
    context = Context(job_dir, folder, task, Stage.QUANTIZE, lambda *_: None)
    data = open_dataset(context, backend.inspect(context.model_path))
    runtime = read_ranges(context.folder(Stage.CALIBRATE)).runtimes[0]
    with ReferenceOutputs(backend, context.model_path, data, "search", task, folder / "float.bin") as floats:
        floats.run(lambda _: None, runtime=runtime)
        meaning = floats.meaning(task.output, _labels(data))
    check_kind(context.folder(Stage.CAPTURE), meaning)
    record = MeasuredModel(method="uniform", runtime=runtime, threads=1, ratio_p50_upper=upper)
    chosen = Chosen(
        number=0,
        spec=CandidateSpec("uniform"),
        record=record,
        reference=MeasuredModel(method="float", runtime=runtime, threads=1),
        output=meaning.output,
        ratio_lower=lower,
    )
    (folder / CHOSEN_FILE).write_bytes(msgspec.json.encode(chosen))
    shutil.copyfile(target, chosen_path(folder, target.suffix))
    before = read_result(job_dir)
    found = msgspec.structs.replace(before.data, output=OutputKindFound(meaning.kind, meaning.found))
    result = msgspec.structs.replace(before, reference=chosen.reference, candidates=[record], data=found)
    (folder / OUTCOME_FILE).write_bytes(msgspec.json.encode(Outcome(results=result)))


def _labels(data: Any) -> list[Any] | None:
    """A few labels, of the search set or else of the held-out set."""
    for split in ("search", "heldout"):
        if found := [row.label for row in islice(data.rows(split), _LABELS_SEEN) if row.label is not None]:
            return found
    return None
