"""The probe of a new release, on a real model and the real runtime."""

import hashlib
import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support import onnx_models as models
from support.jobs import make_job, run_stages

from edge_agent.errors import StoreError
from edge_agent.releases import RELEASE_FILE, Release
from edge_agent.task import Stage
from edge_agent.wire.manifest import State
from edge_agent.worker.__main__ import run

ROWS = {"x": np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)}


def job_with_release(folder: Path) -> Path:
    """A job whose release is a model that carries state."""
    model = models.save(models.stateful_net(), folder / "m.onnx")
    job_dir = make_job(folder, model, ROWS, state=[State("h", "hN")])
    run_stages(job_dir, Stage.CAPTURE)
    (job_dir / "release").mkdir()
    data = model.read_bytes()
    (job_dir / "release" / "model.onnx").write_bytes(data)
    release = Release(
        model="m", version=1, job="j", digest="", blob="", file="model.onnx", size_bytes=len(data), verdict="accepted",
        sha256=hashlib.sha256(data).hexdigest(), method="static", runtime="onnxruntime", runtime_version="", threads=1,
        arch="", contract="", agent_version="", activated="",
    )  # fmt: skip
    (job_dir / "release" / RELEASE_FILE).write_bytes(msgspec.json.encode(release))
    return job_dir


def test_a_release_that_carries_state_is_run_with_its_initial_state(tmp_path: Path) -> None:
    job_dir = job_with_release(tmp_path)

    outcome = run(Stage.ACTIVATE, job_dir, io.StringIO())

    assert outcome.code == ""


def test_a_release_with_another_hash_is_not_opened(tmp_path: Path) -> None:
    job_dir = job_with_release(tmp_path)
    (job_dir / "release" / "model.onnx").write_bytes(b"something else")

    with pytest.raises(StoreError, match="does not have the hash"):
        run(Stage.ACTIVATE, job_dir, io.StringIO())
