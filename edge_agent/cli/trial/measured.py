"""The engine's stages on the data of a trial: judged, or measured for size and speed alone."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from edge_agent.cli.progress import ProgressLine
from edge_agent.cli.stages import StagesEnd, run_stages
from edge_agent.cli.trial.plan import Plan
from edge_agent.cli.trial.request import Request
from edge_agent.device.memory import worker_memory_bytes
from edge_agent.draft.manifest import model_name
from edge_agent.errors import EdgeAgentError
from edge_agent.jobs.conclusion import conclude
from edge_agent.jobs.outcome import read_outcome
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import TASK_FILE, WORKER_STAGES, ArrayFiles, Stage, Task, encode_task
from edge_agent.state.durable import write_durably
from edge_agent.wire.manifest import Gates, Method, MinGain, Output, Recipe

SEARCH_S = 15.0
"""Search budget of a trial. With calibration, verdict and memory the trial takes less than a minute."""
UNJUDGED_SEARCH_S = 2.0
FEWEST_ROWS, MOST_ROWS = 120, 600
"""Half of the rows are held out: 60 prove an agreement of 95 % without a disagreement, 300 with eight."""
_PASSES_S = 6.0
"""Limit for one float pass over all rows, because calibration and verdict need several passes."""
_MEMORY_SHARE = 4
"""Rows may take a quarter of the memory. They are in a file, and in a second one while they are packed for the engine.
Many systems hold temporary files in memory."""
PACE_ROWS = 9
"""Number of random rows for the speed of float."""
_NO_GATES = Gates(
    min_agreement=0.0, max_accuracy_drop=0.0, min_sqnr_db=0.0, max_latency_ratio=0.0, max_size_ratio=0.0,
    min_class_recall=0.0, min_gain=MinGain(time=0.0, size=0.0, memory=0.0),
)  # fmt: skip
_METHODS: tuple[Method, ...] = ("uniform", "dynamic", "static")
_TELLS_ACCURACY = frozenset(
    {"windows", "windows_effective", "disagreements", "agreement", "agreement_lower", "confidence", "sqnr_db",
     "cosine", "max_abs_error", "accuracy", "gates", "pareto", "preference"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """Size and speed of one method's int8 model, or why there is none. Accuracy is unknown."""

    method: str
    record: MeasuredModel | None
    code: str = ""
    message: str = ""

    def numbers(self) -> dict[str, Any]:
        """All known numbers, without those that random data make meaningless."""
        body: dict[str, Any] = {"method": self.method, "code": self.code, "message": self.message}
        if self.record is not None:
            record = msgspec.structs.asdict(self.record)
            kept = {key: value for key, value in record.items() if key not in _TELLS_ACCURACY and value is not None}
            body = {**kept, **body}
        return body


