"""Reports of a device about its jobs: complete views of the state, built for each message. Pure.

A lost report does no harm, because the next one is complete. A report over the protocol's limit drops the least
important parts first: the histograms, the layers, the candidates, and finally everything except the verdict.
"""

from collections.abc import Iterator

import msgspec

from edge_agent.jobs.job import Job
from edge_agent.jobs.result import Result
from edge_agent.printable import printable
from edge_agent.wire.messages import MAX_REPORT_BYTES, JobReport, encode
from edge_agent.wire.timestamps import rfc3339

_MOST = 2000
"""Most characters of a sentence: four sentences of any characters fit into a report."""


def job_report(job: Job, *, device: str, boot_id: str, seq: int, now: float, message: str, release: str) -> JobReport:
    """The report of ``job``, without its result object.

    ``message`` is the default for a job without one; ``release`` is the folder of an activated release.
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
        message=job.message or message,
        progress=round(job.fraction, 4),
        detail=job.detail,
        eta_s=job.eta_s,
        started=rfc3339(job.created),
        seconds=job.seconds,
        release=release,
    )


def encode_report(report: JobReport, result: Result) -> bytes:
    """Encode ``report`` with as much of ``result`` as the protocol's limit permits."""
    report = msgspec.structs.replace(
        report, message=printable(report.message, _MOST), detail=printable(report.detail, _MOST)
    )
    data = b""
    for fewer in _ever_fewer(result):
        data = encode(msgspec.structs.replace(report, results=msgspec.to_builtins(fewer)))
        if len(data) <= MAX_REPORT_BYTES:
            break
    return data


def _ever_fewer(result: Result) -> Iterator[Result]:
    yield result
    plain = [msgspec.structs.replace(layer, histogram=None) for layer in result.layers]
    for name, fewer in (
        ("histograms", {"layers": plain}),
        ("layers", {"layers": []}),
        ("candidates", {"candidates": []}),
    ):
        warnings = [*result.data.warnings, f"{name} left out: the report was too large"]
        summary = msgspec.structs.replace(result.data, warnings=warnings)
        result = msgspec.structs.replace(result, data=summary, **fewer)
        yield result
    message = printable(result.message, _MOST)
    yield Result(verdict=result.verdict, code=result.code, message=message, seconds=result.seconds)
