"""The state of one model name as one flat message: its release, and the newest job under that name. Pure."""

import msgspec

from edge_agent.jobs.job import Job, Status
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import Stage
from edge_agent.printable import printable
from edge_agent.state.release import Release
from edge_agent.telemetry.measured import Measured
from edge_agent.wire.telemetry import ModelState

_MOST, _MOST_NAME = 2000, 100
"""Characters of a report's sentence, and of a name."""
_STAGES = list(Stage)
_VERDICTS = {Status.SUCCEEDED: "accepted", Status.REJECTED: "rejected", Status.FAILED: "failed"}


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The known facts about the active release of a model name."""

    release: Release
    since: str
    """When it last became active; RFC 3339."""
    measured: Measured
    previous_version: int = 0
    """The version that a rollback would activate; 0 if there is none."""
    stale: bool | None = None


def model_state(
    device: str,
    model: str,
    running: Running | None,
    job: Job | None,
    sentence: str = "",
    newest_version: int = 0,
) -> ModelState:
    """The state message of one model.

    Args:
        device: id of the device.
        model: name of the model.
        running: the active release; None if there is none.
        job: the newest job under this name; None if none is stored.
        sentence: the last sentence of the job's report.
        newest_version: the highest accepted version; 0 if there is none.
    """
    state = ModelState(device=device, model=model, newest_version=newest_version)
    if running is not None:
        state = _with_release(state, running)
    return state if job is None else _with_job(state, job, sentence)


def _with_release(state: ModelState, running: Running) -> ModelState:
    release, served, reference = running.release, running.measured.served, running.measured.reference
    compared = served if release.method != "float" else MeasuredModel()
    both = None not in (reference.steady_rss_bytes, served.steady_rss_bytes)
    kept = "steady_rss_bytes" if both else "model_rss_bytes"  # reports of older versions hold the peak only
    float_bytes = release.size_bytes if release.method == "float" else reference.size_bytes
    return msgspec.structs.replace(
        state,
        active_version=release.version,
        active_since=running.since,
        previous_version=running.previous_version,
        method=printable(release.method, _MOST_NAME),
        runtime=printable(f"{release.runtime} {release.runtime_version}".strip(), _MOST_NAME),
        stale=running.stale,
        float_bytes=float_bytes,
        model_bytes=release.size_bytes,
        size_ratio=round(release.size_bytes / float_bytes, 4) if float_bytes else None,
        float_p50_ms=reference.latency_p50_ms,
        float_p95_ms=reference.latency_p95_ms,
        float_p99_ms=reference.latency_p99_ms,
        p50_ms=served.latency_p50_ms,
        p95_ms=served.latency_p95_ms,
        p99_ms=served.latency_p99_ms,
        latency_ratio=compared.ratio_p50,
        latency_ratio_upper=compared.ratio_p50_upper,
        agreement=compared.agreement,
        agreement_lower=compared.agreement_lower,
        float_accuracy=reference.accuracy,
        accuracy=served.accuracy,
        float_rss_bytes=getattr(reference, kept),
        rss_bytes=getattr(served, kept),
    )


def _with_job(state: ModelState, job: Job, sentence: str) -> ModelState:
    stages_done = _STAGES.index(job.stage) + job.fraction
    return msgspec.structs.replace(
        state,
        job=job.id,
        job_version=job.version,
        stage=job.stage.value,
        status=job.status.value,
        code=printable(job.code, _MOST_NAME),
        message=printable(sentence, _MOST),
        progress=None if job.ended else round(stages_done / len(_STAGES), 2),
        verdict=_VERDICTS.get(job.status, ""),
    )
