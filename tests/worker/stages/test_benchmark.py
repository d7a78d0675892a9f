"""The benchmark stage as the daemon runs it: a worker process, with fresh processes of its own."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from onnx import helper
from support.onnx_models import model, save, value, weights
from support.results import read_results, told

from edge_agent.backends import CandidateSpec
from edge_agent.errors import StageError
from edge_agent.execution.run import StageEnd, run_stage
from edge_agent.jobs.outcome import Outcome, read_outcome, read_result
from edge_agent.jobs.result import GateResult, MeasuredModel, Result
from edge_agent.jobs.task import CHOSEN_FILE, ArrayFiles, Stage, Task
from edge_agent.process.child_limits import ChildLimits
from edge_agent.wire.manifest import Gates, MinGain, Output
from edge_agent.worker.artefacts import Chosen
from edge_agent.worker.stages.benchmark import _served

WIDTH, LAYERS = 1024, 12  # 48 MiB of weights
MIB = 2**20


def chain(layers: int) -> Any:
    """``x`` [1, WIDTH] through ``layers`` products."""
    names = ["x", *(f"h{number}" for number in range(1, layers)), "y"]
    nodes = [helper.make_node("MatMul", [names[number], f"w{number}"], [names[number + 1]]) for number in range(layers)]
    constants = {f"w{number}": weights(WIDTH, WIDTH, seed=number) for number in range(layers)}
    return model(nodes, [value("x", [1, WIDTH])], [value("y", [1, WIDTH])], constants)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large float model, one a quarter of its size in the place of int8, and data."""
    folder = tmp_path_factory.mktemp("files")
    save(chain(LAYERS), folder / "model.onnx")
    save(chain(LAYERS // 4), folder / "chosen.onnx")
    np.savez(folder / "c.npz", x=np.random.default_rng(0).normal(size=(118, 1, WIDTH)).astype(np.float32))
    return folder


DEFAULT = MinGain()
GATE = GateResult("min_agreement", 0.95, 0.97, passed=True)


def make_job(job_dir: Path, files: Path, *, limit: int, asked: MinGain = DEFAULT, target: str = "chosen.onnx") -> None:
    """A job as the stages before leave it: data captured, a candidate chosen and judged."""
    task = Task(
        job="0" * 16,
        name="chain",
        version=1,
        format="onnx",
        model="model.onnx",
        gates=Gates(max_peak_rss_bytes=limit, min_gain=asked),
        arrays=ArrayFiles(calibration=str(files / "c.npz")),
    )
    (job_dir / "task.json").write_bytes(msgspec.json.encode(task))
    (job_dir / "model.onnx").hardlink_to(files / "model.onnx")  # a worker reads what is in its job
    end = run_stage(job_dir, Stage.CAPTURE, ChildLimits(timeout_s=60), lambda *_: None)
    assert end.status == "ok", end
    record = MeasuredModel(method="static", runtime="onnxruntime", threads=1)
    chosen = Chosen(
        number=1,
        spec=CandidateSpec(method="static"),
        record=record,
        reference=replace(record, method="float"),
        output=Output(),
        ratio_lower=None,
    )
    (job_dir / "quantize").mkdir()
    (job_dir / "quantize" / CHOSEN_FILE).write_bytes(msgspec.json.encode(chosen))
    (job_dir / "quantize/chosen.onnx").hardlink_to(files / target)
    leave(job_dir, Stage.CALIBRATE, read_result(job_dir))
    candidates = [MeasuredModel(method="dynamic"), MeasuredModel(method="static", pareto=True)]
    leave(job_dir, Stage.QUANTIZE, replace(read_result(job_dir), candidates=candidates))
    before = GateResult("min_gain", 0.05, 0.0, passed=False, axis="time")  # as far as it was known without memory
    proved = replace(record, agreement=0.99, gates=[GATE, before], ratio_p50_upper=0.99)
    leave(job_dir, Stage.VALIDATE, replace(read_result(job_dir), chosen=proved))


def leave(job_dir: Path, stage: Stage, results: Result) -> None:
    (job_dir / stage).mkdir(exist_ok=True)
    (job_dir / stage / "outcome.json").write_bytes(msgspec.json.encode(Outcome(results=results)))


def benchmark(job_dir: Path) -> tuple[StageEnd, list[float]]:
    fractions: list[float] = []
    end = run_stage(
        job_dir, Stage.BENCHMARK, ChildLimits(timeout_s=120), lambda fraction, *_: fractions.append(fraction)
    )
    return end, fractions


def test_memory_of_float_and_chosen_is_told(tmp_path: Path, files: Path) -> None:
    make_job(tmp_path, files, limit=0)

    end, fractions = benchmark(tmp_path)

    assert (end.status, end.message) == ("ok", "")
    results = read_results(tmp_path)
    reference, chosen = results["reference"], results["chosen"]
    assert reference["model_rss_bytes"] > LAYERS * 4 * MIB
    assert chosen["model_rss_bytes"] > LAYERS * MIB
    assert reference["model_rss_bytes"] - chosen["model_rss_bytes"] > LAYERS * 2 * MIB  # three quarters of the weights
    assert reference["steady_rss_bytes"] - chosen["steady_rss_bytes"] > LAYERS * 2 * MIB
    usual = results["usual"]
    assert usual["steady_rss_bytes"] > reference["steady_rss_bytes"], "what loading has freed is given back"
    assert usual["load_ms"] > 0
    assert usual["size_bytes"] is None
    empty, other = (one["peak_rss_bytes"] - one["model_rss_bytes"] for one in (reference, chosen))
    assert empty > 20 * MIB
    assert other == pytest.approx(empty, abs=2 * MIB), "the same runtime without a model"
    gained = [(gate["name"], gate.get("axis"), gate["passed"]) for gate in chosen["gates"]]
    assert gained == [("min_agreement", None, True), ("min_gain", "size", True), ("min_gain", "memory", True)]
    assert results["device"]["cores"] >= 1
    assert fractions == sorted(fractions)
    assert [path.name for path in (tmp_path / "benchmark").iterdir()] == ["outcome.json"]


def test_too_much_memory_is_refused_with_its_numbers(tmp_path: Path, files: Path) -> None:
    make_job(tmp_path, files, limit=40 * MIB)

    end, _ = benchmark(tmp_path)

    assert (end.status, end.code) == ("rejected", "memory_too_high")
    assert "at most 40 MiB" in end.message
    outcome = read_outcome(tmp_path, Stage.BENCHMARK)
    assert outcome is not None
    gates = told(outcome)["chosen"]["gates"]
    names = ["min_agreement", "max_peak_rss_bytes", "min_gain", "min_gain"]
    assert [gate["name"] for gate in gates] == names
    assert (gates[1]["limit"], gates[1]["passed"]) == (40 * MIB, False)
    candidates = told(outcome)["candidates"]
    assert (candidates[0]["method"], candidates[0]["code"]) == ("dynamic", None)
    assert (candidates[1]["code"], candidates[1]["gates"]) == ("memory_too_high", gates)
    assert (candidates[1]["agreement"], candidates[1]["pareto"]) == (0.99, True), (
        "what was proved, not what was searched"
    )


ROOM = 0.15
"""By what a process in three may differ from the others that hold the same model (measured: up to 0.12)."""


@pytest.mark.measured
@pytest.mark.parametrize(
    ("target", "asked", "code", "axes"),
    [
        ("chosen.onnx", MinGain(time=0.05, size=0.0, memory=0.2), "", {"memory"}),
        ("chosen.onnx", MinGain(time=0.05, size=0.99, memory=0.99), "no_gain", {"time", "size", "memory"}),
        ("model.onnx", DEFAULT, "no_gain", {"time", "size", "memory"}),
        ("model.onnx", MinGain(time=0.009), "", {"time"}),
        ("model.onnx", MinGain(0.0, 0.0, 0.0), "", set()),
    ],
)
def test_memory_decides_where_neither_time_nor_size_is_worth_it(  # what is asked, and the end
    tmp_path: Path, files: Path, target: str, asked: MinGain, code: str, axes: set[str]
) -> None:
    """Time is proved to be 1 % less; of another model in the place of int8 size and memory are a quarter."""
    make_job(tmp_path, files, limit=0, asked=asked, target=target)

    end, _ = benchmark(tmp_path)

    assert end.code == code, end.message
    outcome = read_outcome(tmp_path, Stage.BENCHMARK)
    assert outcome is not None
    chosen = told(outcome)["chosen"]
    gained = {gate["axis"]: gate for gate in chosen["gates"] if gate["name"] == "min_gain"}
    assert gained.keys() == axes
    assert {gate["passed"] for gate in gained.values()} <= {not code}
    if code:
        assert (end.status, told(outcome)["candidates"][1]["code"]) == ("rejected", code)
        assert "int8 would be 1 % faster" in end.message
        assert "keep float" in end.message
    if target == "model.onnx" and "memory" in gained:
        assert abs(gained["memory"]["value"]) < ROOM


def test_a_record_that_does_not_say_how_it_is_served() -> None:
    with pytest.raises(StageError, match=r"chosen\.onnx"):
        _served(Path("chosen.onnx"), MeasuredModel(method="static"))
