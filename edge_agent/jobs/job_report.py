"""What a device says of itself and of its jobs: views of state, made afresh each time. Pure.

A lost report loses nothing, as the next one says it all; a report over the protocol's limit drops what a reader
misses least: first the layers, then the candidates, at last all but the verdict.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from edge_agent.jobs.job import Job
from edge_agent.jobs.task import empty_result
from edge_agent.wire.messages import MAX_REPORT_BYTES, JobReport, encode
from edge_agent.wire.timestamps import rfc3339


def job_report(
    job: Job, *, device: str, boot_id: str, seq: int, now: float, results: Mapping[str, Any], release: str
) -> JobReport:
    """The report of ``job``.

    ``results`` is the result object as far as the stages have filled it; ``release`` the folder of an activated one.
    """
    return JobReport(
        device=device,
        ts=rfc3339(now),
        seq=seq,
        boot_id=boot_id,
        job=job.id,
        model=job.model,
        version=job.version,
        stage=job.stage,
        status=job.status,
        code=job.code,
        message=job.message or str(results.get("message") or ""),
        progress=round(job.fraction, 4),
        detail=job.detail,
        eta_s=job.eta_s,
        started=rfc3339(job.created),
        seconds=job.seconds,
        release=release,
        results=dict(results),
    )


def encode_report(report: JobReport) -> bytes:
    """The report's bytes, within the protocol's limit."""
    data = encode(report)
    for key in ("layers", "candidates"):
        if len(data) <= MAX_REPORT_BYTES:
            break
        warnings = [*report.results["data"].get("warnings", []), f"{key} left out: the report was too large"]
        slim = {**report.results, key: [], "data": {**report.results["data"], "warnings": warnings}}
        report = msgspec.structs.replace(report, results=slim)
        data = encode(report)
    if len(data) > MAX_REPORT_BYTES:
        said = {key: report.results.get(key) for key in ("verdict", "code", "message", "seconds")}
        data = encode(msgspec.structs.replace(report, results=empty_result() | said))
    return data
