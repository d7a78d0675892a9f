import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.jobs import NO_PROOF, make_job, run_stages
from support.onnx_models import conv_net, save, stateful_net, two_inputs
from support.results import read_results

from edge_agent.backends import onnx as backend
from edge_agent.calibration.histogram import Histogram
from edge_agent.errors import EdgeAgentError, ModelError
from edge_agent.jobs.task import TASK_FILE, Stage, encode_task, read_task
from edge_agent.wire.manifest import Recipe, State
from edge_agent.worker.artefacts import Ranges, read_ranges
from edge_agent.worker.data.division import read_division

RANDOM = np.random.default_rng(0)


def calibrated(folder: Path, built: Any, arrays: dict[str, Any], **task: Any) -> tuple[Path, Ranges]:
    job_dir = make_job(folder, save(built, folder / "float.onnx"), arrays, **{"gates": NO_PROOF, **task})
    assert run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE).code == ""
    return job_dir, read_ranges(job_dir / "calibrate")


def images(count: int) -> dict[str, Any]:
    return {"x": RANDOM.normal(size=(count, 3, 16, 16)).astype(np.float32)}


def rows_of(job_dir: Path) -> list[int]:
    """The rows of the data that calibration saw."""
    division = read_division(job_dir / "calibrate")
    if division is not None:
        return division.calibration
    rows: list[int] = json.loads((job_dir / "capture" / "sets.json").read_text())["calibration"]["rows"]
    return rows


def test_minmax_ranges_are_what_the_float_model_really_reaches(tmp_path: Path) -> None:
    arrays = images(60)
    job_dir, found = calibrated(tmp_path, conv_net(), arrays)
    rows = rows_of(job_dir)
    prepared = job_dir / "calibrate" / "prepared.onnx"

    tap = backend.tap(prepared)
    seen: dict[str, list[float]] = {name: [0.0] for name in tap.names}
    for row in rows:
        for name, value in tap.run({"x": arrays["x"][row][None]}):
            seen[name] += [float(value.min()), float(value.max())]

    assert found.windows == len(rows)
    assert set(found.ranges["minmax"]) == set(tap.names)
    looked_at = {name: values for name, values in seen.items() if name not in tap.same_range}
    assert looked_at.keys() == {"x", "r1", "r2", "p", "logits"}
    for name, values in looked_at.items():
        assert found.ranges["minmax"][name] == pytest.approx((min(values), max(values)), rel=1e-6)
    for ranges in found.ranges.values():
        assert (ranges["c1"], ranges["c2"], ranges["f"]) == (ranges["r1"], ranges["r2"], ranges["p"])
    for method in ("percentile", "mse"):
        for name, (low, high) in found.ranges[method].items():
            assert min(seen[name]) - 1e-6 <= low <= 0 <= high <= max(seen[name]) + 1e-6
    assert found.float_pass_s > 0


def test_groups_of_tensors_find_the_same_ranges_as_all_at_once(tmp_path: Path) -> None:
    job_dir, at_once = calibrated(tmp_path, conv_net(), images(30))
    # A quarter of this is less than two of the model's larger activations together.
    task = msgspec.structs.replace(read_task(job_dir), memory_bytes=4 * 12_000)
    (job_dir / TASK_FILE).write_bytes(encode_task(task))
    shutil.rmtree(job_dir / "calibrate")

    run_stages(job_dir, Stage.CALIBRATE)

    assert read_ranges(job_dir / "calibrate").ranges == at_once.ranges


def test_a_spike_makes_its_tensor_be_observed_again(tmp_path: Path) -> None:
    arrays = images(60)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    job_dir, calm = calibrated(tmp_path / "a", conv_net(), arrays)
    rows = rows_of(job_dir)
    arrays["x"][rows[0], 0, 0, 0] = 20_000.0  # a bin of 20,000 / 2048 would hold all other values

    _, found = calibrated(tmp_path / "b", conv_net(), arrays)

    assert calm.second_pass == []
    assert "x" in found.second_pass
    assert found.ranges["minmax"]["x"][1] == 20_000
    assert found.ranges["percentile"]["x"] == pytest.approx(calm.ranges["percentile"]["x"], rel=0.1)


def test_the_histograms_are_kept(tmp_path: Path) -> None:
    job_dir, found = calibrated(tmp_path, conv_net(), images(30), gates=NO_PROOF)

    with np.load(job_dir / "calibrate" / "histograms.npz") as kept:
        names = kept["names"].tolist()
        first = Histogram.from_arrays({key.removeprefix("0."): kept[key] for key in kept.files if key.startswith("0.")})

    assert names == ["x", "r1", "r2", "p", "logits"]
    assert (first.low, first.high) == pytest.approx(found.ranges["minmax"][names[0]])
    assert first.total == found.windows * 3 * 16 * 16


