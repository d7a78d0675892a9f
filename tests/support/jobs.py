"""A job's directory as ``edge-agent quantize`` makes it, and its stages run in this process."""

import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import TASK_FILE, ArrayFiles, Stage, Task
from edge_agent.wire.manifest import Gates
from edge_agent.worker.__main__ import run

NO_PROOF = Gates(min_agreement=0, max_accuracy_drop=0)
"""Of jobs that end before a verdict, with fewer rows than one takes."""


def make_job(
    folder: Path,
    model: Path,
    calibration: Mapping[str, NDArray[Any]],
    heldout: Mapping[str, NDArray[Any]] | None = None,
    *,
    labelled: Mapping[str, NDArray[Any]] | None = None,
    **task: Any,
) -> Path:
    """A fresh job directory in ``folder``; ``labelled`` came with the model, ``task`` are fields of :class:`Task`."""
    job_dir = folder / "job"
    job_dir.mkdir()
    shutil.copyfile(model, job_dir / f"model{model.suffix}")
    np.savez(folder / "c.npz", **dict(calibration))
    if heldout is not None:
        np.savez(folder / "h.npz", **dict(heldout))
    if labelled is not None:
        np.savez(folder / "e.npz", **dict(labelled))
        task["eval"] = str(folder / "e.npz")
    files = ArrayFiles(str(folder / "c.npz"), str(folder / "h.npz") if heldout is not None else "")
    fields: dict[str, Any] = {"job": "test", "name": "m", "version": 1}
    fields |= {"format": model.suffix.removeprefix("."), "model": f"model{model.suffix}"}
    (job_dir / TASK_FILE).write_bytes(msgspec.json.encode(Task(**fields, arrays=files, **task)))
    return job_dir


def run_stages(job_dir: Path, *stages: Stage) -> Outcome:
    """Run ``stages``, each of which must succeed or be the last; the last one's outcome. Errors are raised."""
    outcome = Outcome()
    for stage in stages:
        assert not outcome.code, outcome
        outcome = run(stage, job_dir, io.StringIO())
    return outcome
