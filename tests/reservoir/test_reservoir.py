"""The reservoir as a whole: on a real disk, in processes that are killed, beside readers, where the disk refuses."""

import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.keeper import SHAPE, START_S, STRETCHES, numbered

from edge_agent.reservoir.reservoir import Reservoir
from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.reservoir.slots import FILE
from edge_agent.reservoir.snapshot import ReservoirSnapshot, read
from edge_agent.reservoir.state import FILE as STATE_FILE

ROOT = Path(__file__).parents[2]
DAY_S = 86_400


class Sensor:
    """A stream of numbered samples, and the clock that goes with it."""

    def __init__(self) -> None:
        self.now = START_S
        self.number = 0
        self.set_back = 0.0

    def clock(self) -> float:
        return self.now - self.set_back

    def timer(self) -> float:
        return self.now

    def reservoir(self, folder: Path, **options: float) -> Reservoir:
        wanted = {"stretches": STRETCHES, "seed": 1, **options}
        return Reservoir(folder, SHAPE, **wanted, clock=self.clock, timer=self.timer)  # type: ignore[arg-type]

    def feed(self, reservoir: Reservoir, stretches: int) -> None:
        """So many stretches' worth of samples, in batches of odd lengths."""
        left = stretches * SHAPE.samples
        while left:
            count = min(left, 1009)
            reservoir.add(numbered(self.number, count), self.clock(), gap=False)
            self.number, self.now, left = self.number + count, self.now + count / SHAPE.rate_hz, left - count


def check(kept: ReservoirSnapshot) -> int:
    """Places are told apart, samples belong together and to their time; returns how many stretches could be loaded."""
    assert len({one.slot for one in kept.segments}) == len({one.seq for one in kept.segments}) == len(kept.segments)
    assert len(kept.segments) <= STRETCHES
    blocks = {part: {one.block for one in kept.of(part)} for part in ("calibration", "judging")}
    assert not blocks["calibration"] & blocks["judging"]
    loaded = 0
    for one in kept.segments:
        samples = kept.load(one)
        if samples is None:
            continue
        first = round((one.time_s - START_S) * SHAPE.rate_hz) % (1 << 20)
        assert np.array_equal(samples[:, 0], (first + np.arange(SHAPE.samples)) % (1 << 20))
        assert np.array_equal(samples[:, 1], -samples[:, 0])
        loaded += 1
    return loaded


def test_it_keeps_a_sample_of_both_parts(tmp_path: Path) -> None:
    sensor = Sensor()
    reservoir = sensor.reservoir(tmp_path)
    sensor.feed(reservoir, 2000)
    reservoir.close()
    reservoir.close()

    with read(tmp_path) as kept:
        assert check(kept) == STRETCHES
        assert len(kept.of("calibration")) == 8
        assert len(kept.of("judging")) == 12
        assert kept.format == SHAPE
        assert kept.since_s == START_S
        assert [one.time_s for one in kept.segments] == sorted(one.time_s for one in kept.segments)
        judged = sum(one.weight for one in kept.of("judging"))
        spread = max(one.time_s for one in kept.segments) - min(one.time_s for one in kept.segments)
    assert spread > 0.5 * 2000 * SHAPE.segment_s
    assert 500 < judged < 1000  # it stands for nearly all of its half, gaps between blocks apart


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    """Counts go on, weights go on, so the sample after a restart is what it would have been."""
    sensor = Sensor()
    reservoir = sensor.reservoir(tmp_path)
    sensor.feed(reservoir, 1500)
    before = reservoir.counts, reservoir.kept, reservoir.strata
    reservoir.close()
    again = sensor.reservoir(tmp_path)
    counts, kept, strata = again.counts, again.kept, again.strata

    assert (kept, strata) == before[1:]
    assert (counts.seen, counts.accepted) == (before[0].seen, before[0].accepted)
    assert counts.written_bytes >= before[0].written_bytes > 0
    sensor.feed(again, 100)
    assert 80 < again.counts.seen - counts.seen <= 100
    again.close()
    with read(tmp_path) as held:
        assert check(held) == STRETCHES


