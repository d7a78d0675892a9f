"""What a shared sensor's process of version 0.1.0 has kept is read by this one, and it goes on keeping.

The folders are those that it left, closed and killed, see ``tests/fixtures/v0_1_0/make_kept.py``.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.captures import context, model_info
from support.keeper import SHAPE as KILLED
from support.keeper import STRETCHES as KILLED_STRETCHES
from support.keeper import numbered
from support.records import SHAPE as PICTURES
from support.results import as_json
from support.upgrades import BEGAN_S, FIXTURES, MOVED, described, moved, unpack

from edge_agent.jobs.task import Task
from edge_agent.reservoir.reservoir import Reservoir
from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.reservoir.slots import FILE
from edge_agent.reservoir.snapshot import read
from edge_agent.settings.sharing import KEPT_FOLDER
from edge_agent.wire.manifest import InputContract, Recipe, Window
from edge_agent.worker.capture.from_reservoir import capture_kept

MADE = FIXTURES / "v0_1_0"
SAID: dict[str, Any] = json.loads((MADE / "kept.json").read_text(encoding="ascii"))
STRETCHES = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(MADE / "kept.tar.xz", tmp_path_factory.mktemp("kept"))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A device's ``sources``, to be written to."""
    return Path(shutil.copytree(made, tmp_path / "sources"))


class Sensor:
    """The stream goes on where it ended, an hour later."""

    def __init__(self, shape: SegmentFormat, stretches: int) -> None:
        self.now = BEGAN_S + 3 * 3600
        self._shape = shape
        self._stretches = stretches

    def open(self, folder: Path) -> Reservoir:
        return Reservoir(folder, self._shape, stretches=self._stretches, clock=self.clock, timer=self.clock)

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize("case", SAID)
def test_every_stretch_is_read(made: Path, case: str) -> None:
    """With its time, part, regime and weight, and sample for sample."""
    with read(made / case / KEPT_FOLDER) as kept:
        assert kept.since_s == SAID[case]["since_s"]
        assert described(kept) == SAID[case]["stretches"]


@pytest.mark.parametrize(("case", "shape"), [("closed", MOVED), ("pictures", PICTURES)])
def test_its_process_knows_again_what_it_had_counted(folder: Path, case: str, shape: SegmentFormat) -> None:
    reservoir = Sensor(shape, STRETCHES).open(folder / case / KEPT_FOLDER)
    counts = msgspec.to_builtins(reservoir.counts)

    assert reservoir.trouble is None
    assert {name: counts[name] for name in SAID[case]["counts"]} == SAID[case]["counts"]
    assert counts["written_bytes"] > 0
    assert (reservoir.kept, reservoir.strata) == (SAID[case]["kept"], SAID[case]["strata"])
    assert reservoir.since_s == SAID[case]["since_s"]
    reservoir.close()


@pytest.mark.parametrize(
    ("case", "shape", "stretches"), [("closed", MOVED, STRETCHES), ("killed", KILLED, KILLED_STRETCHES)]
)
def test_it_goes_on_being_filled(folder: Path, case: str, shape: SegmentFormat, stretches: int) -> None:
    """In the same file: what is new comes beside what is old, and does not drive it out."""
    place, sensor = folder / case / KEPT_FOLDER, Sensor(shape, stretches)
    file, old = (place / FILE).stat(), {one["seq"]: one["crc"] for one in SAID[case]["stretches"]}
    reservoir = sensor.open(place)
    before, piece = reservoir.counts.seen, round(20 * shape.rate_hz)
    for number in range(60):
        samples = (numbered if case == "killed" else moved)(number * piece, piece)
        reservoir.add(samples, sensor.now, gap=False)
        sensor.now += piece / shape.rate_hz
    seen = reservoir.counts.seen - before
    reservoir.close()

    assert seen >= 200
    assert ((place / FILE).stat().st_ino, (place / FILE).stat().st_size) == (file.st_ino, file.st_size)
    with read(place) as kept:
        now = {one["seq"]: one["crc"] for one in described(kept)}
        assert kept.since_s == SAID[case]["since_s"]
    still = [seq for seq in old if now.get(seq) == old[seq]]
    assert len(now) == stretches
    assert len(still) >= stretches // 4
    assert max(now) > max(old)


def test_a_job_takes_its_sets_from_it(folder: Path, tmp_path: Path) -> None:
    """At once, without waiting for the sensor."""
    contract = InputContract(
        source="imu", channels=["b", "a"], window=Window(10, 5), steps=[{"op": "reshape", "shape": [-1]}]
    )
    task = Task(
        job="j", name="m", version=1, format="onnx", model="model.onnx", inputs=[contract],
        recipe=Recipe(calibration_windows=60, search_windows=20, heldout_windows=40),
        sources={"imu": {"kind": "serial"}}, shared={"imu": str(folder / "closed")},
    )  # fmt: skip
    job = context(tmp_path / "job", task)

    made = capture_kept(job, model_info({"x": ("float32", (1, 20))}))

    assert isinstance(made, tuple), made
    sets, said = made[0], as_json(made[1])
    assert [said[split]["windows"] for split in ("search", "heldout")] == [20, 40]
    assert said["kept"]["used"]
    assert said["kept"]["stretches"] == STRETCHES
    shard = np.load(job.out_dir / sets.heldout[0].file)
    assert shard.shape[1] == 2
    assert np.abs(shard * 16 - np.round(shard * 16)).max() == 0, "the sensor's steps"
