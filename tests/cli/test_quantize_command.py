"""``edge-agent quantize`` on real parts: files, exit codes, its one JSON object, and what that object claims."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from support.onnx_models import conv_net, save
from support.processes import alive
from support.results import empty_result
from support.trained import CHANNELS, SIZE, windows, write_classifier

from edge_agent.cli import main, stages
from edge_agent.execution.run import StageEnd, run_stage
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import Stage, read_task
from edge_agent.wire.manifest import Output

pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]

ANY_SPEED = "[gates]\nmax_latency_ratio = 0\n"
"""A test of numbers must not hang on how busy the machine is."""
BRIEF = "search_budget_s = 2\n"
"""For methods all of whose candidates pass: when the screening ends there is time for one more, the fastest here."""
QUICK = ANY_SPEED + "[recipe]\ncalibration = 'minmax'\n"


@dataclass(frozen=True)
class Run:
    """One call of the command with ``--json``."""

    exit: int
    out: Path
    result: dict[str, Any]


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Path:
    np.savez(path, **dict(arrays))
    return path


def call(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: object, recipe: str = ANY_SPEED) -> Run:
    (folder / "R.toml").write_text(recipe)
    out = folder / "out"
    capsys.readouterr()
    code = main(["quantize", *map(str, arguments), "--recipe", str(folder / "R.toml"), "--out", str(out), "--json"])
    stdout = capsys.readouterr().out
    return Run(code, out, json.loads(stdout))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "classifier.onnx")


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_arrays(tmp_path_factory.mktemp("data") / "c.npz", {"x": windows(240, seed=2)[0]})


@pytest.fixture(scope="module")
def heldout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, labels = windows(300, seed=3)
    return save_arrays(tmp_path_factory.mktemp("data") / "h.npz", {"x": data, "labels": labels})


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_arrays(tmp_path_factory.mktemp("data") / "h.npz", {"x": windows(300, seed=3)[0]})


@pytest.fixture(scope="module")
def accepted(
    tmp_path_factory: pytest.TempPathFactory, model: Path, calibration: Path, heldout: Path
) -> tuple[Run, str]:
    """A run that accepts, and what it printed on standard output."""
    folder = tmp_path_factory.mktemp("accepted")
    (folder / "R.toml").write_text(ANY_SPEED + "[recipe]\nmethod = 'static'\n")
    command = [sys.executable, "-m", "edge_agent", "quantize", model, "--calibration", calibration]
    command += ["--heldout", heldout, "--recipe", folder / "R.toml", "--out", folder / "out", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    return Run(ended.returncode, folder / "out", json.loads(ended.stdout)), ended.stdout


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, model: Path, unlabelled: Path) -> tuple[Run, str]:
    """A run whose ranges come from wrong data, given by relative paths, and the table that it printed."""
    folder = tmp_path_factory.mktemp("refused")
    save_arrays(folder / "c.npz", {"x": windows(240, seed=2)[0] * np.float32(0.01)})
    (folder / "R.toml").write_text(QUICK)
    command = [sys.executable, "-m", "edge_agent", "quantize", model, "--calibration", "c.npz"]
    command += ["--heldout", unlabelled, "--recipe", "R.toml", "--out", "out"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.stderr == ""
    return Run(ended.returncode, folder / "out", json.loads((folder / "out" / "report.json").read_text())), ended.stdout


def answers(path: Path, data: NDArray[np.float32]) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": row[None]})[0] for row in data])


def test_what_it_claims_is_what_an_independent_run_finds(accepted: tuple[Run, str], model: Path) -> None:
    run, _ = accepted
    data, labels = windows(300, seed=3)
    reference, target = answers(model, data).argmax(1), answers(run.out / "model.onnx", data).argmax(1)

    chosen = run.result["chosen"]

    assert chosen["agreement"] == pytest.approx((reference == target).mean())
    assert chosen["disagreements"] == int((reference != target).sum())
    assert chosen["accuracy"] == pytest.approx((target == labels).mean())
    assert run.result["reference"]["accuracy"] == pytest.approx((reference == labels).mean())
    assert chosen["windows"] == chosen["windows_effective"] == 300
    assert 0.9 < chosen["agreement_lower"] < chosen["agreement"]
    assert chosen["agreement"] >= 0.97
    assert chosen["size_bytes"] == (run.out / "model.onnx").stat().st_size
    assert run.result["reference"]["size_bytes"] == model.stat().st_size


def test_int8_is_really_inside(accepted: tuple[Run, str], model: Path) -> None:
    written = onnx.load(accepted[0].out / "model.onnx")

    def elements(built: onnx.ModelProto, *types: int) -> int:
        tensors = [one for one in built.graph.initializer if one.data_type in types]
        return int(sum(np.prod(one.dims) for one in tensors if len(one.dims) > 1))

    integers = elements(written, onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    floats, before = (elements(built, onnx.TensorProto.FLOAT) for built in (written, onnx.load(model)))
    assert integers + floats == before
    assert (floats > 0) == bool(accepted[0].result["chosen"]["float_layers"])
    assert floats < 0.02 * before  # the last layer may be as fast in float
    assert any(node.op_type == "QuantizeLinear" for node in written.graph.node)
    assert (accepted[0].out / "model.onnx").stat().st_size < 0.4 * model.stat().st_size


def test_the_result_object_has_every_field(accepted: tuple[Run, str]) -> None:
    result = accepted[0].result

    assert result.keys() == empty_result().keys()
    assert (result["verdict"], result["code"]) == ("accepted", "accepted")
    fields = set(MeasuredModel.__struct_fields__)
    for record in (result["reference"], result["chosen"], *result["candidates"]):
        assert fields <= record.keys()
    known = {
        *("method", "runtime", "runtime_version", "threads", "size_bytes", "latency_p50_ms", "latency_p95_ms"),
        *("latency_p99_ms", "ratio_p50", "peak_rss_bytes", "model_rss_bytes", "accuracy"),
    }
    assert all(result["reference"][key] is not None for key in known)
    chosen = result["chosen"]
    assert {key for key in fields if chosen[key] is None} <= {"code", "form_bytes", "memory_ratio", "message", "pareto"}
    assert chosen["gates"]
    assert all(gate.keys() >= {"name", "limit", "value", "passed"} and gate["passed"] for gate in chosen["gates"])
    assert {gate.get("axis") for gate in chosen["gates"] if gate["name"] == "min_gain"} >= {"size"}
    assert chosen["peak_rss_bytes"] > chosen["model_rss_bytes"] > 0
    assert set(result["seconds"]) == {"capture", "calibrate", "quantize", "validate", "benchmark"}
    assert 1 <= len(result["candidates"]) <= 24
    assert any(candidate["pareto"] for candidate in result["candidates"])
    keys = {"name", "op", "sqnr_db", "cause", "remedy", "float_cost_ms"}
    assert all(keys <= layer.keys() for layer in result["layers"])
    assert {"conv", "hidden", "head"} <= {layer["name"] for layer in result["layers"]}
    assert result["data"]["output"]["kind"] == "classes"


def test_what_is_printed_is_what_is_kept(accepted: tuple[Run, str]) -> None:
    run, stdout = accepted

    assert json.loads((run.out / "report.json").read_text()) == json.loads(stdout)
    ranges = json.loads((run.out / "ranges.json").read_text())
    assert set(ranges["ranges"]) == {"minmax", "percentile", "mse"}
    low, high = ranges["ranges"]["minmax"]["x"]
    seen = windows(240, seed=2)[0]
    assert seen.min() <= low < 0 < high <= seen.max()
    assert sorted(path.name for path in run.out.iterdir()) == ["model.onnx", "ranges.json", "report.json", "stages"]


def test_a_quantized_model_is_not_quantized_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, accepted: tuple[Run, str], calibration: Path
) -> None:
    run = call(capsys, tmp_path, accepted[0].out / "model.onnx", "--calibration", calibration)

    assert (run.exit, run.result["verdict"], run.result["code"]) == (5, "failed", "already_quantized")
    assert run.result["chosen"] is None


def test_ranges_from_wrong_data_are_refused_by_the_held_out_set(refused: tuple[Run, str]) -> None:
    run, _ = refused

    assert (run.exit, run.result["verdict"], run.result["code"]) == (4, "rejected", "agreement_too_low")
    # One finalist is judged at 95 %, each of two at 97.5 %: how many the search froze depends on measured speeds.
    assert re.search(r"of 300 windows disagree; to prove 95 % at most [78] may", run.result["message"])
    assert run.result["chosen"] is None
    assert not (run.out / "model.onnx").exists()
    judged = [record for record in run.result["candidates"] if record["agreement_lower"] is not None]
    assert {record["code"] for record in judged} == {"agreement_too_low"}
    assert judged[0]["agreement"] < 0.95
    assert run.result["layers"][0]["sqnr_db"] < 10
    assert "cuts off values up to" in run.result["layers"][0]["cause"]
    assert not all(gate["passed"] for gate in judged[0]["gates"])


def test_a_speed_that_int8_does_not_reach_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, calibration: Path, unlabelled: Path
) -> None:
    recipe = "[gates]\nmax_latency_ratio = 0.01\n[recipe]\ncalibration = 'minmax'\n"

    run = call(capsys, tmp_path, model, "--calibration", calibration, "--heldout", unlabelled, recipe=recipe)

    assert (run.exit, run.result["code"]) == (4, "latency_too_high")
    assert "times as long as float here; at most 0.01 is allowed" in run.result["message"]
    assert {record["calibration"] for record in run.result["candidates"]} == {"minmax"}
    assert run.result["layers"]


def test_no_model_at_all(capsys: pytest.CaptureFixture[str], tmp_path: Path, calibration: Path) -> None:
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(os.urandom(4096))

    run = call(capsys, tmp_path, garbage, "--calibration", calibration)

    assert (run.exit, run.result["code"]) == (5, "model_unreadable")
    assert run.result.keys() == empty_result().keys()
    assert json.loads((run.out / "report.json").read_text()) == run.result


def test_what_the_recipe_says_is_asked_of_the_stages(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, calibration: Path
) -> None:
    recipe = "[[outputs]]\nname = 'a'\nkind = 'raw'\n[[outputs]]\nname = 'b'\n[gates]\nmin_class_recall = 0.5\n"
    (tmp_path / "garbage.onnx").write_bytes(os.urandom(4096))

    run = call(capsys, tmp_path, tmp_path / "garbage.onnx", "--calibration", calibration, recipe=recipe)

    task = read_task(run.out / "stages")
    assert task.outputs == [Output(kind="raw", name="a"), Output(name="b")]
    assert task.gates.min_class_recall == 0.5


def test_the_stages_are_told_how_much_memory_there_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, calibration: Path
) -> None:
    (tmp_path / "garbage.onnx").write_bytes(os.urandom(4096))

    run = call(capsys, tmp_path, tmp_path / "garbage.onnx", "--calibration", calibration)

    known = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < read_task(run.out / "stages").memory_bytes < known


def test_rows_of_another_shape(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path) -> None:
    wrong = save_arrays(tmp_path / "c.npz", {"x": np.zeros((50, CHANNELS, SIZE - 1), np.float32)})

    run = call(capsys, tmp_path, model, "--calibration", wrong)

    assert (run.exit, run.result["code"]) == (5, "shape_mismatch")


def test_one_nan(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, unlabelled: Path) -> None:
    data = windows(240, seed=2)[0]
    data[17, 1, 3] = np.nan

    run = call(capsys, tmp_path, model, "--calibration", save_arrays(tmp_path / "c.npz", {"x": data}))

    assert (run.exit, run.result["verdict"], run.result["code"]) == (4, "rejected", "non_finite")


def assert_only(method: str, run: Run, model: Path) -> None:
    """That a named method was tried alone, accepted, and is inside the file."""
    assert (run.exit, run.result["code"]) == (0, "accepted"), run.result["message"]
    assert {record["method"] for record in (run.result["chosen"], *run.result["candidates"])} == {method}
    ranged = method == "static"
    assert bool(run.result["chosen"]["calibration"]) is ranged
    assert bool(json.loads((run.out / "ranges.json").read_text())["ranges"]) is ranged
    constants = onnx.load(run.out / "model.onnx").graph.initializer
    stored = sum(np.prod(one.dims) for one in constants if one.data_type in (TensorProto.INT8, TensorProto.UINT8))
    weights = [one.dims for one in onnx.load(model).graph.initializer if len(one.dims) > 1]
    assert stored >= np.prod(max(weights, key=np.prod))
    assert run.result["chosen"]["size_bytes"] < 0.4 * run.result["reference"]["size_bytes"]


def test_static_by_name(accepted: tuple[Run, str], model: Path) -> None:
    assert_only("static", accepted[0], model)


def test_dynamic_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, calibration: Path, heldout: Path
) -> None:
    recipe = ANY_SPEED + "[recipe]\nmethod = 'dynamic'\n" + BRIEF

    run = call(capsys, tmp_path, model, "--calibration", calibration, "--heldout", heldout, recipe=recipe)

    assert_only("dynamic", run, model)


def test_uniform_by_name_and_without_a_held_out_file_a_part_of_the_calibration_data_judges(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path
) -> None:
    data = save_arrays(tmp_path / "c.npz", {"x": windows(600, seed=2)[0]})
    recipe = ANY_SPEED + "[recipe]\nmethod = 'uniform'\n" + BRIEF

    run = call(capsys, tmp_path, model, "--calibration", data, recipe=recipe)

    assert_only("uniform", run, model)
    counts = [run.result["data"][name]["windows"] for name in ("calibration", "search", "heldout")]
    assert counts == [200, 100, 300]


def test_convolutions_quantized_as_they_come_are_refused_for_their_speed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    images = np.random.default_rng(0).normal(size=(240, 3, 16, 16)).astype(np.float32)
    data = save_arrays(tmp_path / "c.npz", {"x": images})
    recipe = "[recipe]\nmethod = 'dynamic'\n[output]\nkind = 'raw'\n"

    run = call(capsys, tmp_path, save(conv_net(), tmp_path / "conv.onnx"), "--calibration", data, recipe=recipe)

    assert (run.exit, run.result["code"]) == (4, "latency_too_high")
    assert "dynamic" in run.result["message"]
    assert {record["operators"] for record in run.result["candidates"]} <= {"all", "products"}
    assert any(record["operators"] == "all" and record["ratio_p50"] > 1.5 for record in run.result["candidates"])


def test_a_recipe_that_contradicts_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, calibration: Path
) -> None:
    recipe = "[recipe]\nmethod = 'dynamic'\ncalibration = 'mse'\n"

    run = call(capsys, tmp_path, model, "--calibration", calibration, recipe=recipe)

    assert (run.exit, run.result["code"]) == (5, "recipe_unsupported")
    assert "'dynamic'" in run.result["message"]


def test_a_stage_that_breaks_is_reported(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    model: Path,
    calibration: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def then_lose_the_sets(job_dir: Path, stage: Stage, *rest: Any) -> StageEnd:
        end = run_stage(job_dir, stage, *rest)
        if stage is Stage.CAPTURE:
            (job_dir / "capture" / "sets.json").write_bytes(b"{")
        return end

    monkeypatch.setattr(stages, "run_stage", then_lose_the_sets)

    run = call(capsys, tmp_path, model, "--calibration", calibration)

    assert (run.exit, run.result["verdict"], run.result["code"]) == (5, "failed", "stage_crashed")
    assert set(run.result["seconds"]) == {"capture", "calibrate"}


def test_a_usage_error_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, calibration: Path
) -> None:
    recipe = tmp_path / "R.toml"
    recipe.write_text("[gates]\nmin_agrement = 0.9\n")
    out = tmp_path / "out"
    text = tmp_path / "model.txt"
    text.write_text("no model")
    common = ["--calibration", str(calibration), "--out", str(out), "--json"]

    for arguments, says in (
        (["missing.onnx", *common], "no such file: missing.onnx"),
        ([str(model), "--calibration", "none.npz", "--out", str(out)], "no such file: none.npz"),
        ([str(model), *common, "--heldout", "none.npz"], "no such file: none.npz"),
        ([str(model), *common, "--recipe", str(recipe)], "did you mean 'min_agreement'?"),
        ([str(text), *common], ".onnx or .tflite"),
        ([str(model), "--calibration", str(calibration), "--out", str(model)], "is no directory"),
    ):
        assert main(["quantize", *arguments]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert says in printed.err
        assert not out.exists()


def test_a_directory_in_use_needs_force_and_keeps_what_is_not_ours(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, calibration: Path
) -> None:
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"garbage")
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "model.onnx").write_text("of an earlier run")

    refused = main(["quantize", str(garbage), "--calibration", str(calibration), "--out", str(out)])
    untouched = sorted(path.name for path in out.iterdir())
    run = call(capsys, tmp_path, garbage, "--calibration", calibration, "--force")

    assert refused == 2
    assert untouched == ["model.onnx", "notes.txt"]
    assert run.exit == 5
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "model.onnx").exists()


def test_an_input_is_never_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path, calibration: Path) -> None:
    mine = save(conv_net(), tmp_path / "model.onnx")
    before = mine.read_bytes()

    code = main(["quantize", str(mine), "--calibration", str(calibration), "--out", str(tmp_path), "--force"])

    assert code == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert mine.read_bytes() == before


def test_the_table_is_for_people(refused: tuple[Run, str]) -> None:
    lines = refused[1].splitlines()

    assert lines[0].split() == ["float", "int8", "fp16"]
    assert any(line.startswith("size") and "1.9 MiB" in line for line in lines)
    assert any(line.startswith("FAIL  min_agreement: 0.") for line in lines)
    assert any("hidden (Gemm)" in line or "conv (Conv)" in line for line in lines)
    assert lines[-2].startswith("rejected (agreement_too_low): ")
    assert lines[-1].startswith("to do: ")


def test_an_interrupt_ends_its_workers_and_removes_what_was_written(
    tmp_path: Path, model: Path, calibration: Path, heldout: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "edge_agent", "quantize", model, "--calibration", calibration]
    process = subprocess.Popen(
        [*map(str, command), "--heldout", str(heldout), "--out", str(out)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (out / "stages" / "calibrate.tmp").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "interrupted" in errors
    assert not out.exists()
    assert children
    assert not any(alive(int(child)) for child in children)


def test_a_labelled_set_is_judged_beside_the_heldout_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Path, calibration: Path, unlabelled: Path
) -> None:
    data, labels = windows(300, seed=5)
    labelled = save_arrays(tmp_path / "e.npz", {"x": data, "labels": labels})
    page = tmp_path / "page.html"

    run = call(
        capsys, tmp_path, model, "--calibration", calibration, "--heldout", unlabelled, "--eval", labelled,
        "--report", page, recipe=ANY_SPEED + "[recipe]\nmethod = 'uniform'\n" + BRIEF,
    )  # fmt: skip

    reference, target = answers(model, data).argmax(1), answers(run.out / "model.onnx", data).argmax(1)
    (share,) = run.result["data"]["eval"]["metrics"]
    assert run.exit == 0, run.result["message"]
    assert share["float"] == pytest.approx((reference == labels).mean())
    assert share["int8"] == pytest.approx((target == labels).mean())
    assert {gate["name"]: gate.get("on") for gate in run.result["chosen"]["gates"]} == {
        "min_agreement": None, "max_accuracy_drop": "eval", "min_class_recall": "eval", "max_size_ratio": None,
        "min_gain": None,
    }  # fmt: skip
    assert "Labelled set" in page.read_text(encoding="utf-8")
    assert main(["quantize", str(model), "--calibration", str(calibration), "--eval", "gone.npz", "--out", "o"]) == 2


def test_int8_that_is_not_worth_it_is_refused_with_its_gains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Path, calibration: Path, unlabelled: Path
) -> None:
    asked = "min_gain = { time = 0.95, size = 0.95, memory = 0.95 }\n[recipe]\nmethod = 'uniform'\n"

    run = call(capsys, tmp_path, model, "--calibration", calibration, "--heldout", unlabelled,
               recipe=ANY_SPEED + asked + BRIEF)  # fmt: skip

    assert (run.exit, run.result["code"]) == (4, "no_gain"), run.result["message"]
    assert "% smaller" in run.result["message"]
    assert "keep float" in run.result["message"]
    judged = run.result["candidates"][run.result["finalist"]]
    failed = {gate["axis"] for gate in judged["gates"] if not gate["passed"]}
    assert failed == {"time", "size", "memory"}
    assert not (run.out / "model.onnx").exists()


def test_rows_that_can_prove_nothing_are_refused_at_once_with_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    few = save_arrays(tmp_path / "few.npz", {"x": windows(60, seed=2)[0]})

    run = call(capsys, tmp_path, model, "--calibration", few)

    assert (run.exit, run.result["code"]) == (4, "too_few_windows")
    assert "held-out 30 (needs 59 to prove an agreement of 95 %)" in run.result["message"]
    assert "give 118 rows or more (--calibration)" in run.result["message"]
    assert run.result["seconds"].keys() == {"capture"}


def test_a_labelled_set_without_labels_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Path, calibration: Path
) -> None:
    run = call(capsys, tmp_path, model, "--calibration", calibration, "--eval", calibration)

    assert (run.exit, run.result["code"]) == (5, "input_missing")
    assert "has no array 'labels'" in run.result["message"]
