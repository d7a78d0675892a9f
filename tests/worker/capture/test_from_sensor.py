import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
import pytest
from PIL import Image
from support.captures import CHANNELS, Terminal, context, csv_lines, model_info, motion, serial_table
from support.results import as_json
from support.rigs import write_video
from support.trained import write_classifier

from edge_agent.acquisition import monitored
from edge_agent.backends import ModelInfo
from edge_agent.errors import ContractError, EdgeAgentError, LimitError, RecipeError, Refusal, SourceError
from edge_agent.jobs.outcome import read_outcome
from edge_agent.jobs.task import TASK_FILE, Stage, Task
from edge_agent.preprocess import Preprocess
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.process.program import python_child
from edge_agent.sources import open_source
from edge_agent.state.durable import write_durably
from edge_agent.wire.manifest import InputContract, Recipe, Window
from edge_agent.worker.capture import from_sensor as module
from edge_agent.worker.capture.from_sensor import capture_source
from edge_agent.worker.data.dataset import DataSet, open_dataset
from edge_agent.worker.data.sets import SETS_FILE
from edge_agent.worker.data.split import SPLITS, plan_blocks, samples_needed
from host_tools.demo.simulator import SerialImu

SIZE, HOP = 64, 32
INFO = model_info({"x": ("float32", (1, 3, SIZE))})
TRANSPOSE = {"op": "transpose", "axes": [1, 0]}
CONTRACT = InputContract(source="imu", channels=CHANNELS, window=Window(SIZE, HOP), steps=[TRANSPOSE])
RECIPE = Recipe(calibration_windows=40, search_windows=20, heldout_windows=40)
NEEDED = 5500
"""Samples enough for RECIPE."""


def make_task(source: dict[str, Any], **changes: Any) -> Task:
    plain = Task(
        job="j",
        name="m",
        version=1,
        format="onnx",
        model="model.onnx",
        inputs=[CONTRACT],
        recipe=RECIPE,
        sources={"imu": source},
    )
    return msgspec.structs.replace(plain, **changes)


def recording(folder: Path, samples: np.ndarray, **options: Any) -> dict[str, Any]:
    np.savez(folder / "r.npz", samples=samples)
    return {
        "kind": "replay",
        "path": str(folder / "r.npz"),
        "channels": CHANNELS,
        "rate_hz": 50,
        "rate": "max",
        **options,
    }


class Captured(NamedTuple):
    data: DataSet
    said: dict[str, Any]
    progress: list[tuple[float, str, float | None]]


def capture(folder: Path, task: Task, info: ModelInfo = INFO) -> Captured:
    """Capture in ``folder`` and open what a later stage would."""
    progress: list[tuple[float, str, float | None]] = []
    here = context(folder, task, lambda *said: progress.append(said))
    sets, said = capture_source(here, info)
    write_durably(here.out_dir / SETS_FILE, msgspec.json.encode(sets))
    shutil.copytree(here.out_dir, folder / Stage.CAPTURE)
    return Captured(open_dataset(here, info), as_json(said), progress)


def refused(kind: type[EdgeAgentError], folder: Path, task: Task, info: ModelInfo = INFO) -> EdgeAgentError:
    with pytest.raises(kind) as error:
        capture(folder, task, info)
    return error.value


def found(captured: Captured) -> list[str]:
    """The codes of what was said of the data."""
    return [finding["code"] for finding in captured.said["findings"]]


def numbered(samples: int) -> np.ndarray:
    """Movement whose first channel tells which sample it is."""
    data = motion(samples)
    data[:, 0] = np.arange(samples) % 30_000 + np.where(np.arange(samples) % 2, 0.5, 0)
    return data


