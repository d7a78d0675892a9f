"""Rare regimes, with the real stages: how rows are divided, and what is said of what calibration has not seen."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from onnx import helper
from support.captures import CHANNELS, motion
from support.jobs import NO_PROOF, make_job, run_stages
from support.onnx_models import model, save, stateful_net, value
from support.results import read_results
from verdicts.case import Case, FloatModel, Tamper, Windows, accepted, marks
from verdicts.harness import judge, leave_chosen
from verdicts.nets import quiet, spike_finder

from edge_agent.backends import onnx as backend
from edge_agent.errors import StageError
from edge_agent.jobs.data_summary import Data, SetSummary
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import Result
from edge_agent.jobs.task import OUTCOME_FILE, TASK_FILE, Stage, read_task
from edge_agent.wire.manifest import InputContract, Output, OutputKind, State, Window
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.data.division import DIVISION_FILE, Division, read_division, write_division
from edge_agent.worker.data.seen import SEEN_FILE, read_seen
from edge_agent.worker.data.sets import SETS_FILE, Shard, ShardSets
from edge_agent.worker.search.float_answers import ask_float

CLASSES = Output(kind="classes")
ROWS = 450
PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"], "product")


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class 1 where there is a spike."""
    return save(spike_finder(), tmp_path_factory.mktemp("model") / "float.onnx")


def sets(job_dir: Path) -> dict[str, list[int]]:
    """The rows of each set as capture drew them."""
    drawn = json.loads((job_dir / "capture" / SETS_FILE).read_text())
    return {name: drawn[name]["rows"] for name in ("calibration", "search", "heldout")}


def calibrated(folder: Path, float_model: Path, arrays: dict[str, Any], *others: Any, **task: Any) -> Path:
    folder.mkdir(exist_ok=True)
    job_dir = make_job(folder, float_model, arrays, *others, **task)
    assert run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE).code == ""
    return job_dir


def spiked(job_dir: Path, spikes: int) -> tuple[int, int]:
    """How many of the first ``spikes`` rows calibration and search have."""
    division = read_division(job_dir / "calibrate")
    assert division is not None
    return sum(row < spikes for row in division.calibration), sum(row < spikes for row in division.search)


@pytest.mark.parametrize("spikes", [2, 3, 4, 8])
def test_a_class_that_float_hardly_ever_gives_is_in_both_sets(tmp_path: Path, finder: Path, spikes: int) -> None:
    rows = {"x": quiet(ROWS, 1, spikes=spikes)}

    for seed in range(6):
        job_dir = calibrated(tmp_path / str(seed), finder, rows, {"x": quiet(60, 2)}, output=CLASSES, seed=seed)

        calibration, search = spiked(job_dir, spikes)
        assert calibration + search == spikes
        assert search == max(1, round(spikes / 3))
        assert read_seen(job_dir / "calibrate").classes == {
            "calibration": {0: 300 - calibration, 1: calibration},
            "search": {0: 150 - search, 1: search},
        }


def test_a_class_of_one_row_goes_to_calibration_and_the_search_set_is_told_of(tmp_path: Path, finder: Path) -> None:
    job_dir = calibrated(tmp_path, finder, {"x": quiet(ROWS, 1, spikes=1)}, {"x": quiet(60, 2)}, output=CLASSES)

    assert spiked(job_dir, 1) == (1, 0)
    (found,) = [one for one in read_results(job_dir)["data"]["findings"] if one["code"] == "one_class"]
    assert found["message"].startswith("all 150 search windows are class 0 (float's answer)")
    assert not found["refuse"]
    assert found["message"] in read_results(job_dir)["data"]["warnings"]


@pytest.mark.parametrize("kind", ["regression", "embedding", "raw", None])
def test_without_classes_a_regime_is_what_float_finds_unusual(
    tmp_path: Path, finder: Path, kind: OutputKind | None
) -> None:
    rows = {"x": quiet(ROWS, 1, spikes=6)}

    job_dir = calibrated(tmp_path, finder, rows, {"x": quiet(60, 2)}, output=Output(kind=kind))

    assert spiked(job_dir, 6) == (4, 2)
    assert read_seen(job_dir / "calibrate").classes == {}


def test_heldout_rows_are_drawn_before_and_no_row_is_lost(tmp_path: Path, finder: Path) -> None:
    rows = quiet(ROWS, 1, spikes=12)
    job_dir = calibrated(tmp_path / "a", finder, {"x": rows}, output=CLASSES)
    changed = rows.copy()
    changed[sets(job_dir)["heldout"]] *= -7.0

    other = calibrated(tmp_path / "b", finder, {"x": changed}, output=CLASSES)

    drawn, division = sets(job_dir), read_division(job_dir / "calibrate")
    assert division is not None
    assert drawn == sets(other)
    assert division == read_division(other / "calibrate"), "what is held out is not looked at"
    assert division.calibration == sorted(division.calibration)
    assert division.search == sorted(division.search)
    assert [len(division.calibration), len(division.search)] == [len(drawn["calibration"]), len(drawn["search"])]
    assert {*division.calibration, *division.search} == {*drawn["calibration"], *drawn["search"]}


