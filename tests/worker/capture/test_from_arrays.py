from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.captures import context, model_info
from support.jobs import make_job, run_stages
from support.results import as_json, told
from support.trained import windows, write_classifier

from edge_agent.backends import ModelInfo
from edge_agent.errors import ContractError, EdgeAgentError, ModelError, Refusal
from edge_agent.execution.run import run_stage
from edge_agent.jobs.outcome import read_outcome
from edge_agent.jobs.task import TASK_FILE, ArrayFiles, Stage, Task
from edge_agent.process.child_limits import ChildLimits
from edge_agent.state.durable import write_durably
from edge_agent.wire.manifest import Gates, InputContract, Output, State
from edge_agent.worker.capture.from_arrays import capture_arrays
from edge_agent.worker.capture.preflight import check_asked
from edge_agent.worker.data.dataset import DataSet, open_dataset
from edge_agent.worker.data.sets import SETS_FILE
from edge_agent.worker.data.split import SPLITS

FLAT = model_info({"x": ("float32", (1, 4))})
TWO = model_info({"a": ("float32", (None, 4)), "b": ("int64", (1, 2))})
VALUES = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


def capture(
    folder: Path, info: ModelInfo, calibration: dict[str, Any], heldout: dict[str, Any] | None = None, **task: Any
) -> tuple[DataSet, dict[str, Any]]:
    """Save the arrays, capture them for ``info``, and open what a later stage would."""
    np.savez(folder / "c.npz", **calibration)
    if heldout is not None:
        np.savez(folder / "h.npz", **heldout)
    files = ArrayFiles(str(folder / "c.npz"), str(folder / "h.npz") if heldout is not None else "")
    asked = Task(job="j", name="m", version=1, format="onnx", model="model.onnx", arrays=files, **task)
    here = context(folder, asked)
    sets, data = capture_arrays(here, info, files)
    write_durably(here.out_dir / SETS_FILE, msgspec.json.encode(sets))
    here.out_dir.rename(folder / Stage.CAPTURE)
    (folder / "next").mkdir()
    here.out_dir = folder / "next"
    return open_dataset(here, info), as_json(data)


def refused(kind: type[EdgeAgentError], folder: Path, info: ModelInfo, *arrays: dict[str, Any], **task: Any) -> Any:
    with pytest.raises(kind) as error:
        capture(folder, info, *arrays, **task)
    return error.value


def test_every_row_comes_once_with_its_label_as_the_model_wants_it(tmp_path: Path) -> None:
    labels = np.arange(60) % 3

    data, said = capture(tmp_path, FLAT, {"x": VALUES, "labels": labels})

    rows = [row for split in SPLITS for row in data.rows(split)]
    assert sorted(row.index for row in rows) == list(range(60))
    assert all(np.array_equal(row.feeds["x"], VALUES[row.index][None]) for row in rows)
    assert all(row.feeds["x"].dtype == np.float32 for row in rows)
    assert all(row.label == row.index % 3 and row.group is None for row in rows)
    assert [data.count(split) for split in SPLITS] == [20, 10, 30]
    assert [said[split]["windows"] for split in SPLITS] == [20, 10, 30]
    assert data.labels
    assert not data.ordered_in_time


def test_the_second_file_is_the_heldout_set_and_nothing_of_the_first(tmp_path: Path) -> None:
    data, _ = capture(tmp_path, FLAT, {"x": VALUES}, {"x": VALUES[:7] + 100})

    assert [data.count(split) for split in SPLITS] == [40, 20, 7]
    assert all(row.feeds["x"].min() > 90 for row in data.rows("heldout"))
    assert not data.labels


@pytest.mark.parametrize(("scale", "said"), [(1, False), (1.05, False), (4, True), (255, True)])
def test_a_second_file_that_leaves_the_first_ones_range_is_warned_of(
    tmp_path: Path, scale: float, *, said: bool
) -> None:
    random = np.random.default_rng(1)
    rows, heldout = (random.uniform(0, 1, (300, 4)).astype(np.float32) for _ in range(2))

    _, data = capture(tmp_path, FLAT, {"x": rows}, {"x": heldout * np.float32(scale)})

    unlike = [finding for finding in data["findings"] if finding["code"] == "sets_unlike"]
    assert [finding["refuse"] for finding in unlike] == ([False] if said else [])
    assert all("held-out values of 'x' lie outside the calibrated range" in one["message"] for one in unlike)


def test_rows_come_the_same_way_every_time(tmp_path: Path) -> None:
    data, _ = capture(tmp_path, FLAT, {"x": VALUES}, seed=7)

    first, again = ([row.index for row in data.rows("search")] for _ in range(2))

    assert first == again == sorted(first)


