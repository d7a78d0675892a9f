"""The conclusion of the result object: the stages' results with one verdict, code and sentence."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from edge_agent.errors import CODES
from edge_agent.jobs.outcome import read_result
from edge_agent.jobs.precision import precision
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.wire.messages import Verdict

_VERDICTS: dict[str, Verdict] = {"succeeded": "accepted", "rejected": "rejected"}


def conclude(job_dir: Path, code: str, message: str, seconds: Mapping[str, float]) -> Result:
    """The result object of a job that ended with ``code``.

    Args:
        job_dir: the job's directory, with the folders of the stages that ended.
        code: the job's end code; one of ``errors.CODES``.
        message: one sentence; may be empty for an accepted model, whose sentence is made from its numbers.
        seconds: duration of each stage.

    Returns:
        The result object; ``chosen`` is None unless the verdict is ``accepted``.
    """
    result = read_result(job_dir)
    verdict = _VERDICTS.get(CODES[code].status, "failed")
    if verdict == "accepted" and not message:
        message = accepted(result.chosen or MeasuredModel(), result.reference or MeasuredModel())
        if result.data.eval is not None and result.data.eval.decides is False:
            message += "; the labelled set did not decide"
    return msgspec.structs.replace(
        result,
        verdict=verdict,
        code=code,
        message=message,
        chosen=result.chosen if verdict == "accepted" else None,
        seconds={stage: round(took, 3) for stage, took in seconds.items()},
    )


def accepted(chosen: MeasuredModel, reference: MeasuredModel) -> str:
    """One sentence about an accepted model: its agreement, speed and size."""
    parts = []
    if chosen.windows and chosen.disagreements is not None:
        agreeing = chosen.windows - chosen.disagreements
        parts.append(
            f"{precision(chosen.method)} does what float does in {agreeing} of {chosen.windows} held-out windows"
        )
    if chosen.ratio_p50 is not None:
        parts.append(f"takes {chosen.ratio_p50:.2f} of its time")
    if chosen.size_bytes and reference.size_bytes:
        parts.append(f"has {chosen.size_bytes / reference.size_bytes:.2f} of its size")
    return ", ".join(parts) or CODES["accepted"].meaning