def test_a_stage_that_is_run_again_divides_alike(tmp_path: Path, finder: Path) -> None:
    job_dir = calibrated(tmp_path, finder, {"x": quiet(ROWS, 1, spikes=9)}, output=CLASSES)
    before = {name: (job_dir / "calibrate" / name).read_bytes() for name in (DIVISION_FILE, SEEN_FILE)}
    (job_dir / "calibrate").rename(job_dir / "calibrate.tmp")  # as an interrupted run leaves it

    run_stages(job_dir, Stage.CALIBRATE)

    assert {name: (job_dir / "calibrate" / name).read_bytes() for name in before} == before


def test_ranges_are_of_the_rows_that_the_division_names(tmp_path: Path, finder: Path) -> None:
    rows = quiet(ROWS, 1, spikes=2)
    job_dir = calibrated(tmp_path, finder, {"x": rows}, {"x": quiet(60, 2)}, output=CLASSES)

    reach = read_seen(job_dir / "calibrate").inputs["x"]
    division = read_division(job_dir / "calibrate")
    assert division is not None
    assert reach.high == pytest.approx(rows[division.calibration].max(axis=0).tolist())
    assert reach.low == pytest.approx(rows[division.calibration].min(axis=0).tolist())
    ranges = json.loads((job_dir / "calibrate" / "ranges.json").read_text())["ranges"]["minmax"]["x"]
    of_calibration = rows[division.calibration]
    assert ranges == pytest.approx([of_calibration.min(), of_calibration.max()])


@pytest.mark.parametrize("leads", ["labels", "groups"])
def test_labels_and_recordings_lead(tmp_path: Path, finder: Path, leads: str) -> None:
    rows = quiet(ROWS, 1, spikes=9)

    job_dir = calibrated(tmp_path, finder, {"x": rows, leads: np.arange(ROWS) % 10}, output=CLASSES)

    assert read_division(job_dir / "calibrate") is None
    counted = read_seen(job_dir / "calibrate").classes
    drawn = sets(job_dir)
    assert {split: found.get(1, 0) for split, found in counted.items()} == {
        split: sum(row < 9 for row in drawn[split]) for split in ("calibration", "search")
    }


def test_labels_that_are_no_classes_do_not_lead(tmp_path: Path, finder: Path) -> None:
    rows = {"x": quiet(ROWS, 1, spikes=6), "labels": np.linspace(0, 1, ROWS)}

    job_dir = calibrated(tmp_path, finder, rows, {"x": quiet(60, 2)}, output=Output(kind="raw"), gates=NO_PROOF)

    assert spiked(job_dir, 6) == (4, 2)


def test_rows_of_a_model_that_carries_state_stay_in_order(tmp_path: Path) -> None:
    net = save(stateful_net(), tmp_path / "net.onnx")

    job_dir = calibrated(tmp_path / "a", net, {"x": quiet(120, 1)[:, :8]}, state=[State("h", "hN")])

    assert read_division(job_dir / "calibrate") is None
    assert sets(job_dir)["calibration"] == list(range(40))


def test_what_is_kept_of_a_row_is_little_however_large_it_is(tmp_path: Path) -> None:
    ends = [value("x", [1, 2000])], [value("y", [1, 1])]
    wide = save(model([PRODUCT], *ends, {"w": np.eye(2000, 1, dtype=np.float32)}), tmp_path / "m.onnx")
    peaks = []
    for count in (1000, 3000):
        rows = {"x": np.random.default_rng(0).normal(size=(count, 2000)).astype(np.float32)}
        folder = tmp_path / str(count)
        folder.mkdir()
        job_dir = make_job(folder, wide, rows, {"x": rows["x"][:10]}, gates=NO_PROOF)
        assert run_stages(job_dir, Stage.CAPTURE).code == ""
        context = Context(job_dir, job_dir, read_task(job_dir), Stage.CALIBRATE, lambda *_: None)
        info = backend.inspect(context.model_path)
        data = open_dataset(context, info)
        session = backend.open(context.model_path)
        tracemalloc.start()
        answers = ask_float(session, info, data, context.task, lambda _: None)
        assert answers.division(0) is not None
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] - peaks[0] < 2000 * 500, "a row has 8000 bytes"


def test_a_division_of_other_rows_is_no_division_of_this_job(tmp_path: Path, finder: Path) -> None:
    job_dir = calibrated(tmp_path, finder, {"x": quiet(ROWS, 1)}, output=CLASSES)
    division = read_division(job_dir / "calibrate")
    assert division is not None
    heldout = sets(job_dir)["heldout"][0]
    write_division(job_dir / "calibrate", Division(division.calibration, [*division.search[:-1], heldout]))

    with pytest.raises(StageError, match="other rows"):
        run_stages(job_dir, Stage.QUANTIZE)


# What the verdict says of it.

FEW = 5