def test_several_inputs_and_what_is_not_used(tmp_path: Path) -> None:
    arrays = {"a": VALUES.astype(np.float64), "b": np.arange(120, dtype=np.int32).reshape(60, 2), "spare": np.zeros(3)}

    data, said = capture(tmp_path, TWO, arrays)

    row = next(data.rows("calibration"))
    assert row.feeds["a"].dtype == np.float32
    assert row.feeds["a"].shape == (1, 4)
    assert row.feeds["b"].dtype == np.int64
    assert row.feeds["b"].tolist() == [[2 * row.index, 2 * row.index + 1]]
    assert any("not used: 'spare'" in warning for warning in said["warnings"])


@pytest.mark.parametrize("name", ["x", "x:0", "input:x", "anything"])
def test_the_only_array_feeds_the_only_input(tmp_path: Path, name: str) -> None:
    data, _ = capture(tmp_path, FLAT, {name: VALUES, "labels": np.zeros(60, np.int64)})

    assert data.count("heldout") == 30


def test_an_input_with_a_reserved_name_has_an_escape(tmp_path: Path) -> None:
    info = model_info({"labels": ("float32", (1, 4))})

    data, _ = capture(tmp_path, info, {"input:labels": VALUES, "labels": np.arange(60)})

    row = next(data.rows("search"))
    assert row.label == row.index
    assert np.array_equal(row.feeds["labels"][0], VALUES[row.index])


def test_a_row_that_fits_as_it_is_gets_no_axis(tmp_path: Path) -> None:
    info = model_info({"x": ("float32", (None, 2, 2))})

    data, _ = capture(tmp_path, info, {"x": VALUES.reshape(60, 1, 2, 2)})

    assert next(data.rows("search")).feeds["x"].shape == (1, 2, 2)


def test_integers_are_widened_and_it_is_said(tmp_path: Path) -> None:
    data, said = capture(tmp_path, FLAT, {"x": np.arange(240, dtype=np.int16).reshape(60, 4)})

    assert next(data.rows("search")).feeds["x"].dtype == np.float32
    assert "array 'x' holds int16 and is fed as float32" in said["warnings"]


