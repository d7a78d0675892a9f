"""Makes the optimised forms of float and of the finalists before the proof, so that the proof measures what is served.

A form is tried once for the float file and once for each candidate whose speed is to be proved. Candidates that are
only screened get no form: forms of all candidates would cost more time than they save and change no ranking. A form
replaces its model file in every later measurement and in the release.
"""

import errno
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace as replace_in

from edge_agent.backends import Backend, ModelInfo
from edge_agent.device.optimized_form import LEAST_MODEL_BYTES, most_form_bytes
from edge_agent.errors import EdgeAgentError
from edge_agent.foreign.removal import remove_quietly
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import FLOAT_FORM, Task
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.forms.equality import answers_digest
from edge_agent.worker.forms.files import form_bytes, form_folder_of, key_here, seal_form
from edge_agent.worker.forms.making import make_form
from edge_agent.worker.forms.worth import gains, small_enough
from edge_agent.worker.forms.written import NOT_WRITTEN, too_large
from edge_agent.worker.measure import memory
from edge_agent.worker.measure.memory import FEW, measure_memory
from edge_agent.worker.measure.question import Served
from edge_agent.worker.search.evaluator import CandidateEvaluator
from edge_agent.worker.search.policy import EvaluatedCandidate, describe

_TIMEOUT_S = 300.0
"""Of making one form, however much time the stage has left."""
_SHARE = 0.25
"""The part of the stage's remaining time that a form may be expected to take, and that making it may take."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Forms(Protocol):
    """Prepares the optimised forms of a search's finalists and of float."""

    def of_float(self, reference: MeasuredModel) -> MeasuredModel:
        """Float's record, with its form if one is kept."""
        ...

    def of(self, item: EvaluatedCandidate) -> EvaluatedCandidate:
        """The candidate, with its form if one is kept."""
        ...


class FormTrials:
    """Tries a form for each file once.

    Attributes:
        warnings: warnings for the report.
        seconds: time spent on forms so far.
    """

    def __init__(
        self, context: Context, backend: Backend, info: ModelInfo, data: DataSet, evaluator: CandidateEvaluator
    ) -> None:
        """Make nothing yet.

        Args:
            context: the stage; float's form is stored in its folder.
            backend: the backend of the model's format.
            info: the float model.
            data: the sets; a form must return the same outputs on the search set.
            evaluator: builds candidates and gets the forms that replace their files.
        """
        self._context = context
        self._backend = backend
        self._info = info
        self._data = data
        self._evaluator = evaluator
        self._on = worth_trying(context.task, info)
        self._tried: set[Path] = set()
        self.warnings: list[str] = []
        self.seconds = 0.0

    def of_float(self, reference: MeasuredModel) -> MeasuredModel:
        """Float's record, with its form if one is kept; no gate limits the size of float."""
        folder = self._context.out_dir / FLOAT_FORM
        self._try(self._evaluator.float_served(), folder, "float", lambda _size: True)
        return replace_in(reference, form_bytes=form_bytes(folder) or None)

    def of(self, item: EvaluatedCandidate) -> EvaluatedCandidate:
        """The candidate, with its form if one is kept. Raises the errors of :meth:`.CandidateEvaluator.build`."""
        path = self._evaluator.files.build(item.spec, item.record.runtime or "")
        folder = form_folder_of(path)
        gates, float_bytes, model_bytes = self._context.task.gates, self._info.size_bytes, path.stat().st_size

        def fits(size: int) -> bool:
            return small_enough(gates, float_bytes=float_bytes, model_bytes=model_bytes, form_bytes=size)

        self._try(self._evaluator.target_served(item), folder, describe(item.record), fits)
        return replace(item, record=replace_in(item.record, form_bytes=form_bytes(folder) or None))

    def _try(self, served: Served, folder: Path, name: str, fits: Callable[[int], bool]) -> None:
        """Make the form of ``served`` in ``folder`` and keep it if its outputs are equal and it saves enough memory."""
        if not self._on or folder in self._tried or not self._in_time():
            return
        begun = time.monotonic()
        self._tried.add(folder)
        self._context.progress(self._context.fraction, f"making the optimised form of {name}", force=True)
        try:
            folder.mkdir()
            form = self._made(served, folder, name)
            kept = form is not None and fits(form_bytes(folder)) and self._stands(served, form, name)
            if kept:
                seal_form(folder, key_here(self._backend, served.runtime))
        except (EdgeAgentError, MemoryError, OSError) as error:  # the job goes on without this form
            passing = isinstance(error, OSError | MemoryError) or getattr(error, "code", "") == "stage_timeout"
            self._on = not passing  # what is short now is short for the next file, too
            self._warn(name, _why(error))
            form, kept = None, False
        if kept and form is not None:
            self._evaluator.forms[served.path] = form
        else:
            remove_quietly(folder)
        self.seconds += time.monotonic() - begun

    def _made(self, served: Served, folder: Path, name: str) -> Path | None:
        made = make_form(self._info.format, served, folder, min(_TIMEOUT_S, _SHARE * self._left_s()))
        if made.problem:
            self._warn(name, made.problem)
        # Where the format has no form, time is short or the disk is full, no other file gets one.
        self._on = made.form is not None or (bool(made.problem) and not made.late and made.problem != NOT_WRITTEN)
        most_bytes = most_form_bytes(min(self._info.size_bytes, Path(served.path).stat().st_size))
        if made.form is not None and form_bytes(folder) > most_bytes:
            self._warn(name, too_large(most_bytes))
            return None
        return made.form

    def _stands(self, served: Served, form: Path, name: str) -> bool:
        """Whether the form is worth it and returns equal outputs, in this order: a crash then hits another process."""
        as_form = Served(str(form), served.runtime, served.threads)
        model_memory, form_memory = measure_memory(
            [served, as_form], self._evaluator.feeds, lambda _done: None, repeats=FEW
        )
        if not gains(model_memory, form_memory):
            return False
        if self._digest(served) == self._digest(as_form):
            return True
        self._warn(name, "the form's outputs for the search windows are not exactly the same")
        return False

    def _warn(self, name: str, why: str) -> None:
        self.warnings.append(f"{name} is served without an optimised form: {why}")

    def _digest(self, served: Served) -> bytes:
        session = self._backend.open(Path(served.path), runtime=served.runtime, threads=served.threads)
        return answers_digest(session, self._info, self._data, "search", self._context.task)

    def _in_time(self) -> bool:
        """Whether the stage has time for two passes of the search set, a few measurements, and all later steps.

        A stage without a time limit always has.
        """
        float_ms = self._evaluator.reference.latency_p50_ms or 0.0
        passes_s = 2 * self._data.count("search") * float_ms / 1000.0
        return passes_s + FEW * memory.expected_s(float_ms, 2) <= _SHARE * self._left_s()

    def _left_s(self) -> float:
        limit_s = self._context.task.stage_timeout_s
        return limit_s - (time.monotonic() - self._context.begun) if limit_s else math.inf


def _why(error: Exception) -> str:
    """Why there is no form, after an error in this process."""
    if isinstance(error, OSError):
        return NOT_WRITTEN if error.errno in _FULL else f"{error.filename or 'its process'}: {error.strerror}"
    return str(error) or "making it needs more memory than this stage may have"


def worth_trying(task: Task, info: ModelInfo) -> bool:
    """Whether a job's models may have forms.

    A small model gets none, nor does a job that prefers size. A job on an operator's arrays gets none either, because
    the operator receives only the model file and needs the measurements of that file.
    """
    return task.arrays is None and task.recipe.prefer != "size" and info.size_bytes >= LEAST_MODEL_BYTES
