"""The sets of a job from what a sensor has kept: which stretches, how many windows, and that none is shared."""

import os
import shutil
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.captures import CHANNELS, context, model_info, motion
from support.results import as_json
from support.sensing import fill

from edge_agent.errors import LimitError, Refusal
from edge_agent.jobs.task import Stage, Task
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.reservoir.slots import FILE
from edge_agent.reservoir.snapshot import read
from edge_agent.settings.sharing import KEPT_FOLDER
from edge_agent.state.durable import write_durably
from edge_agent.wire.manifest import InputContract, Recipe, State, Window
from edge_agent.worker.capture.from_reservoir import capture_kept
from edge_agent.worker.capture.preview_reservoir import preview_segments
from edge_agent.worker.capture.selection import SegmentShares, Shortfall, capacity, choose
from edge_agent.worker.data.dataset import DataSet, open_dataset
from edge_agent.worker.data.sets import SETS_FILE
from edge_agent.worker.data.split import SPLITS, Split

SIZE, HOP = 40, 20
RECIPE = Recipe(calibration_windows=40, search_windows=20, heldout_windows=40)
INFO = model_info({"x": ("float32", (1, SIZE, 3))}, {"y": ("float32", (1, 4))})
CONTRACT = InputContract(source="imu", channels=CHANNELS, window=Window(SIZE, HOP))


@dataclass(frozen=True)
class At:
    """A stretch for the pure part."""

    time_s: float
    block: int
    stratum: int = 0


def stretches(blocks: Mapping[int, int]) -> list[At]:
    """So many stretches in each block of a minute."""
    return [At(60 * block + 5 * place, block, block % 3) for block, count in blocks.items() for place in range(count)]


sets_of_blocks = st.dictionaries(st.integers(0, 200), st.integers(1, 8), min_size=1, max_size=40)