@pytest.mark.parametrize("state", ["saved", "lost"])
def test_old_and_new_have_the_same_chance_over_a_restart(tmp_path: Path, state: str) -> None:
    """The first and the second half of the time are kept alike, though the process ended in between."""
    early = late = 0
    for trial in range(25):
        sensor, folder = Sensor(), tmp_path / str(trial)
        reservoir = sensor.reservoir(folder, seed=trial)
        sensor.feed(reservoir, 100)
        middle = sensor.now
        reservoir.close()
        if state == "lost":
            (folder / STATE_FILE).unlink()
        reservoir = sensor.reservoir(folder)
        sensor.feed(reservoir, 100)
        reservoir.close()
        with read(folder) as kept:
            early += sum(one.time_s < middle for one in kept.of("judging"))
            late += sum(one.time_s >= middle for one in kept.of("judging"))

    total = early + late
    assert total == 25 * 12
    # Lost, the weight is what it was when the newest was kept: a little is counted twice, in favour of what is new.
    assert abs(early - late) < (4 if state == "saved" else 7) * math.sqrt(total)


def test_another_shape_begins_anew(tmp_path: Path) -> None:
    sensor = Sensor()
    reservoir = sensor.reservoir(tmp_path)
    sensor.feed(reservoir, 200)
    reservoir.close()
    other = SegmentFormat(channels=("n",), rate_hz=50, samples=256)
    Reservoir(tmp_path, other, stretches=STRETCHES, clock=sensor.clock).close()

    with read(tmp_path) as kept:
        assert kept.format == other
        assert kept.segments == ()


def test_what_is_not_finite_is_left_out_and_counted(tmp_path: Path) -> None:
    sensor = Sensor()
    reservoir = sensor.reservoir(tmp_path)
    for number in range(400):
        samples = numbered(number * 256, 256)
        if number % 3 == 0:
            samples[17, 1] = np.nan
        reservoir.add(samples, sensor.now, gap=True)
        sensor.now += SHAPE.segment_s
    assert reservoir.counts.non_finite > 100
    reservoir.close()

    with read(tmp_path) as kept:
        loaded = [kept.load(one) for one in kept.segments]
    assert len(loaded) == STRETCHES
    assert all(samples is not None and np.isfinite(samples).all() for samples in loaded)