def test_several_inputs_are_fed_by_name(tmp_path: Path) -> None:
    arrays = {
        "facts": RANDOM.uniform(-2, 7, (30, 6)).astype(np.float32),
        "image": RANDOM.normal(size=(30, 3, 8, 8)).astype(np.float32),
    }

    _, found = calibrated(tmp_path, two_inputs(), arrays)

    assert found.ranges["minmax"]["facts"] == pytest.approx((-2, 7), abs=0.5)


def test_declared_state_goes_from_window_to_window(tmp_path: Path) -> None:
    arrays = {"x": np.ones((40, 8), np.float32)}
    job_dir, found = calibrated(tmp_path, stateful_net(), arrays, state=[State("h", "hN")])
    session = backend.open(job_dir / "model.onnx")
    state = np.zeros((1, 16), np.float32)
    outputs = []
    for _ in range(found.windows):
        output, state = session.run({"x": np.ones((1, 8), np.float32), "h": state})
        outputs.append(output)

    low, high = found.ranges["minmax"]["y"]

    assert low == pytest.approx(min(0.0, float(np.min(outputs))), rel=1e-5)
    assert high == pytest.approx(max(0.0, float(np.max(outputs))), rel=1e-5)


def test_state_that_nobody_declared_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(EdgeAgentError) as caught:
        calibrated(tmp_path, stateful_net(), {"x": np.ones((40, 8), np.float32)})

    assert caught.value.code == "state_undeclared"


def test_state_in_the_data_is_used_as_given(tmp_path: Path) -> None:
    arrays = {"x": np.ones((40, 8), np.float32), "h": RANDOM.uniform(-3, 3, (40, 1, 16)).astype(np.float32)}

    job_dir, found = calibrated(tmp_path, stateful_net(), arrays)

    given = arrays["h"][rows_of(job_dir)]
    assert found.ranges["minmax"]["h"] == pytest.approx((given.min(), given.max()))


def test_a_prepared_model_that_computes_something_else_is_never_calibrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = backend.prepare

    def prepare_wrongly(path: Path, out: Path) -> None:
        prepare(path, out)
        model = onnx.load(out)
        bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [4])
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.05), bias.name))
        onnx.save(model, out)

    monkeypatch.setattr(backend, "prepare", prepare_wrongly)

    with pytest.raises(ModelError) as caught:
        calibrated(tmp_path, conv_net(), images(30))

    assert caught.value.code == "prepare_mismatch"
    assert "'logits'" in caught.value.message


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ({"recipe": {"method": "uniform", "calibration": "mse"}}, "'uniform'"),
        ({"output": {"name": "nope"}}, "'nope'"),
        ({"output": {"kind": "detection"}}, "no table"),
        ({"state": [{"input": "h", "output": "hN"}]}, "'h'"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_data_are_gathered(tmp_path: Path, task: Any, says: str) -> None:
    job_dir = make_job(tmp_path, save(conv_net(), tmp_path / "float.onnx"), images(30))
    whole = json.loads((job_dir / "task.json").read_text())
    (job_dir / "task.json").write_text(json.dumps({**whole, **task}))

    with pytest.raises(EdgeAgentError) as caught:
        run_stages(job_dir, Stage.CAPTURE)

    assert caught.value.status == "failed"
    assert says in caught.value.message


def test_only_the_ranges_that_the_recipe_may_try_are_found(tmp_path: Path) -> None:
    _, found = calibrated(tmp_path, conv_net(), images(30), recipe=Recipe(calibration="entropy"))

    assert list(found.ranges) == ["entropy"]


@pytest.mark.parametrize(
    ("counting", "at_most", "one_in"),
    [("auto", 2**29, 1), ("sampled", 2**29, 32), ("auto", 1000, 32), ("exact", 1000, 1)],
)
def test_common_values_are_sampled_where_the_recipe_says_so_or_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counting: Any, at_most: int, one_in: int
) -> None:
    monkeypatch.setattr("edge_agent.worker.stages.calibrate._COUNTED_AT_MOST", at_most)

    _, found = calibrated(tmp_path, conv_net(), images(30), recipe=Recipe(counting=counting, calibration="minmax"))

    assert found.counted_one_in == one_in


def test_how_far_the_last_third_of_the_windows_moved_the_ranges_is_said(tmp_path: Path) -> None:
    said = []
    for name, factor in (("steady", 1), ("louder", 5)):
        (tmp_path / name).mkdir()
        arrays = images(120)
        arrays["x"][95:] *= factor  # rows stay in the order of the file
        job_dir, _ = calibrated(tmp_path / name, conv_net(), arrays)
        said.append(read_results(job_dir)["data"]["enough"])

    steady, louder = (enough["activations"] for enough in said)
    assert steady["moved"] < louder["moved"]
    assert steady["tensors_moved"] == 0
    assert louder["moved"] > 1
    assert louder["tensors_moved"] > 3
    assert louder["message"].endswith("give more calibration rows")
    assert said[0]["calibration"]["windows"] == 40  # what capture said of them stays