@settings(max_examples=200)
@given(
    sets_of_blocks,
    sets_of_blocks,
    st.tuples(*[st.integers(1, 60)] * 3),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.booleans(),
)
def test_whatever_is_kept_the_sets_are_whole_and_share_no_block(
    own: dict[int, int],
    others: dict[int, int],
    numbers: tuple[int, ...],
    room: tuple[int, ...],
    stateful: bool,  # noqa: FBT001  # hypothesis gives it so
) -> None:
    wanted: dict[Split, int] = dict(zip(SPLITS, numbers, strict=True))
    holds: dict[Split, int] = dict(zip(SPLITS, room, strict=True))
    calibration, judging = stretches(own), stretches(others)

    chosen = choose(calibration, judging, wanted, holds, stateful=stateful)

    if isinstance(chosen, Shortfall):
        fewest = {split: -(-wanted[split] // holds[split]) for split in SPLITS}
        enough = len(calibration) >= fewest["calibration"]
        largest = max(others.values())
        # Blocks are not divided, so a set may get up to a block less than its share.
        assert not (enough and len(judging) - 2 * largest >= 2 * (fewest["search"] + fewest["heldout"]))
        return
    for split in SPLITS:
        shares = chosen[split]
        assert sum(share.windows for share in shares) == wanted[split]
        assert all(1 <= share.windows <= holds[split] for share in shares)
        times = [share.segment.time_s for share in shares]
        assert times == sorted(times)
        assert len(set(times)) == len(times)
    search, heldout = ({share.segment.block for share in chosen[split]} for split in ("search", "heldout"))
    assert not search & heldout
    assert {share.segment for share in chosen["calibration"]} <= set(calibration)


def test_as_few_windows_as_will_do_are_taken_of_one_stretch() -> None:
    many = choose(
        stretches(dict.fromkeys(range(0, 200, 2), 4)), stretches(dict.fromkeys(range(1, 200, 2), 4)),
        {"calibration": 300, "search": 100, "heldout": 200}, dict.fromkeys(SPLITS, 5), stateful=False,
    )  # fmt: skip
    carried = choose(
        stretches(dict.fromkeys(range(0, 200, 2), 4)), stretches(dict.fromkeys(range(1, 200, 2), 4)),
        {"calibration": 300, "search": 100, "heldout": 200}, dict.fromkeys(SPLITS, 5), stateful=True,
    )  # fmt: skip

    assert isinstance(many, dict)
    assert isinstance(carried, dict)
    assert {share.windows for shares in many.values() for share in shares} == {1}
    assert {share.windows for shares in carried.values() for share in shares} == {5}


def test_each_regime_keeps_its_share_of_the_calibration_windows() -> None:
    kept = [At(float(number), number // 12, 0 if number % 10 else 1) for number in range(400)]

    chosen = choose(
        kept, stretches(dict.fromkeys(range(1000, 1100), 4)),
        {"calibration": 100, "search": 50, "heldout": 100}, dict.fromkeys(SPLITS, 1), stateful=False,
    )  # fmt: skip

    assert isinstance(chosen, dict)
    assert sum(share.segment.stratum for share in chosen["calibration"]) == 10


def test_how_many_windows_a_stretch_holds() -> None:
    assert capacity(250, 100, 50) == 4
    assert capacity(99, 100, 50) == 0
    assert capacity(99, 100, 1) == 0
    assert capacity(100, 100, 1) == 1
    resample = Resampler(rate_ratio(100, 50))
    for samples in range(100, 400, 7):
        windows = capacity(resample.outputs(samples), SIZE, HOP)
        outputs = len(resample(np.zeros((samples, 1), np.float32)))
        assert windows == max(0, (outputs - SIZE) // HOP + 1)
        assert not windows or resample.needed((windows - 1) * HOP + SIZE) <= samples
        assert resample.needed(windows * HOP + SIZE) > samples


# On a reservoir as the source process leaves it.


def numbered(samples: int) -> np.ndarray:
    """Movement whose first channel tells which sample it is; exact in float32."""
    data = motion(samples)
    data[:, 0] = np.arange(samples)
    return data


def make_task(folder: Path, **changes: Any) -> Task:
    plain = Task(
        job="j", name="m", version=1, format="onnx", model="model.onnx", inputs=[CONTRACT], recipe=RECIPE,
        sources={"imu": {"kind": "serial"}}, shared={"imu": str(folder)},
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def take(tmp_path: Path, task: Task) -> tuple[DataSet, dict[str, Any]]:
    here = context(tmp_path, task)
    made = capture_kept(here, INFO)
    assert isinstance(made, tuple), made
    sets, said = made
    write_durably(here.out_dir / SETS_FILE, msgspec.json.encode(sets))
    shutil.copytree(here.out_dir, tmp_path / Stage.CAPTURE)
    return open_dataset(here, INFO), as_json(said)


@pytest.fixture(scope="module")
def kept_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imu")
    fill(folder, numbered(4 * 3600 * 50), rate_hz=50, stretches=300, channels=CHANNELS, hours=4)
    return folder


def test_windows_are_what_the_sensor_sent_and_sets_are_minutes_apart(tmp_path: Path, kept_folder: Path) -> None:
    data, said = take(tmp_path, make_task(kept_folder))
    sent = numbered(4 * 3600 * 50)

    spans: list[tuple[int, int, str]] = []
    for split in SPLITS:
        rows = list(data.rows(split))
        assert len(rows) == data.count(split) == said[split]["windows"]
        for row in rows:
            first = int(row.feeds["x"][0, 0, 0])
            assert np.array_equal(row.feeds["x"][0], sent[first : first + SIZE])
            spans.append((first, first + SIZE, split))
    assert [said[split]["windows"] for split in SPLITS][1:] == [20, 40]
    assert said["calibration"]["windows"] >= 40
    spans.sort()
    for (_, last, split), (first, _, other) in pairwise(spans):
        assert first >= last or split == other == "calibration"
        assert split == other or first - last > SIZE
    assert said["kept"]["used"]
    assert said["kept"]["stretches"] == 300
    assert said["kept"]["message"].endswith(f"from {said['kept']['from']} to {said['kept']['to']}")
    assert said["warnings"] == [finding["message"] for finding in said["findings"]]
    assert not any(finding["refuse"] for finding in said["findings"])
    # The first third, the second and the third of the four hours have their part.
    for split in SPLITS:
        starts = np.array([first for first, _, other in spans if other == split])
        assert np.all(np.histogram(starts, 3, (0, len(sent)))[0] >= len(starts) / 6)


def test_windows_of_one_block_of_time_count_as_one_recording(tmp_path: Path, kept_folder: Path) -> None:
    data, _ = take(tmp_path, make_task(kept_folder))
    with read(kept_folder / KEPT_FOLDER) as kept:
        blocks = {round(segment.time_s): segment.block for segment in kept.segments}

    groups = [row.group for row in data.rows("heldout")]

    assert set(groups) <= set(blocks.values())
    assert groups == sorted(groups)  # type: ignore[type-var]


def test_a_model_with_state_gets_windows_that_follow_each_other(tmp_path: Path, kept_folder: Path) -> None:
    task = make_task(kept_folder, state=[State(input="h", output="n")])
    info = model_info(
        {"x": ("float32", (1, SIZE, 3)), "h": ("float32", (1, 4))},
        {"y": ("float32", (1, 4)), "n": ("float32", (1, 4))},
    )
    made = capture_kept(context(tmp_path, task), info)

    assert isinstance(made, tuple)
    assert {shard.windows for shard in made[0].search} == {2}  # 20 in 12 stretches or fewer
    assert {shard.group for shard in made[0].search} == {None}


def test_another_rate_is_made_of_each_stretch(tmp_path: Path, kept_folder: Path) -> None:
    contract = msgspec.structs.replace(CONTRACT, rate_hz=25.0)

    data, said = take(tmp_path, make_task(kept_folder, inputs=[contract]))

    resample = Resampler(rate_ratio(50, 25))
    sent = numbered(4 * 3600 * 50)
    for row in data.rows("heldout"):
        window = row.feeds["x"][0]
        first = round(float(window[0, 0])) - resample.margin
        assert np.allclose(window, resample(sent[first : first + 300])[:SIZE], atol=0.02)
    assert said["heldout"]["windows"] == 40


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"recipe": Recipe(calibration_windows=5000)}, " for search and verdict are stored; the sets need "),
        ({"inputs": [msgspec.structs.replace(CONTRACT, window=Window(300, 300))]}, "shorter than a window"),
        ({"inputs": [msgspec.structs.replace(CONTRACT, channels=["ax", "ay", "temperature"])]}, "no channel 'temp"),
    ],
)
def test_what_will_not_do_is_said(tmp_path: Path, kept_folder: Path, changes: dict[str, Any], why: str) -> None:
    info = model_info({"x": ("float32", (1, None, 3))})
    shortfall = capture_kept(context(tmp_path, make_task(kept_folder, **changes)), info)

    assert isinstance(shortfall, Shortfall)
    assert why in shortfall.why


def test_nothing_is_kept_of_it(tmp_path: Path) -> None:
    assert capture_kept(context(tmp_path, make_task(tmp_path)), INFO) is None
    assert capture_kept(context(tmp_path, make_task(tmp_path, shared={})), INFO) is None


def test_quality_refuses_what_is_kept_as_it_does_a_capture(tmp_path: Path) -> None:
    samples = motion(3 * 3600 * 50)
    samples[:, 1] = 1.0
    fill(tmp_path / "imu", samples, rate_hz=50, stretches=150, channels=CHANNELS, hours=3)

    with pytest.raises(Refusal, match="'ay' had one value in all") as error:
        capture_kept(context(tmp_path, make_task(tmp_path / "imu")), INFO)

    assert error.value.code == "constant_channel"


def test_a_disk_without_room_is_an_end_with_a_code(
    tmp_path: Path, kept_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1 << 20))

    with pytest.raises(LimitError) as error:
        capture_kept(context(tmp_path, make_task(kept_folder)), INFO)

    assert error.value.code == "no_space"


def test_a_look_holds_a_part_of_the_stretches_at_a_time(tmp_path: Path) -> None:
    """8 MB are kept; seen is one short window of each."""
    fill(tmp_path, motion(400_000), rate_hz=1000, stretches=100, channels=CHANNELS[:3], hours=0.5, seconds=7)
    with read(tmp_path / KEPT_FOLDER) as kept:
        size = len(kept.segments) * kept.format.segment_bytes
        tracemalloc.start()
        seen = preview_segments(kept, "imu", kept.segments, CHANNELS[1:2], Window(100, 100), None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        expected = [kept.load(segment) for segment in kept.segments]

    assert size > 6e6
    assert peak < size / 2
    assert len(seen.windows) == len(seen.groups) == len(expected) > 80
    for window, samples in zip(seen.windows, expected, strict=True):
        assert samples is not None
        assert np.array_equal(window, samples[:100, 1:2])


def test_units_that_the_model_was_not_made_for_are_refused(tmp_path: Path, kept_folder: Path) -> None:
    step = {"op": "standardize", "mean": [0.0], "std": [15.0, 0.001, 0.001]}
    task = make_task(kept_folder)
    task = msgspec.structs.replace(task, inputs=[msgspec.structs.replace(CONTRACT, steps=[step])])

    with pytest.raises(Refusal) as error:
        capture_kept(context(tmp_path, task), INFO)

    assert error.value.code == "scale_unlike"
    assert "(1000: milli?)" in error.value.message


def at_space_check(monkeypatch: pytest.MonkeyPatch, *happen: Callable[[], int]) -> None:
    """What happens each time that the free space is asked for, which is before stretches are copied; gives it."""
    usage, left = shutil.disk_usage("/"), list(happen)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=left.pop(0)() if left else 1 << 40))


