"""The result object of an ended job: what its stages left, under one verdict. Reads the job's folder only.

``report.json`` of ``edge-agent quantize`` and the ``results`` of a job's last report are this object.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_agent.errors import CODES
from edge_agent.jobs.task import read_results

NOTHING_TO_DO = "nothing to do"
"""The remedy of a layer that loses nothing."""
_VERDICTS = {"succeeded": "accepted", "rejected": "rejected"}


def conclude(job_dir: Path, code: str, message: str, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The result object of a job that ended with ``code``.

    Args:
        job_dir: the job's directory, with the folders of the stages that ended.
        code: how it ended; one of ``errors.CODES``.
        message: one sentence; empty for an accepted model, whose sentence is made from its numbers.
        seconds: what each stage took.

    Returns:
        Every key of the result object; ``chosen`` is None unless the verdict is ``accepted``.
    """
    result = read_results(job_dir)
    verdict = _VERDICTS.get(CODES[code].status, "failed")
    result["verdict"] = verdict
    result["code"] = code
    result["message"] = message
    result["seconds"] = {stage: round(took, 3) for stage, took in seconds.items()}
    if verdict != "accepted":
        result["chosen"] = None
    elif not message:
        result["message"] = accepted(result["chosen"] or {}, result["reference"] or {})
        if (result["data"].get("eval") or {}).get("decides") is False:
            result["message"] += "; the labelled set did not decide"
    return result


def accepted(chosen: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """One sentence about a model that passed: how often it agrees, how fast and how large it is."""
    parts = []
    windows, disagreements = chosen.get("windows"), chosen.get("disagreements")
    if windows and disagreements is not None:
        parts.append(f"int8 does what float does in {windows - disagreements} of {windows} held-out windows")
    if (ratio := chosen.get("ratio_p50")) is not None:
        parts.append(f"takes {ratio:.2f} of its time")
    if (size := chosen.get("size_bytes")) and (before := reference.get("size_bytes")):
        parts.append(f"has {size / before:.2f} of its size")
    return ", ".join(parts) or CODES["accepted"].meaning


def lossy(layers: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The layers that something can be done about, for a person; the result object has the others, too."""
    return [layer for layer in layers if layer.get("remedy") != NOTHING_TO_DO]


def judged(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of a rejected job, the candidate nearest to float: the one that its sentence is about."""
    scored = [record for record in result["candidates"] if record["agreement"] is not None]
    if heldout := [record for record in scored if record["agreement_lower"] is not None]:
        return dict(heldout[0])
    return max(scored, key=lambda record: record["agreement"], default=None)