def logits(count: int, seed: int, rare: int = 0) -> Windows:
    """Class 0 or 1, the first ``rare`` ones class 2 with logits four times as large."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, count)
    values = random.normal(0, 0.3, (count, 3)) + 6.0 * np.eye(3)[truth]
    values[:rare] = random.normal(0, 0.3, (rare, 3)) + np.array([0, 0, 24.0])
    return Windows(values=values, marked=marks(count, count // 3))


def said_of(folder: Path, heldout: Windows) -> list[str]:
    case = Case(
        name="",
        kind="classes",
        wrong="",
        right=accepted(),
        heldout=heldout,
        calibration=logits(120, 1),
        model=FloatModel(),
        tamper=Tamper(step=1 / 256),
        output=CLASSES,
    )
    end = judge(case, folder)
    assert end.code == "", end
    return [one for one in end.warnings if one.startswith(("class_unseen", "beyond_calibration", "one_class"))]


def test_an_accepted_model_is_told_of_what_calibration_has_not_seen(tmp_path: Path) -> None:
    told = said_of(tmp_path, logits(300, 2, rare=FEW))

    assert [one.split(":")[0] for one in told] == ["class_unseen", "beyond_calibration", "beyond_calibration"]
    assert "of 300 held-out windows float gives class 2 in 5, but in no calibration or search window" in told[0]
    assert "of 300 held-out windows exceed the calibrated range of channel 2 of input 'x'" in told[1]
    assert "calibrated range of output 'y'" in told[2]


def test_windows_of_the_same_kind_are_not_told_of(tmp_path: Path) -> None:
    assert said_of(tmp_path, logits(300, 2)) == []


@pytest.fixture
def judged(tmp_path: Path, finder: Path) -> Path:
    """A job up to its verdict: float itself is the candidate, and held-out windows have spikes."""
    job_dir = calibrated(tmp_path, finder, {"x": quiet(ROWS, 1)}, {"x": quiet(300, 2, spikes=5)}, output=CLASSES)
    leave_chosen(job_dir, finder)
    return job_dir


def findings(job_dir: Path) -> list[str]:
    return [one["code"] for one in read_results(job_dir)["data"]["findings"]]


def test_the_verdict_is_the_same_whatever_is_told(judged: Path) -> None:
    with_words = run_stages(judged, Stage.VALIDATE)
    told = findings(judged)
    (judged / "calibrate" / SEEN_FILE).unlink()  # as an older agent leaves it
    (judged / "calibrate" / DIVISION_FILE).unlink()
    (judged / "calibrate" / "histograms.npz").unlink()
    without = run_stages(judged, Stage.VALIDATE)

    assert {"class_unseen", "beyond_calibration"} <= set(told)
    assert not {"class_unseen", "beyond_calibration"} & set(findings(judged))
    assert (with_words.code, with_words.message) == (without.code, without.message)


# Of a sensor.


def test_a_channel_of_a_sensor_is_told_by_its_name(tmp_path: Path) -> None:
    job_dir = captured_from_sensor(tmp_path, loud="ay")

    assert run_stages(job_dir, Stage.CALIBRATE).code == ""
    leave_chosen(job_dir, job_dir / "model.onnx")
    run_stages(job_dir, Stage.VALIDATE)

    assert read_division(job_dir / "calibrate") is None
    (found, _of_the_output) = [
        one for one in read_results(job_dir)["data"]["findings"] if one["code"] == "beyond_calibration"
    ]
    assert "10 of 60 held-out windows exceed the calibrated range of channel 'ay'" in found["message"]
    assert "capture longer" in found["message"]


def captured_from_sensor(folder: Path, loud: str) -> Path:
    """A job whose capture is there: three channels, windows ``[3, 32]``; ``loud`` goes far in ten held-out windows."""
    ends = [value("x", [1, 3, 32])], [value("y", [1, 3, 32])]
    float_model = save(model([PRODUCT], *ends, {"w": np.eye(32, dtype=np.float32)}), folder / "float.onnx")
    job_dir = make_job(folder, float_model, {"x": np.zeros((3, 3, 32), np.float32)}, output=Output(kind="raw"))
    contract = InputContract("imu", CHANNELS, Window(32, 32), [{"op": "transpose", "axes": [1, 0]}])
    task = msgspec.structs.replace(read_task(job_dir), arrays=None, inputs=[contract])
    (job_dir / TASK_FILE).write_bytes(msgspec.json.encode(task))
    capture = job_dir / Stage.CAPTURE
    capture.mkdir()
    made: dict[str, list[Shard]] = {}
    for name, windows in {"calibration": 120, "search": 40, "heldout": 60}.items():
        samples = motion(windows * 32, seed=len(made))
        if name == "heldout":
            samples[16 :: 6 * 32, CHANNELS.index(loud)] = 60.0
        np.save(capture / f"{name}.npy", samples)
        made[name] = [Shard(f"{name}.npy", windows, 32, 32)]
    (capture / SETS_FILE).write_bytes(msgspec.json.encode(ShardSets(channels=CHANNELS, **made)))
    data = Data(heldout=SetSummary(windows=60))
    (capture / OUTCOME_FILE).write_bytes(msgspec.json.encode(Outcome(results=Result(data=data))))
    return job_dir
