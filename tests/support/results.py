"""The result object as whoever reads ``report.json`` sees it."""

from pathlib import Path
from typing import Any

import msgspec

from edge_agent.jobs.data_summary import Data
from edge_agent.jobs.outcome import Outcome, read_result
from edge_agent.jobs.result import Result


def as_json(result: Result | Data) -> dict[str, Any]:
    """The object's JSON, parsed again."""
    return msgspec.json.decode(msgspec.json.encode(result), type=dict[str, Any])


def empty_result() -> dict[str, Any]:
    """What it is before anything is known."""
    return as_json(Result())


def told(outcome: Outcome) -> dict[str, Any]:
    """What a stage left in its outcome."""
    assert isinstance(outcome.results, Result)
    return as_json(outcome.results)


def read_results(job_dir: Path) -> dict[str, Any]:
    """What a job's stages have left so far."""
    return as_json(read_result(job_dir))