def test_the_three_sets_share_no_sample_and_leave_gaps(tmp_path: Path) -> None:
    captured = capture(tmp_path, make_task(recording(tmp_path, numbered(NEEDED))))

    seen: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        for row in captured.data.rows(split):
            first, last = (int(row.feeds["x"][0, 0, place]) for place in (0, -1))
            assert last - first == SIZE - 1
            seen[split].append((first, last))
    assert [len(seen[split]) for split in SPLITS] == [40, 20, 40]
    assert all(second[0] > first[1] for first, second in pairwise(seen["heldout"]))
    spans = sorted((first, last, split) for split in SPLITS for first, last in seen[split])
    for (_, last, split), (first, _, other) in pairwise(spans):
        assert split == other or first - last > SIZE
    assert len({split for _, _, split in spans[: len(spans) // 3]}) == 3  # interleaved in time


def test_some_windows_of_a_set_are_read_alone(tmp_path: Path) -> None:
    data = capture(tmp_path, make_task(recording(tmp_path, numbered(NEEDED)))).data
    rows = list(data.rows("heldout"))

    some = list(data.rows("heldout", [3, 17, 39]))

    assert [(row.index, row.group) for row in some] == [(rows[place].index, rows[place].group) for place in (3, 17, 39)]
    assert all(np.array_equal(row.feeds["x"], rows[row.index].feeds["x"]) for row in some)
    assert data.groups("heldout") == [row.group for row in rows]
    assert len(set(data.groups("heldout"))) > 1


def test_windows_are_what_the_sensor_sent_after_the_steps(tmp_path: Path) -> None:
    samples = numbered(NEEDED)
    steps = [{"op": "standardize", "mean": [0, 1, 2], "std": [1024, 2, 4]}, TRANSPOSE]
    contract = msgspec.structs.replace(CONTRACT, steps=steps)

    data = capture(tmp_path, make_task(recording(tmp_path, samples), inputs=[contract])).data

    rows = list(data.rows("calibration"))
    assert [row.index for row in rows] == list(range(40))
    assert data.ordered_in_time
    assert not data.labels
    for row in rows:
        at = int(1024 * row.feeds["x"][0, 0, 0])
        wanted = (samples[at : at + SIZE] - np.float32([0, 1, 2])) / np.float32([1024, 2, 4])
        assert np.array_equal(row.feeds["x"], wanted.T[None])


def standardized(samples: np.ndarray) -> InputContract:
    """A contract of a model that was made for such samples."""
    mean, std = samples.mean(axis=0, dtype=np.float64), samples.std(axis=0, dtype=np.float64)
    steps = [{"op": "standardize", "mean": mean.tolist(), "std": std.tolist()}, TRANSPOSE]
    return msgspec.structs.replace(CONTRACT, steps=steps)


def test_milli_units_are_refused_before_the_capture_is_over(tmp_path: Path) -> None:
    samples = motion(20 * NEEDED)
    contract = standardized(samples)
    many = Recipe(calibration_windows=800, search_windows=400, heldout_windows=800)

    task = make_task(recording(tmp_path, 1000 * samples), inputs=[contract], recipe=many)
    error = refused(Refusal, tmp_path, task)

    assert error.code == "scale_unlike"
    assert "(1000: milli?)" in error.message
    assert len(list(context(tmp_path, task).out_dir.glob("*.npy"))) < 3


@pytest.mark.parametrize("model_hz", [None, 20])
def test_other_units_warn_where_they_are_near_and_data_as_the_model_knows_them_do_not(
    tmp_path: Path, model_hz: float | None
) -> None:
    samples = motion(4 * NEEDED)
    contract = msgspec.structs.replace(standardized(samples), rate_hz=model_hz)

    near = capture(tmp_path / "near", make_task(recording(tmp_path, 9.81 * samples), inputs=[contract]))
    right = capture(tmp_path / "right", make_task(recording(tmp_path, samples), inputs=[contract]))

    assert found(near) == ["scale_unlike"]
    assert "(9.81: m/s2 for g?)" in near.said["warnings"][0]
    assert found(right) == []


def test_the_result_says_what_was_captured_and_progress_how_long_it_takes(tmp_path: Path) -> None:
    captured = capture(tmp_path, make_task(recording(tmp_path, motion(NEEDED))))

    assert captured.said["warnings"] == []
    assert {split: captured.said[split]["windows"] for split in SPLITS} == {
        "calibration": 40,
        "search": 20,
        "heldout": 40,
    }
    assert captured.said["heldout"]["samples"] == 40 * SIZE
    assert captured.said["heldout"]["seconds"] == 40 * SIZE / 50
    fraction, detail, _ = captured.progress[0]
    assert fraction == 0
    assert detail == "capturing from 'imu': 0 of 4928 samples"


def test_how_long_it_takes_is_told_as_the_samples_really_come(tmp_path: Path) -> None:
    with SerialImu(tmp_path / "imu", rewind=True, pace="400000") as imu:  # some hundred times faster than rate_hz says
        table = serial_table(imu.port, channels=["ax", "ay", "az", "gx", "gy", "gz"])
        contract = InputContract(source="imu", channels=CHANNELS, window=Window(SIZE, HOP), steps=[TRANSPOSE])
        recipe = Recipe(calibration_windows=200, search_windows=200, heldout_windows=200)

        captured = capture(tmp_path, make_task(table, inputs=[contract], recipe=recipe))

    told = [eta_s for _, _, eta_s in captured.progress if eta_s is not None]
    assert told
    assert captured.progress[0][2] is None, "nothing was seen yet"
    assert max(told) < 300, "rate_hz alone would say ten minutes"


def test_of_a_sensor_that_keeps_its_rate_it_is_told_soon(tmp_path: Path) -> None:
    table = recording(tmp_path, motion(NEEDED), rate="real", rate_hz=2000)

    captured = capture(tmp_path, make_task(table))

    first = next(eta_s for _, _, eta_s in captured.progress if eta_s is not None)
    assert 0 < first < 3 * NEEDED / 2000


def test_channels_are_chosen_by_name_in_the_contracts_order(tmp_path: Path) -> None:
    info = model_info({"x": ("float32", (1, SIZE, 2)), "y": ("float32", (SIZE, 1)), "gain": ("float32", (1,))})
    window = Window(SIZE, HOP)
    contracts = [
        InputContract(name="x", source="imu", channels=["az", "ax"], window=window),
        InputContract(name="y", source="imu", channels=["ax"], window=window),
        InputContract(name="gain", constant=2.5),
    ]
    samples = motion(NEEDED)

    data = capture(tmp_path, make_task(recording(tmp_path, samples), inputs=contracts), info).data

    row = next(data.rows("calibration"))
    assert np.array_equal(row.feeds["x"][0], samples[:SIZE, [2, 0]])
    assert np.array_equal(row.feeds["y"], samples[:SIZE, :1])
    assert row.feeds["gain"].tolist() == [2.5]


AT_100_HZ = msgspec.structs.replace(CONTRACT, rate_hz=50.0)


def test_a_faster_sensor_is_resampled_block_by_block(tmp_path: Path) -> None:
    samples = numbered(2 * NEEDED + 1000)
    task = make_task(recording(tmp_path, samples, rate_hz=100), inputs=[AT_100_HZ])
    resample = Resampler(rate_ratio(100, 50))

    captured = capture(tmp_path, task)

    spans = []
    for split in SPLITS:
        for row in captured.data.rows(split):
            first = round(row.feeds["x"][0, 0, 0] - 0.25) - resample.margin
            last = first + resample.needed(SIZE)
            assert np.array_equal(row.feeds["x"][0], resample(samples[first:last])[:SIZE].T)
            spans.append((first, last, split))
    spans.sort()
    assert len(spans) == 100
    for (_, last, split), (first, _, other) in pairwise(spans):
        assert split == other or first - last > SIZE, "not even what the filter sees is in two sets"
    assert found(captured) == ["sets_unlike"]  # the first channel is a counter
    assert captured.said["heldout"]["seconds"] == pytest.approx(40 * SIZE / 50, rel=0.15)


def test_a_slower_sensor_is_warned_of(tmp_path: Path) -> None:
    task = make_task(recording(tmp_path, motion(NEEDED), rate_hz=25), inputs=[AT_100_HZ])

    (warning,) = capture(tmp_path, task).said["warnings"]

    assert warning == (
        "the model expects 50 samples a second, but source 'imu' sends 25: frequencies above 12.5 Hz are missing"
    )


def test_a_sensor_of_the_models_rate_is_taken_as_it_is(tmp_path: Path) -> None:
    def rows(folder: str, contract: InputContract) -> list[bytes]:
        (tmp_path / folder).mkdir()
        task = make_task(recording(tmp_path / folder, motion(NEEDED)), inputs=[contract])
        return [row.feeds["x"].tobytes() for row in capture(tmp_path / folder, task).data.rows("heldout")]

    assert rows("said", AT_100_HZ) == rows("unsaid", CONTRACT)


def test_a_stuck_channel_is_found_before_it_is_resampled(tmp_path: Path) -> None:
    samples = motion(2 * NEEDED + 1000)
    samples[1400:, 1] = 0.25
    task = make_task(recording(tmp_path, samples, rate_hz=100), inputs=[AT_100_HZ])

    assert refused(Refusal, tmp_path, task).code == "stuck_channel"


@pytest.mark.parametrize("rate_hz", [0.04, 60_000])
def test_rates_that_have_nothing_in_common(tmp_path: Path, rate_hz: float) -> None:
    contract = msgspec.structs.replace(CONTRACT, rate_hz=rate_hz)

    error = refused(RecipeError, tmp_path, make_task(recording(tmp_path, motion(NEEDED)), inputs=[contract]))

    assert error.code == "recipe_unsupported"
    assert "a source of 50 Hz cannot be resampled" in error.message


def test_ready_windows_cannot_be_resampled(tmp_path: Path) -> None:
    windows = numbered(200 * SIZE).reshape(200, SIZE, 3)
    np.savez(tmp_path / "w.npz", windows=windows, rate_hz=100, channels=np.array(CHANNELS))
    source = {"kind": "replay", "path": str(tmp_path / "w.npz"), "rate": "max"}

    error = refused(RecipeError, tmp_path, make_task(source, inputs=[AT_100_HZ]))

    assert "has separate windows at 100 Hz, which cannot be resampled to rate_hz = 50" in error.message


def test_several_inputs_of_one_rate(tmp_path: Path) -> None:
    info = model_info({"x": ("float32", (1, SIZE, 2)), "mel": ("float32", (1, 9, 12))})
    window = Window(SIZE, HOP)
    mel = {"op": "log_mel", "n_fft": 16, "hop_length": 8, "n_mels": 12}
    contracts = [
        InputContract(name="x", source="imu", channels=["az", "ax"], window=window, rate_hz=50.0),
        InputContract(name="mel", source="imu", channels=["ay"], window=window, rate_hz=50.0, steps=[mel]),
    ]
    samples = motion(2 * NEEDED + 1000)
    task = make_task(recording(tmp_path, samples, rate_hz=100), inputs=contracts)

    row = next(capture(tmp_path, task, info).data.rows("calibration"))

    raw = Resampler(rate_ratio(100, 50))(samples)[:SIZE]
    assert np.array_equal(row.feeds["x"][0], raw[:, [2, 0]])
    assert np.array_equal(row.feeds["mel"][0], Preprocess(contracts[1])(raw[:, [1]]))

    other = [contracts[0], msgspec.structs.replace(contracts[1], rate_hz=25.0)]
    error = refused(ContractError, tmp_path, msgspec.structs.replace(task, inputs=other), info)
    assert "the same rate_hz" in error.message


def test_ready_windows_stay_whole(tmp_path: Path) -> None:
    windows = numbered(200 * SIZE).reshape(200, SIZE, 3)
    np.savez(tmp_path / "w.npz", windows=windows, rate_hz=50, channels=np.array(CHANNELS))
    source = {"kind": "replay", "path": str(tmp_path / "w.npz"), "rate": "max"}

    data = capture(tmp_path, make_task(source)).data

    starts = [int(row.feeds["x"][0, 0, 0]) for split in SPLITS for row in data.rows(split)]
    assert len(set(starts)) == 100
    assert all(start % SIZE == 0 for start in starts)


INPUT = msgspec.structs.replace


@pytest.mark.parametrize(
    ("changes", "kind", "code", "says"),
    [
        ({"inputs": [INPUT(CONTRACT, source="imo")]}, ContractError, "source_unknown", "did you mean 'imu'"),
        (
            {"inputs": [INPUT(CONTRACT, channels=["ax", "ay", "aw"])]},
            ContractError,
            "channel_unknown",
            "no channel 'aw'",
        ),
        ({"inputs": [INPUT(CONTRACT, channels=["ax"])]}, ContractError, "shape_mismatch", "shape 1x64"),
        ({"inputs": [INPUT(CONTRACT, window=Window(60, 30))]}, ContractError, "shape_mismatch", "needs 1x3x64"),
        ({"inputs": [INPUT(CONTRACT, window=None)]}, ContractError, "shape_mismatch", "window"),
        ({"inputs": [INPUT(CONTRACT, name="y")]}, ContractError, "input_missing", "names 'y'"),
        ({"inputs": []}, ContractError, "input_missing", "'x' has no data"),
        (
            {"inputs": [INPUT(CONTRACT, frame=(240, 320))]},
            ContractError,
            "shape_mismatch",
            "sends numbers, no pictures; the input declares frame = [240, 320]",
        ),
        ({"inputs": [CONTRACT, CONTRACT]}, ContractError, "input_missing", "give each the name"),
        ({"inputs": [INPUT(CONTRACT, steps=[{"op": "fft"}])]}, RecipeError, "recipe_unsupported", "unknown op 'fft'"),
        ({"sources": {"imu": {"kind": "serial"}}}, SourceError, "source_unavailable", "port is missing"),
    ],
)
def test_what_does_not_fit_is_said_before_reading(
    tmp_path: Path, changes: dict[str, Any], kind: type[EdgeAgentError], code: str, says: str
) -> None:
    error = refused(kind, tmp_path, make_task(recording(tmp_path, motion(NEEDED)), **changes))

    assert error.code == code
    assert says in error.message


def test_an_integer_input_needs_a_cast(tmp_path: Path) -> None:
    info = model_info({"x": ("int8", (1, 3, SIZE))})
    task = make_task(recording(tmp_path, motion(NEEDED)))
    cast = msgspec.structs.replace(CONTRACT, steps=[TRANSPOSE, {"op": "cast", "dtype": "int8"}])

    assert refused(ContractError, tmp_path, task, info).code == "dtype_mismatch"
    data = capture(tmp_path, msgspec.structs.replace(task, inputs=[cast]), info).data
    assert next(data.rows("search")).feeds["x"].dtype == np.int8


def test_a_full_disk_is_found_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))

    error = refused(LimitError, tmp_path, make_task(recording(tmp_path, motion(NEEDED))))

    assert error.code == "no_space"
    assert "more than are free; free some" in error.message


def test_a_recording_that_is_too_short_is_refused_before_it_is_replayed(tmp_path: Path) -> None:
    error = refused(Refusal, tmp_path, make_task(recording(tmp_path, motion(3000), rate="real")))

    assert error.code == "too_few_windows"
    assert "holds 3000 samples" in error.message


def test_what_a_short_recording_lacks_is_said_and_the_windows_that_are_named_fit(tmp_path: Path) -> None:
    samples = motion(9000)
    asked = Recipe(calibration_windows=100, search_windows=50, heldout_windows=100)
    needed = samples_needed(plan_blocks({"calibration": 100, "search": 50, "heldout": 100}, size=SIZE, hop=HOP))

    message = refused(Refusal, tmp_path, make_task(recording(tmp_path, samples), recipe=asked)).message

    assert f"the windows need {needed}, which is {needed - 9000} more" in message
    keys = dict(re.findall(r"(\w+_windows) = (\d+)", message))
    assert keys.keys() == {"calibration_windows", "search_windows", "heldout_windows"}
    fitting = Recipe(**{key: int(value) for key, value in keys.items()})
    assert fitting.heldout_windows >= 59
    assert capture(tmp_path / "again", make_task(recording(tmp_path, samples), recipe=fitting)).data.count("heldout")


def test_no_number_of_windows_is_named_that_could_prove_nothing(tmp_path: Path) -> None:
    message = refused(Refusal, tmp_path, make_task(recording(tmp_path, motion(3000)))).message

    assert "record longer" in message
    assert "_windows =" not in message


def test_a_repeated_recording_is_warned_of(tmp_path: Path) -> None:
    captured = capture(tmp_path, make_task(recording(tmp_path, motion(3001), loop=True)))

    assert any("was repeated, so the sets share samples" in warning for warning in captured.said["warnings"])


def test_a_stuck_channel_ends_the_capture_early(tmp_path: Path) -> None:
    samples = motion(NEEDED)
    samples[700:, 1] = 0.25
    task = make_task(recording(tmp_path, samples))

    error = refused(Refusal, tmp_path, task)

    assert error.code == "stuck_channel"
    assert "'ay'" in error.message
    assert 0 < len(list((tmp_path / "capture.tmp").glob("*.npy"))) < 5


def test_a_constant_channel_is_refused_at_the_end(tmp_path: Path) -> None:
    samples = motion(NEEDED)
    samples[:, 2] = 1

    assert refused(Refusal, tmp_path, make_task(recording(tmp_path, samples))).code == "constant_channel"


class Sensor:
    """A serial sensor that sends for as long as its block lasts, as fast as it is read or at a pace."""

    def __init__(
        self,
        link: Path,
        samples: np.ndarray,
        *,
        pause_s: float = 0.0,
        pauses: dict[int, float] | None = None,
        noise: bytes = b"",
    ) -> None:
        self.terminal = Terminal(link)
        self._batches = [csv_lines(samples[start : start + 20]) + noise for start in range(0, len(samples), 20)]
        self._pause_s = pause_s
        self._pauses = pauses or {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def _send(self) -> None:
        for index, batch in enumerate(self._batches):
            if self._stop.wait(self._pauses.get(20 * index, self._pause_s)):
                return
            self.terminal.write(batch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()


def test_a_sensor_on_a_terminal(tmp_path: Path) -> None:
    table = serial_table(tmp_path / "imu")

    with Sensor(tmp_path / "imu", numbered(20_000), pauses={0: 0.5}):
        captured = capture(tmp_path, make_task(table))

    assert found(captured) == ["sets_unlike"]  # the first channel is a counter
    for split in SPLITS:
        for row in captured.data.rows(split):
            assert np.all(np.diff(np.floor(row.feeds["x"][0, 0])) == 1)


@pytest.mark.parametrize(("scale", "code"), [(1, None), (1.6, "warned"), (6, "refused")])
def test_a_held_out_set_that_leaves_the_range_on_a_terminal(tmp_path: Path, scale: float, code: str | None) -> None:
    recipe = Recipe(calibration_windows=100, search_windows=50, heldout_windows=100)
    blocks = plan_blocks({split: getattr(recipe, f"{split}_windows") for split in SPLITS}, size=SIZE, hop=HOP)
    samples, start = motion(30_000), 0
    for block in blocks:
        if block.split == "heldout":
            samples[start : start + block.samples, 1] *= scale
        start += block.samples + block.gap
    task = make_task(serial_table(tmp_path / "imu"), recipe=recipe)

    with Sensor(tmp_path / "imu", samples, pauses={0: 0.3}):
        if code == "refused":
            error = refused(Refusal, tmp_path, task)
            assert error.code == "sets_unlike"
            assert "of the held-out values of 'ay' lie outside the calibrated range" in error.message
            return
        said = capture(tmp_path, task).said["findings"]

    unlike = [(finding["refuse"], "of 'ay' lie outside" in finding["message"]) for finding in said]
    assert unlike == ([(False, True)] if code else [])


def test_no_window_spans_a_dropout(tmp_path: Path) -> None:
    samples = numbered(20_000)
    samples[1000:, 0] += 5  # what the sensor measured in the meantime is missing

    with Sensor(tmp_path / "imu", samples, pauses={0: 0.5, 1000: 2.5}):
        captured = capture(tmp_path, make_task(serial_table(tmp_path / "imu")))

    assert found(captured) == ["sets_unlike", "stream_gaps"]  # the first channel is a counter
    assert captured.said["warnings"][1] == (
        "the stream was interrupted once, and incomplete windows were captured again; check cable, power and load"
    )
    for split in SPLITS:
        for row in captured.data.rows(split):
            assert np.all(np.diff(np.floor(row.feeds["x"][0, 0])) == 1)


def test_a_sensor_that_never_says_a_word(tmp_path: Path) -> None:
    Terminal(tmp_path / "imu")

    error = refused(SourceError, tmp_path, make_task(serial_table(tmp_path / "imu", silence_s=0.3)))

    assert error.code == "source_silent"
    assert "source 'imu' sends nothing: not one sample in 0.3 s" in error.message


def test_a_sensor_that_goes_away(tmp_path: Path) -> None:
    table = serial_table(tmp_path / "imu", silence_s=1)

    with Sensor(tmp_path / "imu", motion(1000), pauses={0: 0.5}):
        error = refused(SourceError, tmp_path, make_task(table))

    assert error.code == "source_lost"
    assert "stopped sending" in error.message


def test_a_slow_sensor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitored, "RATE_AFTER_S", 0.5)
    table = serial_table(tmp_path / "imu", rate_hz=5000)

    with Sensor(tmp_path / "imu", motion(8000), pause_s=0.02):
        error = refused(Refusal, tmp_path, make_task(table))

    assert error.code == "wrong_rate"
    assert "rate_hz says 5000" in error.message


def test_noise_alone_is_a_warning(tmp_path: Path) -> None:
    with Sensor(tmp_path / "imu", motion(20_000), pauses={0: 0.5}, noise=b"\xf0\x00!,\n"):
        captured = capture(tmp_path, make_task(serial_table(tmp_path / "imu")))

    (warning,) = captured.said["warnings"]
    assert "malformed samples were dropped" in warning


def test_the_deadline_ends_a_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitored, "DEADLINE_FACTOR", 0.0)
    monkeypatch.setattr(monitored, "DEADLINE_SLACK_S", 0.5)

    with Sensor(tmp_path / "imu", motion(4000), pause_s=0.05):
        error = refused(LimitError, tmp_path, make_task(serial_table(tmp_path / "imu", rate_hz=400)))

    assert error.code == "capture_timeout"


def test_a_killed_capture_goes_on_with_the_next_block(tmp_path: Path) -> None:
    write_classifier(tmp_path / "model.onnx")
    write_durably(tmp_path / TASK_FILE, msgspec.json.encode(make_task(serial_table(tmp_path / "imu", rate_hz=2000))))
    command = python_child("edge_agent.worker", Stage.CAPTURE, str(tmp_path))

    def shards() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "capture.tmp").glob("*.npy")}

    with (
        Sensor(tmp_path / "imu", motion(8000), pause_s=0.02),
        subprocess.Popen(command, stdout=subprocess.PIPE) as worker,
    ):
        while len(shards()) < 3:
            assert worker.poll() is None
            time.sleep(0.01)
        os.kill(worker.pid, signal.SIGKILL)
    before = shards()
    with Sensor(tmp_path / "imu", motion(20_000, seed=5), pauses={0: 1.5}):
        again = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)

    first = json.loads(again.stdout.splitlines()[1])
    assert first["fraction"] > 0.05
    assert {name: (tmp_path / "capture" / name).read_bytes() for name in before} == before
    assert read_outcome(tmp_path, Stage.CAPTURE) is not None