def test_groups_stay_together_and_are_numbered(tmp_path: Path) -> None:
    names = np.repeat([f"person {index}" for index in range(12)], 5)

    data, _ = capture(tmp_path, FLAT, {"x": VALUES, "groups": names})

    groups = [{row.group for row in data.rows(split)} for split in SPLITS]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 12
    assert all(names[row.index] == names[5 * (row.index // 5)] for row in data.rows("search"))


def test_some_places_of_a_set_are_read_alone_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    names = np.repeat([f"person {index}" for index in range(12)], 5)
    data, _ = capture(tmp_path, FLAT, {"x": VALUES, "groups": names, "labels": np.arange(60)})
    rows = list(data.rows("search"))

    some = list(data.rows("search", [1, 4, len(rows) - 1]))

    assert [row.index for row in some] == [rows[place].index for place in (1, 4, -1)]
    assert [(row.label, row.group) for row in some] == [(rows[place].label, rows[place].group) for place in (1, 4, -1)]
    assert all(np.array_equal(row.feeds["x"], VALUES[row.index][None]) for row in some)
    assert data.groups("search") == [row.group for row in rows]
    assert list(data.rows("search", [])) == []


STATE = model_info(
    {"x": ("float32", (1, 4)), "h": ("float32", (1, 8))}, {"y": ("float32", (1, 2)), "hn": ("float32", (1, 8))}
)


def test_state_that_is_carried_keeps_rows_in_order(tmp_path: Path) -> None:
    data, _ = capture(tmp_path, STATE, {"x": VALUES}, state=[State("h", "hn")])

    assert [row.index for split in SPLITS for row in data.rows(split)] == list(range(60))
    assert set(next(data.rows("search")).feeds) == {"x"}


def test_state_that_is_given_is_used_as_given(tmp_path: Path) -> None:
    states = np.repeat(np.arange(60, dtype=np.float32)[:, None], 8, axis=1)

    data, _ = capture(tmp_path, STATE, {"x": VALUES, "h": states}, state=[State("h", "hn")])

    rows = list(data.rows("heldout"))
    assert all(row.feeds["h"].tolist() == [[row.index] * 8] for row in rows)
    assert [row.index for row in rows] != list(range(30, 60))


def test_state_that_nobody_declares_is_named(tmp_path: Path) -> None:
    error = refused(ModelError, tmp_path, STATE, {"x": VALUES})

    assert error.code == "state_undeclared"
    assert 'input = "h", output = "hn"' in error.message


def test_a_constant_feeds_its_input(tmp_path: Path) -> None:
    contract = InputContract(name="b", constant=3)

    data, _ = capture(tmp_path, TWO, {"a": VALUES}, inputs=[contract])

    assert next(data.rows("search")).feeds["b"].tolist() == [[3, 3]]


@pytest.mark.parametrize(
    ("arrays", "code", "says"),
    [
        ({"x": VALUES[:, :3]}, "shape_mismatch", "shape 3; the model's input 'x' needs 1x4"),
        ({"x": VALUES[:, None, None]}, "shape_mismatch", "shape 1x1x4"),
        ({"x": VALUES.astype(complex)}, "dtype_mismatch", "type complex128; the model's input 'x' needs float32"),
        ({"x": VALUES.astype(str)}, "dtype_mismatch", "needs float32"),
        ({"x": VALUES, "labels": np.zeros(59, int)}, "shape_mismatch", "'x' 60, 'labels' 59"),
        ({"x": np.float32(3)}, "shape_mismatch", "array 'x' of c.npz is a single value; give"),
        ({"x": VALUES, "groups": VALUES}, "data_unreadable", "one integer or string per row"),
        ({"x": np.array([None] * 60)}, "data_unreadable", "Python objects"),
        ({"y": VALUES, "z": VALUES}, "input_missing", "the arrays 'y', 'z'"),
        ({"labels": np.zeros(60)}, "input_missing", "'x' has no data"),
    ],
)
def test_arrays_that_do_not_fit_the_model(tmp_path: Path, arrays: dict[str, Any], code: str, says: str) -> None:
    error = refused(ContractError, tmp_path, FLAT, arrays)

    assert error.code == code
    assert says in error.message


def test_a_float_never_becomes_an_integer(tmp_path: Path) -> None:
    error = refused(ContractError, tmp_path, TWO, {"a": VALUES, "b": np.ones((60, 2))})

    assert error.code == "dtype_mismatch"


def test_an_integer_that_its_input_cannot_hold_is_refused(tmp_path: Path) -> None:
    info = model_info({"x": ("uint8", (1, 4))})
    fits = np.arange(16, 256).reshape(60, 4)

    assert next(capture(tmp_path, info, {"x": fits})[0].rows("search")).feeds["x"].dtype == np.uint8
    (tmp_path / "b").mkdir()
    error = refused(ContractError, tmp_path / "b", info, {"x": fits + 1})
    assert error.code == "dtype_mismatch"
    assert "256" in error.message


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["calibration", "heldout"])
def test_rows_that_are_no_numbers_are_refused(tmp_path: Path, value: float, where: str) -> None:
    bad = VALUES.copy()
    bad[[3, 17], 2] = value
    good = {"x": VALUES}

    error = refused(Refusal, tmp_path, FLAT, *([{"x": bad}, good] if where == "calibration" else [good, {"x": bad}]))

    assert error.code == "non_finite"
    assert "2 of 120 rows" in error.message


def test_a_double_that_float_cannot_hold_is_refused(tmp_path: Path) -> None:
    big = VALUES.astype(np.float64)
    big[5, 0] = 1e300

    assert refused(Refusal, tmp_path, FLAT, {"x": big}).code == "non_finite"


def test_a_model_without_inputs_cannot_be_judged() -> None:
    with pytest.raises(ModelError, match="no input") as error:
        check_asked(Task(job="j", name="m", version=1, format="onnx", model="model.onnx"), model_info({}))
    assert error.value.code == "model_unsupported"


@pytest.mark.parametrize("rows", [0, 2])
def test_too_few_rows_are_refused(tmp_path: Path, rows: int) -> None:
    assert refused(Refusal, tmp_path, FLAT, {"x": VALUES[:rows]}).code == "too_few_windows"


def test_an_empty_heldout_file_is_refused(tmp_path: Path) -> None:
    assert refused(Refusal, tmp_path, FLAT, {"x": VALUES}, {"x": VALUES[:0]}).code == "too_few_windows"


def test_few_heldout_rows_are_warned_of_with_the_chance(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(362, 4))
    _, few = capture(tmp_path, FLAT, {"x": rows[:360]})
    (tmp_path / "b").mkdir()
    _, enough = capture(tmp_path / "b", FLAT, {"x": rows})

    assert any(warning.startswith("180 held-out rows are few") for warning in few["warnings"])
    assert enough["warnings"] == []


@pytest.mark.parametrize(("limit", "chance"), [(None, "100%"), (0.9, "11%"), (0.0, ""), (1.0, "")])
def test_the_chance_of_a_refusal_is_that_of_the_gate_in_force(tmp_path: Path, limit: float | None, chance: str) -> None:
    rows = np.random.default_rng(1).normal(size=(58, 4))

    _, said = capture(tmp_path, FLAT, {"x": VALUES}, {"x": rows}, gates=Gates(min_agreement=limit))

    assert [chance in warning for warning in said["warnings"]] == ([True] if chance else [])


@pytest.mark.parametrize(
    ("output", "gates", "told"),
    [
        (Output(kind="classes"), Gates(), False),
        (Output(kind="classes"), Gates(min_agreement=0.95), True),
        (Output(kind="classes"), Gates(max_accuracy_drop=0.0), True),
        (Output(kind="regression"), Gates(), True),
        (Output(), Gates(), True),
    ],
)
def test_nobody_is_warned_of_an_agreement_that_labels_take_the_place_of(
    tmp_path: Path, output: Output, gates: Gates, *, told: bool
) -> None:
    rows = np.random.default_rng(1).normal(size=(100, 4))
    labelled = {"x": rows, "labels": np.arange(100) % 3}

    _, said = capture(tmp_path, FLAT, {"x": VALUES}, labelled, gates=gates, output=output)

    assert any("min_agreement" in warning for warning in said["warnings"]) is told


def test_a_heldout_row_that_comes_again_is_warned_of(tmp_path: Path) -> None:
    fresh = np.random.default_rng(1).normal(size=(100, 4)).astype(np.float32)

    _, said = capture(tmp_path, FLAT, {"x": VALUES}, {"x": np.repeat(fresh, 2, axis=0)})

    assert said["warnings"] == [
        "100 of 200 held-out rows repeat another one, so they prove less than their number; give rows that differ"
    ]


def test_heldout_rows_that_are_not_new_are_warned_of(tmp_path: Path) -> None:
    fresh = np.random.default_rng(1).normal(size=(190, 4)).astype(np.float32)

    _, said = capture(tmp_path, FLAT, {"x": VALUES}, {"x": np.concatenate([fresh, VALUES[:10]])})

    text = "10 of 200 held-out rows are also in calibration or search, so the verdict flatters"
    assert said["warnings"] == [f"{text}; give held-out rows of other recordings"]


@pytest.mark.parametrize(
    ("heldout", "groups", "said"),
    [
        (None, False, "calibration 16 (needs 1), search 8 (needs 1), held-out 24 (needs 59 to prove"),
        (58, False, "calibration 32 (needs 1), search 16 (needs 1), held-out 58 (needs 59 to prove"),
        (58, True, "held-out 58 (needs at least 59 to prove"),
        (59, False, "rows hold NaN or Inf"),
    ],
)
def test_what_cannot_be_proved_is_refused_before_a_row_is_read(
    tmp_path: Path, heldout: int | None, said: str, *, groups: bool
) -> None:
    """Every row is NaN, which is only seen by who reads it."""
    job_dir = make_job(
        tmp_path,
        write_classifier(tmp_path / "model.onnx"),
        nothing(48, groups=groups),
        None if heldout is None else nothing(heldout, groups=groups),
    )

    outcome = run_stages(job_dir, Stage.CAPTURE)

    assert outcome.code == ("non_finite" if heldout == 59 else "too_few_windows")
    assert said in outcome.message


def nothing(count: int, *, groups: bool) -> dict[str, Any]:
    arrays = {"x": np.full_like(windows(count, seed=2)[0], np.nan)}
    return arrays | ({"groups": np.arange(count) // 4} if groups else {})


def test_the_stage_runs_in_its_worker(tmp_path: Path) -> None:
    write_classifier(tmp_path / "model.onnx")
    x, labels = windows(180, seed=2)
    np.savez_compressed(tmp_path / "c.npz", x=x, labels=labels)
    files = ArrayFiles(str(tmp_path / "c.npz"))
    task = Task(job="j", name="m", version=1, format="onnx", model="model.onnx", arrays=files)
    write_durably(tmp_path / TASK_FILE, msgspec.json.encode(task))

    end = run_stage(tmp_path, Stage.CAPTURE, ChildLimits(timeout_s=60), lambda *_: None)

    assert (end.code, end.status) == ("", "ok")
    outcome = read_outcome(tmp_path, Stage.CAPTURE)
    assert outcome is not None
    assert told(outcome)["data"]["heldout"] == {"windows": 90}
