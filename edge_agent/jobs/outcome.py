"""What a stage leaves in its folder: how it ended, and the result object as far as it is known by then."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge_agent.errors import StageError
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import Result
from edge_agent.jobs.task import OUTCOME_FILE, WORKER_STAGES, Stage
from edge_agent.strict import UNDECODABLE

K = TypeVar("K", bound=msgspec.Struct)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a stage ended. ``code`` empty: go on with the next stage."""

    code: str = ""
    message: str = ""
    results: Result | msgspec.UnsetType = msgspec.UNSET
    """The whole result object so far; left out where the stage adds nothing."""


class _Left(msgspec.Struct):
    results: dict[str, Any] = {}


def read_outcome(job_dir: Path, stage: Stage) -> Outcome | None:
    """The outcome that ``stage`` left, or None if it has not ended."""
    return _read(job_dir / stage / OUTCOME_FILE, Outcome)


def read_result(job_dir: Path) -> Result:
    """The result object so far: what the last finished stage left.

    A stage of version 0.1 left only its own part of it. So each stage's is laid over those before, nested objects key
    by key; a stage that left the whole object covers them all.
    """
    found: dict[str, Any] = {}
    for stage in WORKER_STAGES:
        try:
            left = _read(job_dir / stage / OUTCOME_FILE, _Left)
        except StageError:  # that stage has failed; what went before it stands
            break
        if left is None:
            break
        for key, value in left.results.items():
            before = found.get(key)
            found[key] = before | value if isinstance(before, dict) and isinstance(value, dict) else value
    return lenient(found, Result)


def _read(path: Path, kind: type[K]) -> K | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{path}: {error}") from None