class Bench:
    """Runs jobs, each in a folder of its own with a copy of the model."""

    def __init__(self, request: Request, work: Path) -> None:
        self._request = request
        self._work = work
        self._model = work / f"model{request.model.suffix.lower()}"
        shutil.copyfile(request.model, self._model)

    def task(self, plan: Plan | None = None, **fields: Any) -> Task:
        """A task on the model, fed and judged by ``plan``."""
        known: dict[str, Any] = {}
        if plan is not None:
            asked = plan.recipe
            known = {
                "inputs": plan.constants, "output": asked.output, "outputs": asked.outputs, "recipe": asked.recipe,
                "gates": asked.gates, "state": asked.state,
            }  # fmt: skip
        return Task(
            job="try",
            name=model_name(self._request.model.stem),
            version=1,
            format=self._request.format,
            model=self._model.name,
            memory_bytes=worker_memory_bytes(0),
            **{**known, **fields},
        )

    def job(self, name: str, task: Task) -> Path:
        """A job's directory, ready for its first stage."""
        folder = self._work / name
        folder.mkdir()
        target = folder / task.model
        try:
            os.link(self._model, target)
        except OSError:  # a file system without links
            shutil.copyfile(self._model, target)
        write_durably(folder / TASK_FILE, encode_task(task))
        return folder

    def row_seconds(self, plan: Plan, random: Path) -> float:
        """Seconds of one float call without loading; 0 if it fails, and a later stage then reports why."""
        from edge_agent.worker.artefacts import read_ranges  # noqa: PLC0415  # numpy

        job = self.job("pace", self._unjudged(plan, "static", random))
        with ProgressLine() as line:
            end = run_stages(job, (Stage.CAPTURE, Stage.CALIBRATE), line)
        if end.code:
            return 0.0
        ranges = read_ranges(job / Stage.CALIBRATE)
        return ranges.float_pass_s / max(1, ranges.windows)

    def judge(self, plan: Plan, data: Path) -> Result:
        """The engine's verdict on real data."""
        recipe = plan.recipe.recipe
        if not recipe.search_budget_s:
            recipe = replace(recipe, search_budget_s=SEARCH_S)
        job = self.job("judged", self.task(plan, recipe=recipe, arrays=ArrayFiles(calibration=str(data))))
        end = self._run(job, WORKER_STAGES)
        return conclude(job, end.code or "accepted", end.message, end.seconds)

    def measure(self, plan: Plan, data: Path) -> tuple[MeasuredModel | None, list[Measured]]:
        """Measure size and speed of float and of each method's model, with ranges of data that prove nothing.

        Raises:
            EdgeAgentError: float cannot be fed with them.
        """
        job = self.job("unjudged", self._unjudged(plan, "static", data))
        end = self._run(job, (Stage.CAPTURE, Stage.CALIBRATE))
        if end.code:
            raise EdgeAgentError(end.code, end.message)
        reference: MeasuredModel | None = None
        found: list[Measured] = []
        for method in _METHODS:
            write_durably(job / TASK_FILE, encode_task(self._unjudged(plan, method, data)))
            end = self._run(job, (Stage.QUANTIZE, Stage.BENCHMARK))  # between them no held-out set is opened
            outcome = None if end.code else read_outcome(job, Stage.BENCHMARK)
            result = outcome.results if outcome is not None else msgspec.UNSET
            record = None
            if result is not msgspec.UNSET:
                reference, record = result.reference or reference, result.chosen
            found.append(Measured(method, record, end.code, end.message))
        return reference, found

    def _unjudged(self, plan: Plan, method: Method, data: Path) -> Task:
        return self.task(
            plan,
            output=Output(kind="raw"),
            outputs=[],
            gates=_NO_GATES,
            recipe=Recipe(
                method=method,
                calibration="minmax" if method == "static" else "auto",  # which ranges is no matter of size or speed
                search_budget_s=UNJUDGED_SEARCH_S,
            ),
            arrays=ArrayFiles(calibration=str(data)),
        )

    def _run(self, job: Path, stages: Sequence[Stage]) -> StagesEnd:
        with ProgressLine() as line:
            return run_stages(job, stages, line)


def fewest(plan: Plan) -> int:
    """The fewest rows with which the plan's gates can be proved. Half of the rows are held out."""
    from edge_agent.worker.capture.enough_rows import heldout_needed  # noqa: PLC0415  # numpy

    asked = plan.recipe
    task = Task(
        job="try", name="model", version=1, format="onnx", model="", output=asked.output, outputs=asked.outputs,
        gates=asked.gates,
    )  # fmt: skip
    return 2 * heldout_needed(task, labelled=False).rows


def rows_wanted(row_s: float, room: int) -> int:
    """The number of rows that fit into a trial's minute and into ``room``.

    Args:
        row_s: seconds of a call of float; 0: unknown.
        room: the rows that memory has room for.
    """
    in_time = _PASSES_S / row_s if row_s else MOST_ROWS
    return min(room, max(FEWEST_ROWS, min(MOST_ROWS, int(in_time))))


def room_for_rows(row_bytes: int) -> int:
    """The number of rows that fit into memory beside the engine, at least one."""
    known = worker_memory_bytes(0)
    return max(1, known // _MEMORY_SHARE // max(1, row_bytes)) if known else MOST_ROWS
