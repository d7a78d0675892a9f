"""What a stage leaves in its folder: how it ended, and the result object as far as it is known by then.

A stage had a model of somebody else's open, so what it left is read as :mod:`edge_agent.foreign` does: bounded, typed,
texts cut. A sound model may have names of megabytes; the stage itself cuts them, so that its outcome can be read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge_agent.errors import CODES, StageError
from edge_agent.foreign.decoding import MOST_VALUES, cut, cut_text, decode, values_in
from edge_agent.foreign.opening import MOST_BYTES, read_file
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import Result
from edge_agent.jobs.task import OUTCOME_FILE, WORKER_STAGES, Stage
from edge_agent.jobs.told_result import bounded
from edge_agent.strict import UNDECODABLE, why

K = TypeVar("K")

_SHORTER = ((2000, 4096), (300, 1000), (100, 200), (40, 20))
"""Characters of a text, items of a list: how an outcome that is too large is made smaller, step by step."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a stage ended. ``code`` empty: go on with the next stage."""

    code: str = ""
    message: str = ""
    results: Result | msgspec.UnsetType = msgspec.UNSET
    """The whole result object so far; left out where the stage adds nothing."""
    model_sha256: str | msgspec.UnsetType = msgspec.UNSET
    """Of the int8 model that was accepted: SHA-256 of its file. Left by ``validate``."""
    form_sha256: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    """Of an optimised form: file → SHA-256. ``validate`` leaves that of the accepted model, ``quantize`` of float."""


class _Left(msgspec.Struct):
    results: dict[str, Any] = {}


def encode_outcome(outcome: Outcome) -> bytes:
    """The bytes that a stage leaves: as much of it as may be read again.

    It is cut before it is encoded: a name of megabytes may stand there a thousand times, and takes no room as long as
    nobody writes it down.
    """
    data, said = b"", msgspec.to_builtins(outcome)
    for most_text, most_items in _SHORTER:
        data = msgspec.json.encode(cut(said, most_text=most_text, most_items=most_items))
        if _readable(data):
            break
    return data


def read_outcome(job_dir: Path, stage: Stage) -> Outcome | None:
    """The outcome that ``stage`` left; None if it has not ended.

    Raises:
        StageError: ``stage_crashed``: what it left cannot be read, or says what is not a worker's to say.
    """
    outcome = _read(job_dir, stage, Outcome)
    if outcome is None:
        return None
    if outcome.code and not a_worker_may_say(outcome.code):
        raise StageError("stage_crashed", f"{stage} ended with code {outcome.code[:80]!r}, which a stage may not report")
    return msgspec.structs.replace(outcome, message=cut_text(outcome.message))


def a_worker_may_say(code: str) -> bool:
    """Whether a job may end by this code because a worker said so; all others are the daemon's to say."""
    return code in CODES and CODES[code].status not in ("succeeded", "canceled")


def read_result(job_dir: Path) -> Result:
    """The result object so far: what the last finished stage left.

    A stage of version 0.1 left only its own part of it. So each stage's is laid over those before, nested objects key
    by key; a stage that left the whole object covers them all.
    """
    found: dict[str, Any] = {}
    for results in _results(job_dir):
        for key, value in results.items():
            before = found.get(key)
            found[key] = before | value if isinstance(before, dict) and isinstance(value, dict) else value
    return lenient(found, Result)


def _results(job_dir: Path) -> Iterator[dict[str, Any]]:
    for stage in WORKER_STAGES:
        try:
            left = _read(job_dir, stage, _Left)
        except StageError:  # that stage has failed; what went before it stands
            return
        if left is None:
            return
        yield bounded(cut(left.results))


def _readable(data: bytes) -> bool:
    return len(data) <= MOST_BYTES and values_in(data) <= MOST_VALUES


def _read(job_dir: Path, stage: Stage, kind: type[K]) -> K | None:
    try:
        return decode(read_file(job_dir, stage, OUTCOME_FILE), kind)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{job_dir / stage / OUTCOME_FILE}: {why(error)}") from None
