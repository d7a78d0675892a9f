"""The outcome file of a stage: how it ended, and the result object so far.

A stage may have opened a hostile model, so its outcome is read by the rules of :mod:`edge_agent.foreign`: bounded,
typed, texts cut. A valid model may have names of megabytes; the stage cuts them, so that its outcome stays readable.
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
"""Limits for an outcome that is too large, tried in order: characters of a text, items of a list."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a stage ended. ``code`` empty: continue with the next stage."""

    code: str = ""
    message: str = ""
    results: Result | msgspec.UnsetType = msgspec.UNSET
    """The whole result object so far; left out where the stage adds nothing."""
    model_sha256: str | msgspec.UnsetType = msgspec.UNSET
    """SHA-256 of the accepted int8 model's file. Written by ``validate``."""
    form_sha256: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    """Optimised form: file → SHA-256. ``validate`` writes the accepted model's, ``quantize`` float's."""


class _Left(msgspec.Struct):
    results: dict[str, Any] = {}


def encode_outcome(outcome: Outcome) -> bytes:
    """Encode an outcome, cut to the size that can be read again.

    Texts are cut before encoding: a name of megabytes may occur a thousand times, and would take memory each time.
    """
    data, plain = b"", msgspec.to_builtins(outcome)
    for most_text, most_items in _SHORTER:
        data = msgspec.json.encode(cut(plain, most_text=most_text, most_items=most_items))
        if _readable(data):
            break
    return data


def read_outcome(job_dir: Path, stage: Stage) -> Outcome | None:
    """The outcome of ``stage``; None if it has not ended.

    Raises:
        StageError: ``stage_crashed``: the outcome cannot be read, or has a code that a worker may not report.
    """
    outcome = _read(job_dir, stage, Outcome)
    if outcome is None:
        return None
    if outcome.code and not a_worker_may_say(outcome.code):
        raise StageError("stage_crashed", f"{stage} ended with code {outcome.code[:80]!r}, which no stage may report")
    return msgspec.structs.replace(outcome, message=cut_text(outcome.message))


def a_worker_may_say(code: str) -> bool:
    """Whether a worker may end a job with this code; only the daemon may use the others."""
    return code in CODES and CODES[code].status not in ("succeeded", "canceled")


def read_result(job_dir: Path) -> Result:
    """The result object so far, as the last finished stage left it.

    A stage of version 0.1 wrote only its own part. Each stage's result is therefore merged over the earlier ones,
    nested objects key by key; a stage that wrote the whole object replaces them all.
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
        except StageError:  # that stage has failed; the earlier results remain valid
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
