"""Makes a release out of a finished job, and rolls a model back to its previous release.

The steps of an activation and their order belong to :mod:`edge_agent.jobs.job`. Every step can be repeated: a reboot in
the middle repeats the step that was not saved.
"""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge_agent import __version__
from edge_agent.advice.space import SPARE_BYTES
from edge_agent.device.optimized_form import FORM_FILES, OPTIMIZED_FILE, form_folder, form_key, most_form_bytes
from edge_agent.jobs.job import Job
from edge_agent.jobs.outcome import read_outcome
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import CHOSEN_FORM, FLOAT_FORM, Stage, chosen_folder
from edge_agent.state.model_file import ModelFile
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases
from edge_agent.state.served_form import ServedForm
from edge_agent.state.store import Store
from edge_agent.wire.digests import contract_digest
from edge_agent.wire.manifest import Manifest
from edge_agent.wire.timestamps import rfc3339

_MOST_THREADS = 64


def chosen_model(job_dir: Path, manifest: Manifest, *, use_float: bool) -> ModelFile:
    """The file to activate, as the job's workers left it: the candidate that passed, or the float model itself.

    Raises:
        StageError: ``stage_crashed``: the outcome of the validate stage cannot be read.
    """
    most_bytes = _most_model_bytes(manifest.blob.size)
    if use_float:
        return ModelFile(job_dir, (f"model.{manifest.format}",), manifest.blob.sha256, most_bytes)
    judged = read_outcome(job_dir, Stage.VALIDATE)
    sha256 = judged.model_sha256 if judged is not None and judged.model_sha256 is not msgspec.UNSET else ""
    names = (chosen_folder(job_dir).name, f"chosen.{manifest.format}")
    return ModelFile(job_dir, names, sha256, most_bytes)


def chosen_form(job_dir: Path, manifest: Manifest, *, use_float: bool) -> tuple[ModelFile, ...]:
    """The files of the optimised form that serves in place of :func:`chosen_model`; empty if there is no form.

    Raises:
        StageError: ``stage_crashed``: the outcome that holds the form's hashes cannot be read.
    """
    judged = read_outcome(job_dir, Stage.QUANTIZE if use_float else Stage.VALIDATE)
    if judged is None or judged.form_sha256 is msgspec.UNSET or OPTIMIZED_FILE not in judged.form_sha256:
        return ()
    known = judged.form_sha256
    place = (str(Stage.QUANTIZE), FLOAT_FORM) if use_float else (chosen_folder(job_dir).name, CHOSEN_FORM)
    most_bytes = most_form_bytes(manifest.blob.size)
    return tuple(ModelFile(job_dir, (*place, name), known[name], most_bytes) for name in FORM_FILES if name in known)


def _most_model_bytes(model_bytes: int) -> int:
    """The largest size in bytes that a candidate may have; admission reserves this much."""
    return 4 * model_bytes + SPARE_BYTES


def served_form(files: Sequence[ModelFile], runtime: str, version: str) -> ServedForm | None:
    """Describe an optimised form that was made on this device for a runtime; None if there are no files.

    Raises ``StoreError`` (release_corrupt) if a file is not the one that was judged.
    """
    found = {file.path.name: file.look() for file in files}
    if not found:
        return None
    key = form_key(runtime, version)
    return ServedForm(
        folder=form_folder(key),
        files={name: one.sha256 for name, one in found.items()},
        size_bytes=sum(one.size for one in found.values()),
        key=key,
    )


def make_release(
    job: Job,
    manifest: Manifest,
    model: ModelFile,
    result: Result,
    *,
    form: Sequence[ModelFile] = (),
    previous: Release | None,
    now: float,
) -> Release:
    """Describe the release of ``job``; raises ``StoreError`` if the model file or its form cannot be used."""
    use_float = bool(job.code)
    served = (result.reference if use_float else result.chosen) or MeasuredModel()
    found = model.look()
    return Release(
        model=job.model,
        version=job.version,
        job=job.id,
        digest=job.digest,
        blob=manifest.blob.sha256,
        eval=manifest.eval.sha256 if manifest.eval is not None else "",
        file=f"model.{manifest.format}",
        sha256=found.sha256,
        size_bytes=found.size,
        verdict="rejected" if use_float else "accepted",
        method="float" if use_float else served.method,
        runtime=served.runtime or "",
        runtime_version=served.runtime_version or "",
        threads=min(max(served.threads or 1, 1), _MOST_THREADS),
        arch=platform.machine(),
        contract=contract_digest(manifest.inputs),
        agent_version=__version__,
        activated=rfc3339(now),
        heldout=msgspec.to_builtins(result.data.heldout) if result.data.heldout is not None else {},
        output_found=_output_found(result),
        served=served_form(form, served.runtime or "", served.runtime_version or ""),
        previous=previous_of(job, previous),
    )


def _output_found(result: Result) -> dict[str, Any]:
    options = result.data.output_options
    return {} if options is None else msgspec.to_builtins(options)


def previous_of(job: Job, active: Release | None) -> str:
    """The release to roll back to. A repeated step finds its own release active, and must not name that."""
    if active is None:
        return ""
    return active.previous if active.job == job.id else active.name


def roll_back(store: Store, model: str, *, verified: Release | None = None) -> tuple[Release, Release]:
    """Make the previous release of ``model`` active; returns the withdrawn release and the one that is active now.

    ``verified``: a release that was verified just now. Any other release is verified before anything changes.

    The withdrawn version is marked as such, because the broker still retains the message that requests it, and that
    must not activate it again.

    Raises:
        StoreError: ``not_active``, ``no_previous``, ``release_corrupt`` or ``state_unreadable``; nothing has changed
            then.
    """
    releases = Releases(store.models, model)
    current, previous = releases.rollback_target()
    record = store.record(model)
    if previous != verified:
        releases.verify(previous)
    releases.swap(previous.name)
    if record is not None and record.digest == current.digest:
        store.save_record(model, msgspec.structs.replace(record, withdrawn=True))
    return current, previous