def test_a_recording_begins_anew_after_a_crash(tmp_path: Path) -> None:
    task = make_task(recording(tmp_path, motion(NEEDED)))
    left = context(tmp_path, task).out_dir
    capture(tmp_path, task)
    wanted = {path.name: path.read_bytes() for path in left.glob("*.npy")}
    (left / min(wanted)).write_bytes(b"from another recording")

    shutil.rmtree(tmp_path / Stage.CAPTURE)
    capture(tmp_path, task)

    assert {path.name: path.read_bytes() for path in left.glob("*.npy")} == wanted


def test_shards_of_another_plan_are_not_used(tmp_path: Path) -> None:
    with Sensor(tmp_path / "imu", motion(20_000), pauses={0: 0.5}):
        capture(tmp_path, make_task(serial_table(tmp_path / "imu")))
    shutil.rmtree(tmp_path / Stage.CAPTURE)
    shorter = msgspec.structs.replace(CONTRACT, window=Window(SIZE, SIZE))

    with Sensor(tmp_path / "imu", motion(20_000, seed=3), pauses={0: 0.5}):
        captured = capture(tmp_path, make_task(serial_table(tmp_path / "imu"), inputs=[shorter]))

    assert captured.progress[0][0] == 0
    assert captured.data.count("calibration") == len(list(captured.data.rows("calibration"))) == 40


