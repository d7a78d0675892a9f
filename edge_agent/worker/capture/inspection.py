"""The look at what came with a manifest before a sensor is asked: the model, and its labelled set.

Both are somebody else's files, so a process opens them that has neither a sensor nor anything else worth taking
(``python -m edge_agent.worker inspect JOB_DIR``), and what it leaves is read as foreign: typed, and of a bounded size.
A capture that opens no sensor, of an operator's own files, is such a process itself and looks with its own eyes.
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
"""A device under load may kill a process that is sound; a model that crashes its runtime does so again."""
_MAX_MESSAGE, _MAX_DETAIL = 600, 200
CHECKING = "checking model and data"
"""What is said while the model is looked at."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found: the model's signature, and of its labelled set, where one came with it, what it holds."""

    info: ModelInfo
    labelled: LabelledSummary | None = None


class _Line(msgspec.Struct, frozen=True):
    """A line of the other process: of progress, or the last one."""

    event: str = ""
    detail: str = ""
    code: str = ""
    message: str = ""
    status: str = ""


def look_at_model(context: Context) -> ModelInfo:
    """What the model is, once it is known that the task may be done with it.

    Raises:
        ModelError: the model cannot be read.
        RecipeError: the task asks for what is not available here.
        ContractError: the output's shape does not fit its kind.
        LimitError: ``out_of_memory``: a job for it takes more than a worker may have.
    """
    context.progress(0.0, CHECKING, force=True)
    backend = load(context.task.format)
    info = backend.inspect(context.model_path)
    check_memory(context.task.memory_bytes, info.size_bytes, backend.JOB_COPIES)
    check_asked(context.task, info)
    return info


def look_at_labels(context: Context, info: ModelInfo) -> LabelledSummary | None:
    """What the labelled set is, if there is one; raises as ``check_labelled_set``."""
    return check_labelled_set(context, info) if context.task.eval else None


def look_apart(context: Context) -> Inspected:
    """Have another process look at both, and read what it found.

    Raises:
        Refusal, EdgeAgentError: what the looks raise, with the same codes.
        LimitError: ``out_of_memory``, ``stage_timeout``.
        StageError: the process crashed, or left what cannot be read.
    """
    for attempt in range(_ATTEMPTS):
        ended, said = _run(context)
        outcome = _read(context, OUTCOME_FILE, Outcome)
        if outcome is not None:
            break
        _raise_end(ended, said, last=attempt == _ATTEMPTS - 1)
    if outcome is None or outcome.code:
        code, message = ("stage_crashed", "no outcome") if outcome is None else (outcome.code, outcome.message)
        raise Refusal(_known(code), message[:_MAX_MESSAGE])
    found = _read(context, INSPECTED_FILE, Inspected)
    if found is None:
        raise StageError("stage_crashed", "the model was inspected, and nothing was left that says what it is")
    return found


def _run(context: Context) -> tuple[ChildExit, _Line]:
    end = _Line()

    def take(line: str) -> None:
        nonlocal end
        try:
            told = msgspec.json.decode(line, type=_Line)
        except UNDECODABLE:
            return
        if told.event == "end":
            end = told
        elif told.detail not in ("", CHECKING):
            context.progress(0.0, told.detail[:_MAX_DETAIL])

    shutil.rmtree(context.job_dir / INSPECT, ignore_errors=True)
    argv = python_child("edge_agent.worker", INSPECT, str(context.job_dir))
    ended = Child(argv, limits=ChildLimits(timeout_s=_TIMEOUT_S), on_line=take).wait()
    return ended, end


def _raise_end(ended: ChildExit, said: _Line, *, last: bool) -> None:
    """Raise why there is no outcome; a crash only after the last attempt."""
    if ended.reason == "out_of_memory":
        raise LimitError("out_of_memory", "the model needs more memory to be opened than a worker may have")
    if ended.reason == "timeout":
        raise LimitError("stage_timeout", f"opening the model took more than {_TIMEOUT_S:g} s; shrink it")
    if said.status == "failed":
        raise EdgeAgentError(_known(said.code), said.message[:_MAX_MESSAGE])
    if last:
        raise StageError("stage_crashed", f"opening the model in a process of its own: it {ended.describe()}")


def _known(code: str) -> str:
    """A code as the other process told it: it had a hostile model open."""
    return code if code in CODES else "stage_crashed"


def _read(context: Context, name: str, kind: type[T]) -> T | None:
    """What the other process left as ``name``; None: nothing. Raises ``StageError`` for what nobody of ours leaves."""
    try:
        return decode(read_file(context.job_dir, INSPECT, name), kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StageError("stage_crashed", f"{INSPECT}/{name}: {error.strerror}") from None
    except UNDECODABLE as error:
        raise StageError("stage_crashed", f"{INSPECT}/{name}: {error}") from None
