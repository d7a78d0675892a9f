"""The probe of a new release, on a real model and the real runtime."""

import io
from pathlib import Path

import numpy as np
import pytest
from support import onnx_models as models
from support.jobs import NO_PROOF, make_job, run_stages
from support.served import contract, give_form, put_release

from edge_agent.device.optimized_form import OPTIMIZED_FILE
from edge_agent.errors import EdgeAgentError, StoreError
from edge_agent.jobs.task import Stage
from edge_agent.state.release import read_release
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.wire.manifest import InputContract, State
from edge_agent.worker.__main__ import run

ROWS = {"x": np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)}
STATE = [State("h", "hN")]
WINDOW = contract(4, ["ax", "ay"])


def job_with_release(folder: Path, window: InputContract = WINDOW) -> Path:
    """A job whose release is a model that carries state."""
    model = models.save(models.stateful_net(), folder / "m.onnx")
    job_dir = make_job(folder, model, ROWS, state=STATE, gates=NO_PROOF)
    run_stages(job_dir, Stage.CAPTURE)
    store = Store(folder / "state")
    release = put_release(store, 1, model, [window], state=STATE)
    (job_dir / "release").symlink_to(Releases(store.models, "har").path(release.name))
    return job_dir


def test_a_release_that_carries_state_is_run_with_its_initial_state(tmp_path: Path) -> None:
    job_dir = job_with_release(tmp_path)

    outcome = run(Stage.ACTIVATE, job_dir, io.StringIO())

    assert outcome.code == ""


def test_a_form_that_an_upgrade_has_made_stale_is_no_failure_and_a_damaged_one_is(tmp_path: Path) -> None:
    job_dir = job_with_release(tmp_path)
    store, release = Store(tmp_path / "state"), read_release(job_dir / "release")
    give_form(store, release, tmp_path / "scratch", key="onnxruntime 1.0.0 riscv64 0123456789abcdef")

    assert run(Stage.ACTIVATE, job_dir, io.StringIO()).code == ""

    formed = give_form(store, release, tmp_path / "again")
    assert formed.served is not None
    (job_dir / "release" / formed.served.folder / OPTIMIZED_FILE).write_bytes(b"a bad sector")
    with pytest.raises(StoreError, match=r"the optimised form of 1-.* is damaged"):
        run(Stage.ACTIVATE, job_dir, io.StringIO())


def test_a_release_with_another_hash_is_not_opened(tmp_path: Path) -> None:
    job_dir = job_with_release(tmp_path)
    (job_dir / "release" / "model.onnx").write_bytes(b"something else")

    with pytest.raises(StoreError, match="no longer has its hash"):
        run(Stage.ACTIVATE, job_dir, io.StringIO())


def test_a_release_that_an_application_could_not_feed_is_refused(tmp_path: Path) -> None:
    job_dir = job_with_release(tmp_path, contract(5, ["ax", "ay"]))

    with pytest.raises(EdgeAgentError, match="shape_mismatch: a window after its steps has shape 10"):
        run(Stage.ACTIVATE, job_dir, io.StringIO())


def test_a_release_whose_answer_is_no_number_is_refused(tmp_path: Path) -> None:
    job_dir = job_with_release(tmp_path)
    np.savez(tmp_path / "c.npz", x=np.full((30, 8), np.inf, np.float32))

    with pytest.raises(StoreError, match=r"release_corrupt: 1-.* gives NaN or Inf"):
        run(Stage.ACTIVATE, job_dir, io.StringIO())