LONG = Recipe(calibration_windows=100, search_windows=50, heldout_windows=100)
"""Windows enough for several rounds."""


def test_calibration_ends_early_where_the_ranges_are_sure(tmp_path: Path) -> None:
    recipe = Recipe(calibration_windows=200, search_windows=100, heldout_windows=200)
    captured = capture(tmp_path, make_task(recording(tmp_path, motion(28_000)), recipe=recipe))

    enough = captured.said["enough"]["calibration"]
    assert captured.said["warnings"] == []
    assert 100 <= enough["windows"] == captured.said["calibration"]["windows"] < enough["planned"] == 200
    assert enough["spread"] < 0.125
    assert f"{enough['enough']} windows would do" in enough["message"]
    assert len(list(captured.data.rows("calibration"))) == captured.data.count("calibration") == enough["windows"]
    assert [captured.data.count(split) for split in ("search", "heldout")] == [100, 200]


def loud_now_and_then(samples: int) -> np.ndarray:
    """Movement whose strength changes from one minute to the next."""
    strength = np.exp(np.random.default_rng(4).normal(0, 1, (samples // 1500 + 1, 1))).repeat(1500, axis=0)
    return motion(samples) * strength[:samples].astype(np.float32)


def test_calibration_goes_on_where_the_ranges_are_not_sure_but_not_beyond_twice_the_plan(tmp_path: Path) -> None:
    captured = capture(tmp_path, make_task(recording(tmp_path, loud_now_and_then(40_000)), recipe=LONG))

    enough = captured.said["enough"]["calibration"]
    assert enough["planned"] == 100 < enough["windows"] <= 200
    assert captured.data.count("calibration") == len(list(captured.data.rows("calibration"))) == enough["windows"]
    assert captured.data.count("heldout") == 100
    assert ("ranges_unsure" in found(captured)) == (enough["spread"] > 0.25)


def test_a_recording_that_holds_no_more_is_no_reason_to_fail(tmp_path: Path) -> None:
    captured = capture(tmp_path, make_task(recording(tmp_path, loud_now_and_then(12_500)), recipe=LONG))

    enough = captured.said["enough"]["calibration"]
    assert enough["windows"] == 100
    assert "ranges_unsure" in found(captured)
    assert f"set [recipe] calibration_windows = {enough['enough']}" in enough["message"]
    assert enough["enough"] > 100


@pytest.mark.parametrize("left", [4, 10, 100])
def test_a_capture_that_was_extended_or_cut_short_goes_on_as_it_would_have(tmp_path: Path, left: int) -> None:
    task = make_task(recording(tmp_path, loud_now_and_then(40_000)), recipe=LONG)
    whole = capture(tmp_path, task)
    folder = context(tmp_path, task).out_dir
    shards = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
    for name in sorted(shards)[left:]:
        (folder / name).unlink()

    source = open_source("imu", task.sources["imu"])
    source.live = True  # as after a crash of a capture from a sensor: what is on disk stays
    plan = module._plan(task, source, "imu", CHANNELS, Window(SIZE, HOP), None)
    again, data = module._Capture(context(tmp_path, task), source, plan).run()

    said = as_json(data)
    assert said["enough"]["calibration"]["planned"] == whole.said["enough"]["calibration"]["planned"]
    assert all((folder / name).read_bytes() == shards[name] for name in sorted(shards)[:left])
    assert said["enough"]["calibration"]["windows"] == sum(shard.windows for shard in again.calibration)


def test_pictures_of_a_camera_become_an_images_input(tmp_path: Path) -> None:
    write_video(tmp_path / "v.avi", 60, (12, 16), 30)
    camera = {"kind": "camera", "device": str(tmp_path / "v.avi"), "rate": "max"}
    info = model_info({"x": ("float32", (1, 2, 12, 16))})
    steps = [{"op": "scale", "factor": 1 / 255}, {"op": "transpose", "axes": [0, 3, 1, 2]}]
    contract = InputContract(source="imu", channels=["b", "r"], window=Window(1, 1), steps=steps, frame=(12, 16))
    recipe = Recipe(calibration_windows=12, search_windows=6, heldout_windows=12)

    captured = capture(tmp_path, make_task(camera, inputs=[contract], recipe=recipe), info)

    rows = [row.feeds["x"] for split in SPLITS for row in captured.data.rows(split)]
    assert len(rows) == 30
    assert found(captured) == ["same_burst", "sets_unlike"]  # one second, ever brighter
    for row in rows:
        assert row.dtype == np.float32
        assert np.abs(row[0, 1, 2:10, 2:6] - 200 / 255).max() < 0.1  # red is on the left
        assert row[0, 0, 2:10, 2:6].max() < 0.1
        assert row[0, 0, 2:10, 10:14].min() > 0.1
    shard = np.load(next((tmp_path / "capture").glob("*.npy")))
    assert shard.dtype == np.uint8
    assert shard.shape[1:] == (12, 16, 2)


def test_a_camera_that_stands_still_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for number in range(60):
        Image.new("RGB", (8, 6), (90, 90, 90)).save(tmp_path / "p" / f"{number:02}.png")
    pictures = {"kind": "replay", "path": str(tmp_path / "p"), "rate": "max", "rate_hz": 10}
    info = model_info({"x": ("uint8", (1, 6, 8, 3))})
    contract = InputContract(source="imu", window=Window(1, 1), frame=(6, 8))
    recipe = Recipe(calibration_windows=12, search_windows=6, heldout_windows=12)

    assert refused(Refusal, tmp_path, make_task(pictures, inputs=[contract], recipe=recipe), info).code == (
        "constant_channel"
    )
