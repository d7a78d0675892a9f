"""A model with state, calibrated and judged on what a sensor has kept: state is carried within a stretch, never across.

The stages run in this process; the verdict's numbers are worked out once more from the kept samples alone.
"""

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from support.captures import motion
from support.jobs import run_stages
from support.onnx_models import save, stateful_net
from support.results import read_results
from support.sensing import fill

from edge_agent.backends import onnx as backend
from edge_agent.jobs.task import TASK_FILE, Stage, Task
from edge_agent.wire.manifest import Gates, InputContract, Output, Recipe, State, Window
from edge_agent.worker.data.sets import SETS_FILE, Shard, ShardSets

CHANNELS, SIZE, STRETCH_S, RATE_HZ = ["a", "b"], 4, 2, 50
pytestmark = pytest.mark.slow

RECIPE = Recipe(
    method="static", calibration="minmax", calibration_windows=200, search_windows=100, heldout_windows=200,
    search_budget_s=2,
)  # fmt: skip
GATES = Gates(max_latency_ratio=0, max_size_ratio=0, min_agreement=0.5, min_sqnr_db=0)


@pytest.fixture(scope="module")
def job_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job's folder after the stages until the verdict."""
    folder = tmp_path_factory.mktemp("kept")
    kept = folder / "imu"
    fill(kept, motion(60_000, 2), rate_hz=RATE_HZ, stretches=120, channels=CHANNELS, hours=2, seconds=STRETCH_S)
    job_dir = folder / "job"
    job_dir.mkdir()
    save(stateful_net(), job_dir / "model.onnx")
    contract = InputContract(
        source="imu", channels=CHANNELS, window=Window(SIZE, SIZE), name="x", steps=[{"op": "reshape", "shape": [-1]}]
    )
    task = Task(
        job="j", name="m", version=1, format="onnx", model="model.onnx", inputs=[contract], recipe=RECIPE, gates=GATES,
        output=Output(kind="regression"), state=[State("h", "hN")], sources={"imu": {"kind": "serial"}},
        shared={"imu": str(kept)},
    )  # fmt: skip
    (job_dir / TASK_FILE).write_bytes(msgspec.json.encode(task))
    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE, Stage.VALIDATE)
    assert outcome.code == "", outcome.message
    return job_dir


def sets(job_dir: Path) -> ShardSets:
    return msgspec.json.decode((job_dir / Stage.CAPTURE / SETS_FILE).read_bytes(), type=ShardSets)


def answers(model: Path, job_dir: Path, shards: list[Shard], *, carried: bool = True) -> NDArray[np.float32]:
    """What ``model`` says of each window, its state zero where a stretch begins; by hand."""
    session = backend.open(model, runtime="onnxruntime", threads=1)
    said = []
    for shard in shards:
        samples = np.load(job_dir / Stage.CAPTURE / shard.file)[shard.first :][: shard.windows * SIZE]
        state = np.zeros((1, 16), np.float32)
        for window in samples.reshape(-1, 1, SIZE * len(CHANNELS)):
            answer, after = session.run({"x": window, "h": state})
            said.append(answer)
            state = after if carried else state
    return np.concatenate(said)


def test_the_sets_are_long_stretches_of_what_was_kept(job_dir: Path) -> None:
    said = read_results(job_dir)["data"]

    assert said["kept"]["used"]
    assert [said[split]["windows"] for split in ("search", "heldout")] == [100, 200]
    for shards in (sets(job_dir).search, sets(job_dir).heldout):
        assert len(shards) <= 12, "as few as still tell how windows of one stretch resemble each other"
        assert all(later.first >= earlier.first + earlier.windows * SIZE for earlier, later in pairwise(shards))


def test_the_verdict_is_of_state_that_is_carried_within_a_stretch(job_dir: Path) -> None:
    shards = sets(job_dir).heldout
    reference = answers(job_dir / "model.onnx", job_dir, shards)
    target = answers(job_dir / Stage.QUANTIZE / "chosen.onnx", job_dir, shards)

    chosen = read_results(job_dir)["chosen"]

    assert chosen["max_abs_error"] == pytest.approx(np.abs(target - reference).max(), rel=1e-5)
    noise, signal = (np.square(each, dtype=np.float64).sum() for each in (target - reference, reference))
    assert chosen["sqnr_db"] == pytest.approx(10 * np.log10(signal / noise), abs=0.01)
    forgetful = answers(job_dir / "model.onnx", job_dir, shards, carried=False)
    assert np.abs(forgetful - reference).max() > 3 * chosen["max_abs_error"], "state is of consequence here"


def test_calibration_saw_state_that_had_been_carried(job_dir: Path) -> None:
    ranges = msgspec.json.decode((job_dir / Stage.CALIBRATE / "ranges.json").read_bytes())["ranges"]["minmax"]
    session = backend.open(job_dir / "model.onnx", runtime="onnxruntime", threads=1)
    low, high = np.inf, -np.inf
    for shard in sets(job_dir).calibration:
        samples = np.load(job_dir / Stage.CAPTURE / shard.file)[shard.first :][: shard.windows * SIZE]
        state = np.zeros((1, 16), np.float32)
        for window in samples.reshape(-1, 1, SIZE * len(CHANNELS)):
            _, state = session.run({"x": window, "h": state})
            low, high = min(low, float(state.min())), max(high, float(state.max()))

    assert ranges["hN"] == pytest.approx([low, high], rel=1e-4)
