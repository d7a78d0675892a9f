"""Makes a release out of a finished job, and makes a release's previous one active again.

The steps of an activation and their order belong to :mod:`edge_agent.jobs.job`. Every step can be done again: a boot in
the middle repeats the step that was not saved.
"""

import hashlib
import platform
from pathlib import Path
from typing import Any

import msgspec

from edge_agent import __version__
from edge_agent.errors import StageError
from edge_agent.jobs.job import Job
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import Task, chosen_folder
from edge_agent.state.releases import Release, Releases
from edge_agent.state.store import Store
from edge_agent.wire.digests import contract_digest
from edge_agent.wire.manifest import Manifest
from edge_agent.wire.timestamps import rfc3339


def chosen_model(job_dir: Path, task: Task, *, use_float: bool) -> Path:
    """The file to activate: the candidate that passed, or the float model itself."""
    if use_float:
        return job_dir / task.model
    return chosen_folder(job_dir) / f"chosen{Path(task.model).suffix}"


def make_release(
    job: Job,
    manifest: Manifest,
    model_file: Path,
    result: Result,
    *,
    previous: Release | None,
    now: float,
) -> Release:
    """Describe the release of ``job``; raises ``StageError`` if the model file is not there."""
    use_float = bool(job.code)
    served = (result.reference if use_float else result.chosen) or MeasuredModel()
    try:
        with model_file.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StageError("stage_crashed", f"{model_file}: {error.strerror}") from None
    return Release(
        model=job.model,
        version=job.version,
        job=job.id,
        digest=job.digest,
        blob=manifest.blob.sha256,
        eval=manifest.eval.sha256 if manifest.eval is not None else "",
        file=f"model{model_file.suffix}",
        sha256=sha256,
        size_bytes=model_file.stat().st_size,
        verdict="rejected" if use_float else "accepted",
        method="float" if use_float else served.method,
        runtime=served.runtime or "",
        runtime_version=served.runtime_version or "",
        threads=served.threads or 1,
        arch=platform.machine(),
        contract=contract_digest(manifest.inputs),
        agent_version=__version__,
        activated=rfc3339(now),
        heldout=msgspec.to_builtins(result.data.heldout) if result.data.heldout is not None else {},
        output_found=_output_found(result),
        previous=_previous(job, previous),
    )


def _output_found(result: Result) -> dict[str, Any]:
    options = result.data.output_options
    return {} if options is None else msgspec.to_builtins(options)


def _previous(job: Job, active: Release | None) -> str:
    """The release to go back to; a step done again finds its own release active and must not name itself."""
    if active is None:
        return ""
    return active.previous if active.job == job.id else active.name


def roll_back(store: Store, model: str) -> tuple[Release, Release]:
    """Make the previous release of ``model`` active; returns the one left behind and the one that is active now.

    The version left behind is marked withdrawn: its want, which still stands on the broker, does not bring it back.

    Raises:
        StoreError: ``not_active``, ``no_previous``, ``release_corrupt`` or ``state_unreadable``; nothing has changed
            then.
    """
    releases = Releases(store.models, model)
    current, previous = releases.rollback_target()
    record = store.record(model)
    releases.verify(previous)
    releases.swap(previous.name)
    if record is not None and record.digest == current.digest:
        store.save_record(model, msgspec.structs.replace(record, withdrawn=True))
    return current, previous