@pytest.mark.parametrize("lost", ["half of it", "all of it"])
def test_what_is_replaced_while_it_is_copied_makes_no_set_short(
    tmp_path: Path, kept_folder: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    folder = tmp_path / "imu"
    shutil.copytree(kept_folder, folder)
    file = folder / KEPT_FOLDER / FILE

    def replace() -> int:
        with read(file.parent) as kept, file.open("r+b") as there:
            for segment in kept.segments[::2]:
                there.seek(kept._head.start + segment.slot * kept._head.slot_bytes)
                there.write(bytes(64))
        if lost == "all of it":
            os.truncate(file, 0)
        return 1 << 40

    at_space_check(monkeypatch, replace)
    here = context(tmp_path, make_task(folder))
    made = capture_kept(here, INFO)

    if lost == "all of it":
        assert made == Shortfall("stored samples were replaced while they were being copied")
        assert list(here.out_dir.iterdir()) == []
        return
    assert isinstance(made, tuple)
    assert made[1].kept is not None
    assert 150 <= (made[1].kept.stretches or 0) < 300  # what they had replaced is still in other slots
    for split, count in (("calibration", 40), ("search", 20), ("heldout", 40)):
        assert sum(shard.windows for shard in getattr(made[0], split)) == getattr(made[1], split).windows >= count


def test_there_must_be_room_for_what_is_copied_beyond_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now weak, now strong: the planned windows do not make ranges sure."""
    random = np.random.default_rng(3)
    strength = np.exp(random.standard_normal(3 * 3600)).repeat(50)[:, None]
    samples = (strength * random.standard_normal((len(strength), 3))).astype(np.float32)
    fill(tmp_path / "imu", samples, rate_hz=50, stretches=150, channels=CHANNELS, hours=3)
    at_space_check(monkeypatch, lambda: 1 << 40, lambda: 1 << 20)

    with pytest.raises(LimitError) as error:
        capture_kept(context(tmp_path, make_task(tmp_path / "imu")), INFO)

    assert error.value.code == "no_space"


def test_what_a_capture_left_is_no_part_of_it(tmp_path: Path, kept_folder: Path) -> None:
    here = context(tmp_path, make_task(kept_folder))
    (here.out_dir / "0000-calibration.npy").write_bytes(b"half a capture")
    (here.out_dir / "plan.json").write_bytes(b"{}")

    began = time.monotonic()
    assert isinstance(capture_kept(here, INFO), tuple)

    assert time.monotonic() - began < 10
    assert min(path.name for path in here.out_dir.iterdir()).startswith("calibration")


def test_a_model_that_does_not_fit_is_the_live_sensors_to_refuse(tmp_path: Path, kept_folder: Path) -> None:
    """What is kept may be of the sensor that was there before."""
    made = capture_kept(context(tmp_path, make_task(kept_folder)), model_info({"x": ("float32", (1, SIZE, 6))}))

    assert isinstance(made, Shortfall)


def segment_times(chosen: SegmentShares, split: Split) -> list[float]:
    return [share.segment.time_s for share in chosen[split]]


def test_the_verdicts_windows_are_a_fair_sample_of_the_time() -> None:
    """Over many reservoirs each moment of a uniform part is as likely in the held-out set as any other."""
    random = np.random.default_rng(0)
    hits = np.zeros(10)
    for _ in range(300):
        moments = np.sort(random.choice(3000, 240, replace=False))
        judging = [At(float(moment), int(moment) // 12) for moment in moments]
        chosen = choose(
            stretches({5000: 60}), judging, {"calibration": 30, "search": 40, "heldout": 80},
            dict.fromkeys(SPLITS, 1), stateful=False,
        )  # fmt: skip
        assert isinstance(chosen, dict)
        hits += np.histogram(segment_times(chosen, "heldout"), 10, (0, 3000))[0]

    expected = hits.sum() / 10
    assert np.all(np.abs(hits / expected - 1) < 0.1)