@contextmanager
def keeper(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A process that writes as fast as it can; killed at the end."""
    command = [sys.executable, "-m", "support.keeper", str(folder), *options]
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()


def test_killed_at_any_moment_it_keeps_what_it_had(tmp_path: Path) -> None:
    """Killed while it writes, again and again: from the first time on that all places are taken, they stay so."""
    random, sizes = np.random.default_rng(0), []
    for _ in range(6):
        with keeper(tmp_path):
            time.sleep(random.uniform(0.05, 0.3))
        with read(tmp_path) as kept:
            sizes.append(check(kept))
            assert sizes[-1] == len(kept.segments)

    assert sizes == sorted(sizes)
    assert sizes[-1] == STRETCHES
    assert (tmp_path / FILE).stat().st_size < 1 << 20


def test_readers_see_a_consistent_set_while_it_is_written(tmp_path: Path) -> None:
    with keeper(tmp_path):
        until, snapshots, seen, loaded = time.monotonic() + 1.5, 0, 0, 0
        newest = -1
        while time.monotonic() < until:
            with read(tmp_path) as kept:
                snapshots, seen, loaded = snapshots + 1, seen + len(kept.segments), loaded + check(kept)
                newest = max([newest, *(one.seq for one in kept.segments)])

    assert snapshots > 10
    assert newest > STRETCHES  # places were taken over meanwhile
    assert loaded > 0.9 * seen


def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    """No room for the file; later there is."""
    code = (
        "import resource, signal, sys; from pathlib import Path; sys.path[:0] = sys.argv[2:];"
        "import test_reservoir as t; sensor = t.Sensor();"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY));"
        "it = sensor.reservoir(Path(sys.argv[1])); print(it.trouble.code, '·', it.trouble.message);"
        "sensor.feed(it, 50); print(it.counts.unwritten > 30, it.kept, list(Path(sys.argv[1]).iterdir()));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2);"
        "sensor.feed(it, 200); print(it.trouble, it.counts.seen > 150, it.kept)"
    )
    paths = [ROOT, ROOT / "tests", Path(__file__).parent]
    command = [sys.executable, "-c", code, str(tmp_path), *map(str, paths)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert said[0].startswith("no_space · the sensor's samples are not stored in")
    assert "free space" in said[0]
    assert said[1] == "True {'calibration': 0, 'judging': 0} []"
    assert said[2] == "None True {'calibration': 8, 'judging': 12}"


def test_a_disk_that_refuses_later_keeps_what_is_there(tmp_path: Path) -> None:
    sensor = Sensor()
    reservoir = sensor.reservoir(tmp_path, stretches=200, horizon_days=0.02)
    sensor.feed(reservoir, 400)
    assert reservoir.flush()
    with read(tmp_path) as kept:
        before = {one.seq for one in kept.segments}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        sensor.feed(reservoir, 300)
        assert reservoir.trouble is not None
        assert reservoir.trouble.code == "no_space"
        assert reservoir.counts.unwritten > 20  # once as many wait in memory as there are spare slots
        with read(tmp_path) as kept:
            assert {one.seq for one in kept.segments} == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    sensor.feed(reservoir, 300)
    assert reservoir.trouble is None
    reservoir.close()
    with read(tmp_path) as kept:
        assert len(kept.segments) == 200
        assert len({one.seq for one in kept.segments} - before) > 60


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sensor = Sensor()
    reservoir = sensor.reservoir(tmp_path / "file" / "folder")
    sensor.feed(reservoir, 20)

    assert reservoir.trouble is not None
    assert reservoir.trouble.code == "state_unreadable"
    assert reservoir.counts.seen == reservoir.counts.unwritten > 10
    assert not reservoir.flush()
    reservoir.close()


def test_a_second_writer_waits_its_turn(tmp_path: Path) -> None:
    sensor = Sensor()
    first = sensor.reservoir(tmp_path)
    second = sensor.reservoir(tmp_path)
    assert second.trouble is not None
    assert second.trouble.code == "locked"
    first.close()
    sensor.now += 60
    sensor.feed(second, 40)

    assert second.trouble is None
    assert sum(second.kept.values()) > 10
    second.close()


def test_the_budget_holds_over_a_day_of_pictures(tmp_path: Path) -> None:
    """Far more than the budget would be written in the first hours; then again after a restart."""
    shape = SegmentFormat(channels=("r", "g", "b"), frame_shape=(40, 50), dtype="uint8", rate_hz=0.1, samples=1)
    sensor, budget_mb = Sensor(), 1.0
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (1, 40, 50, 3), np.uint8)
    written: list[tuple[float, int]] = []
    for _ in range(2):
        reservoir = Reservoir(
            tmp_path,
            shape,
            stretches=200,
            write_budget_mb_per_day=budget_mb,
            seed=3,
            clock=sensor.clock,
            timer=sensor.timer,
        )
        before = reservoir.counts.written_bytes
        for _ in range(DAY_S // 30):
            reservoir.add(picture, sensor.now, gap=True)
            sensor.now += 10
            written.append((sensor.now, reservoir.counts.written_bytes - before))
            before = reservoir.counts.written_bytes
        reservoir.close()

    total = sum(size for _, size in written)
    assert 0.5e6 < total <= budget_mb * 1e6
    with read(tmp_path) as kept:
        assert len(kept.of("judging")) > 10


def test_a_kill_gives_little_of_the_budget_back(tmp_path: Path) -> None:
    """Killed every 43 minutes, by a disk that would take ten times as much."""
    sensor, budget_mb, kills, before = Sensor(), 1.0, 10, 0
    written = []
    for _ in range(kills):
        reservoir = sensor.reservoir(tmp_path, horizon_days=0.0001, write_budget_mb_per_day=budget_mb)
        before = reservoir.counts.written_bytes
        sensor.feed(reservoir, 500)
        written.append(reservoir.counts.written_bytes - before)
        assert reservoir._file is not None
        reservoir._file.slots.close()  # as the kernel would

    assert 0.3e6 < sum(written) < (1 + kills / 32) * budget_mb * 1e6


def test_a_clock_that_is_set_back_delays_nothing(tmp_path: Path) -> None:
    sensor = Sensor()
    reservoir = sensor.reservoir(tmp_path, horizon_days=0.001)
    sensor.feed(reservoir, 100)
    sensor.set_back = 3e7
    before = reservoir.counts.written_bytes
    sensor.feed(reservoir, 100)

    assert reservoir.counts.written_bytes > before
    reservoir.close()


def test_a_budget_that_can_never_pay_for_a_stretch_is_said(tmp_path: Path) -> None:
    """A slot takes 4 KiB, calibration has two fifths of the places, and half a day's budget is the most at once."""
    sensor = Sensor()
    poor = sensor.reservoir(tmp_path / "poor", write_budget_mb_per_day=0.02)
    sensor.feed(poor, 200)
    assert poor.kept["calibration"] == 0
    assert poor.flush()
    assert poor.trouble is not None
    assert poor.trouble.code == "usage"
    assert "keep_mb_per_day = 0.02 is too small for segments of 0.0041 MB" in poor.trouble.message
    assert "0.1 or more" in poor.trouble.message
    poor.close()

    enough = sensor.reservoir(tmp_path / "enough", write_budget_mb_per_day=0.0205)
    sensor.feed(enough, 200)
    assert enough.kept["calibration"] > 0
    assert enough.trouble is None
    enough.close()
