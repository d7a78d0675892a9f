"""Inspects a manifest's model and labelled set before a sensor is opened.

Both are foreign files. A separate process opens them that has no sensor and nothing else worth stealing
(``python -m edge_agent.worker inspect JOB_DIR``). Its output is read as foreign data: typed, and of bounded size. A
capture from an operator's own files opens no sensor, so it inspects both files itself.
"""

import shutil
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from edge_agent.backends import ModelInfo, load
from edge_agent.errors import CODES, EdgeAgentError, LimitError, Refusal, StageError
from edge_agent.foreign.decoding import decode
from edge_agent.foreign.opening import read_file
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import INSPECT, INSPECTED_FILE, OUTCOME_FILE
from edge_agent.process.child import Child
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.program import python_child
from edge_agent.strict import UNDECODABLE
from edge_agent.worker.capture.labelled_set import LabelledSummary, check_labelled_set
from edge_agent.worker.capture.preflight import check_asked, check_memory
from edge_agent.worker.context import Context

T = TypeVar("T")

_TIMEOUT_S = 1800.0
_ATTEMPTS = 2
"""A device under load may kill a sound process; a model that crashes its runtime crashes it again."""
_MAX_MESSAGE, _MAX_DETAIL = 600, 200
CHECKING = "checking model and data"
"""The progress detail while the model is inspected."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """The results of the inspection: the model's signature, and a summary of its labelled set, if there is one."""

    info: ModelInfo
    labelled: LabelledSummary | None = None


class _Line(msgspec.Struct, frozen=True):
    """A line of the other process: progress, or the end."""

    event: str = ""
    detail: str = ""
    code: str = ""
    message: str = ""
    status: str = ""


def look_at_model(context: Context) -> ModelInfo:
    """The model's signature, after checking that the task is possible with it.

    Raises:
        ModelError: the model cannot be read.
        RecipeError: the task requests something that is not available here.
        ContractError: the output's shape does not fit its kind.
        LimitError: ``out_of_memory``: a job for the model takes more memory than a worker may have.
    """
    context.progress(0.0, CHECKING, force=True)
    backend = load(context.task.format)
    info = backend.inspect(context.model_path)
    check_memory(context.task.memory_bytes, info.size_bytes, backend.JOB_COPIES)
    check_asked(context.task, info)
    return info


def look_at_labels(context: Context, info: ModelInfo) -> LabelledSummary | None:
    """A summary of the labelled set, if there is one; raises as ``check_labelled_set``."""
    return check_labelled_set(context, info) if context.task.eval else None


def look_apart(context: Context) -> Inspected:
    """Inspect both files in another process, and read its results.

    Raises:
        Refusal, EdgeAgentError: those of the inspection, with the same codes.
        LimitError: ``out_of_memory``, ``stage_timeout``.
        StageError: the process crashed, or left unreadable results.
    """
    for attempt in range(_ATTEMPTS):
        ended, end = _run(context)
        outcome = _read(context, OUTCOME_FILE, Outcome)
        if outcome is not None:
            break
        _raise_end(ended, end, last=attempt == _ATTEMPTS - 1)
    if outcome is None or outcome.code:
        code, message = ("stage_crashed", "no outcome") if outcome is None else (outcome.code, outcome.message)
        raise Refusal(_known(code), message[:_MAX_MESSAGE])
    found = _read(context, INSPECTED_FILE, Inspected)
    if found is None:
        raise StageError("stage_crashed", "the model's inspection left no result; report it with the log")
    return found


def _run(context: Context) -> tuple[ChildExit, _Line]:
    end = _Line()

    def take(line: str) -> None:
        nonlocal end
        try:
            event = msgspec.json.decode(line, type=_Line)
        except UNDECODABLE:
            return
        if event.event == "end":
            end = event
        elif event.detail not in ("", CHECKING):
            context.progress(0.0, event.detail[:_MAX_DETAIL])

    shutil.rmtree(context.job_dir / INSPECT, ignore_errors=True)
    argv = python_child("edge_agent.worker", INSPECT, str(context.job_dir))
    ended = Child(argv, limits=ChildLimits(timeout_s=_TIMEOUT_S), on_line=take).wait()
    return ended, end


def _raise_end(ended: ChildExit, end: _Line, *, last: bool) -> None:
    """Raise the reason for a missing outcome; a crash is raised only after the last attempt."""
    if ended.reason == "out_of_memory":
        raise LimitError("out_of_memory", "opening the model needs more memory than a worker may have")
    if ended.reason == "timeout":
        raise LimitError("stage_timeout", f"opening the model took more than {_TIMEOUT_S:g} s; shrink it")
    if end.status == "failed":
        raise EdgeAgentError(_known(end.code), end.message[:_MAX_MESSAGE])
    if last:
        raise StageError("stage_crashed", f"the process that opened the model {ended.describe()}")


def _known(code: str) -> str:
    """``code`` if it is known. The other process had a possibly hostile model open, so its code is not trusted."""
    return code if code in CODES else "stage_crashed"


def _read(context: Context, name: str, kind: type[T]) -> T | None:
    """The file ``name`` that the other process left; None if there is none. Raises ``StageError`` if it is invalid."""
    try:
        return decode(read_file(context.job_dir, INSPECT, name), kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StageError("stage_crashed", f"{INSPECT}/{name}: {error.strerror}") from None
    except UNDECODABLE as error:
        raise StageError("stage_crashed", f"{INSPECT}/{name}: {error}") from None
