"""A monitored source alone, on terminals and recordings: what it calls a gap, when it gives up, and what it says."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.captures import CHANNELS, Terminal, csv_lines, motion, serial_table
from support.sensing import ROOT, NumberedSensor

from edge_agent.acquisition import monitored as module
from edge_agent.acquisition.monitored import GAP, Gap, MonitoredSource, QuietLimits
from edge_agent.acquisition.source import EndOfSource, Source, Stream
from edge_agent.errors import LimitError, Refusal, SourceError
from edge_agent.sources import open_source

COUNTED = {"framing": "json", "counter": "n", "channels": ["x"], "rate_hz": 100}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "port")


@pytest.fixture
def opened() -> Iterator[list[Source]]:
    """What is closed at the end."""
    sources: list[Source] = []
    yield sources
    for source in sources:
        source.close()


def monitor(opened: list[Source], table: dict[str, Any]) -> MonitoredSource:
    opened.append(open_source("imu", table))
    return MonitoredSource(opened[-1], "imu")


def recording(folder: Path, samples: int, **options: Any) -> dict[str, Any]:
    np.savez(folder / "r.npz", samples=motion(samples))
    return {"kind": "replay", "path": str(folder / "r.npz"), "channels": CHANNELS, "rate_hz": 50, **options}


def counted(numbers: Sequence[int]) -> bytes:
    return b"".join(b'{"n": %d, "x": 1.5}\n' % number for number in numbers)


def read_for(source: MonitoredSource, seconds: float) -> list[np.ndarray | Gap]:
    """All that is not nothing within ``seconds``."""
    found: list[np.ndarray | Gap] = []
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if (reading := source.read(min(0.2, left))) is not None:
            found.append(reading)
    return found


def gaps(readings: Sequence[np.ndarray | Gap]) -> int:
    return sum(reading is GAP for reading in readings)


def numbers(readings: Sequence[np.ndarray | Gap]) -> np.ndarray:
    return np.concatenate([reading[:, 0] for reading in readings if not isinstance(reading, Gap)] or [np.empty(0)])


# -- gaps


def test_a_jump_of_the_counter_is_a_gap_between_what_was_before_and_after(
    terminal: Terminal, opened: list[Source]
) -> None:
    source = monitor(opened, serial_table(terminal.link, **COUNTED))
    terminal.write(b"\n" + counted([*range(10), *range(15, 21)]))

    readings = read_for(source, 0.4)

    assert [reading if reading is GAP else len(reading) for reading in readings] == [10, GAP, 6]
    assert (source.samples, source.interruptions) == (16, 1)
    assert [finding.code for finding in source.findings()] == ["stream_gaps"]
    assert "interrupted once" in source.findings()[0].message


def test_a_counter_may_be_read_before_the_first_sample_is_there(terminal: Terminal, opened: list[Source]) -> None:
    source = monitor(opened, serial_table(terminal.link, **COUNTED))
    assert read_for(source, 0.3) == []
    terminal.write(b"\n" + counted(range(5)))

    assert len(numbers(read_for(source, 0.3))) == 5


def test_a_gap_before_the_first_sample_interrupts_nothing(terminal: Terminal, opened: list[Source]) -> None:
    source = monitor(opened, serial_table(terminal.link))
    terminal.unplug()
    assert gaps(read_for(source, 0.3)) == 1
    terminal.plug()
    assert read_for(source, 0.6) == []
    terminal.write(csv_lines(motion(100)))

    readings = read_for(source, 0.3)

    assert len(numbers(readings)) > 0
    assert source.interruptions == 0


def test_a_cable_that_is_pulled_and_put_back_is_one_gap(tmp_path: Path, opened: list[Source]) -> None:
    with NumberedSensor(tmp_path) as sensor:
        source = monitor(opened, sensor.table)
        before = read_for(source, 0.5)
        sensor.unplug()
        away = read_for(source, 1.6)
        sensor.plug()
        after = read_for(source, 1)

    assert gaps(before) == 0
    assert gaps(away) == source.interruptions == 1
    assert gaps(after) == 0
    assert np.all(np.diff(numbers(after)) == 1)
    assert len(numbers(after)) > 50


class Pushed(Stream):
    """A source that hears of lost samples from its driver's thread, whenever that is; none of ours does."""

    malformed = 0
    trouble = ""

    def __init__(self) -> None:
        super().__init__(["x"], 100.0, 10.0)

    def read(self, timeout_s: float) -> np.ndarray | None:
        assert timeout_s > 0
        self.arrivals.hear(5, time.monotonic())
        return np.zeros((5, 1), np.float32)

    def close(self) -> None:
        """There is nothing to close."""


def test_a_gap_that_is_noticed_between_two_reads_is_not_missed() -> None:
    driver = Pushed()
    source = MonitoredSource(driver, "imu")
    assert source.read(0.1) is not GAP

    driver.interrupt()

    assert source.read(0.1) is GAP
    assert isinstance(source.read(0.1), np.ndarray)
    assert source.interruptions == 1


# -- dropouts


def test_a_live_source_that_falls_quiet_drops_out_once(tmp_path: Path, opened: list[Source]) -> None:
    with NumberedSensor(tmp_path) as sensor:
        source = monitor(opened, sensor.table)
        assert gaps(read_for(source, 0.5)) == 0
        sensor._there.clear()  # it hangs; its cable is still there
        began = time.monotonic()
        while source.read(0.2) is not GAP:
            assert time.monotonic() - began < 5
        quiet_s = source.quiet_s
        assert gaps(read_for(source, 1.5)) == 0
        sensor._there.set()
        again = read_for(source, 0.5)

    assert module.DROPOUT_S < quiet_s < 2
    assert source.interruptions == 1
    assert gaps(again) == 0
    assert np.all(np.diff(numbers(again)) == 1)


def test_five_samples_time_is_no_dropout_however_slow_the_sensor(terminal: Terminal, opened: list[Source]) -> None:
    source = monitor(opened, serial_table(terminal.link, rate_hz=2))
    terminal.write(csv_lines(motion(2)))

    readings = read_for(source, 2)

    assert gaps(readings) == 0
    assert gaps(read_for(source, 1.5)) == 1  # 5 / 2 Hz
    assert QuietLimits.of(rate_hz=2, silence_s=1) == QuietLimits(dropout_s=2.5, silence_s=2.5)
    assert QuietLimits.of(rate_hz=50, silence_s=10) == QuietLimits(dropout_s=1, silence_s=10)


def test_a_recording_has_no_dropouts(tmp_path: Path, opened: list[Source]) -> None:
    source = monitor(opened, recording(tmp_path, 100, rate="real", rate_hz=0.5))

    assert gaps(read_for(source, 3)) == 0


# -- silence


def test_who_never_sends_is_silent_and_who_stops_is_lost(terminal: Terminal, opened: list[Source]) -> None:
    source = monitor(opened, serial_table(terminal.link, silence_s=0.9))
    assert read_for(source, 1.5) == []
    assert source.silent
    with pytest.raises(SourceError, match=r"'imu' sends nothing: not one sample in 0[.]9 s; check power") as silent:
        source.check(10)

    terminal.write(csv_lines(motion(6)))
    assert len(numbers(read_for(source, 0.1))) == 5  # of the first nobody knows whether it is whole
    assert not source.silent
    source.check(10)
    read_for(source, 1.5)
    with pytest.raises(SourceError, match="stopped sending") as lost:
        source.check(10)

    assert (silent.value.code, lost.value.code) == ("source_silent", "source_lost")


def test_what_the_source_knows_of_its_trouble_is_said(terminal: Terminal, opened: list[Source]) -> None:
    source = monitor(opened, serial_table(terminal.link, silence_s=0.3))
    terminal.unplug()
    read_for(source, 1)

    with pytest.raises(SourceError, match="port is gone"):
        source.check(1)


def test_samples_that_come_late_are_no_silence(terminal: Terminal, opened: list[Source]) -> None:
    source = monitor(opened, serial_table(terminal.link, silence_s=0.3))
    terminal.write(b"\n")
    for _ in range(3):
        time.sleep(0.5)  # who reads has something else to do
        terminal.write(csv_lines(motion(5)))
        assert len(numbers([reading for reading in [source.read(0.5)] if reading is not None])) == 5
        source.check(10)


# -- rate


@pytest.mark.parametrize(("says", "refuse"), [(400, True), (200, None), (100, False)])
def test_a_rate_that_is_off(
    tmp_path: Path, opened: list[Source], monkeypatch: pytest.MonkeyPatch, says: float, refuse: object
) -> None:
    monkeypatch.setattr(module, "RATE_AFTER_S", 0.5)
    with NumberedSensor(tmp_path) as sensor:
        source = monitor(opened, sensor.table | {"rate_hz": says})
        assert source.findings() == []
        read_for(source, 1.2)

    found = source.findings()
    assert [(finding.code, finding.refuse) for finding in found] == ([] if refuse is None else [("wrong_rate", refuse)])
    if refuse:
        assert f"rate_hz says {says}" in found[0].message
        with pytest.raises(Refusal, match="set rate_hz = ") as error:
            source.check_rate()
        assert error.value.code == "wrong_rate"
    else:
        source.check_rate()
    source.check(10)


def test_the_time_of_a_dropout_does_not_count_for_the_rate(
    tmp_path: Path, opened: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RATE_AFTER_S", 0.5)
    with NumberedSensor(tmp_path) as sensor:
        source = monitor(opened, sensor.table)
        read_for(source, 1)
        sensor._there.clear()
        assert gaps(read_for(source, 2)) == 1
        sensor._there.set()
        read_for(source, 1)

    assert [finding.code for finding in source.findings()] == ["stream_gaps"]


def test_malformed_samples_are_found(terminal: Terminal, opened: list[Source]) -> None:
    source = monitor(opened, serial_table(terminal.link))
    terminal.write(b"1,2,3\nnoise\n4,5,6\n")
    read_for(source, 0.3)

    (finding,) = source.findings()

    assert (finding.code, finding.refuse) == ("malformed_samples", False)
    assert finding.message.startswith("1 malformed sample was dropped")


def test_the_rate_to_expect_is_what_comes_where_that_is_far_above_what_is_said(
    tmp_path: Path, opened: list[Source]
) -> None:
    quick = monitor(opened, recording(tmp_path, 200_000, rate="max", loop=True))
    assert quick.expected_rate_hz is None  # nothing was seen yet
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        quick.read()
    assert quick.expected_rate_hz is not None
    assert quick.expected_rate_hz > 1000

    with NumberedSensor(tmp_path) as sensor:
        steady = monitor(opened, sensor.table)
        read_for(steady, 0.7)
    assert steady.expected_rate_hz == 200


# -- deadline


def test_a_deadline_gives_half_as_much_time_again_and_a_little(
    tmp_path: Path, opened: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE_SLACK_S", 0.7)
    with NumberedSensor(tmp_path) as sensor:
        source = monitor(opened, sensor.table)
        source.allow(40)  # 0.3 s at 200 Hz
        read_for(source, 0.2)
        source.check(900)
        read_for(source, 1)
        with pytest.raises(
            LimitError, match="900 samples of source 'imu' are still missing after 1 s; check the sensor"
        ) as error:
            source.check(900)
        source.allow(400)
        source.check(900)  # 3 s more

    assert error.value.code == "capture_timeout"


def test_without_a_deadline_nobody_is_late(terminal: Terminal, opened: list[Source]) -> None:
    source = monitor(opened, serial_table(terminal.link))
    read_for(source, 0.1)

    source.check(1_000_000)


# -- the end


def test_a_recording_ends_after_all_of_it(tmp_path: Path, opened: list[Source]) -> None:
    source = monitor(opened, recording(tmp_path, 1234, rate="max"))
    readings: list[np.ndarray] = []

    def read_on() -> None:
        while True:
            reading = source.read()
            assert isinstance(reading, np.ndarray)
            readings.append(reading)

    with pytest.raises(EndOfSource, match="ended after 1234 samples"):
        read_on()

    assert source.samples == sum(map(len, readings)) == 1234
    assert source.findings() == []
    source.check(0)


# -- clocks


def test_the_wall_clock_may_jump(tmp_path: Path, opened: list[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    with NumberedSensor(tmp_path) as sensor:
        source = monitor(opened, sensor.table | {"silence_s": 1})
        source.allow(1000)
        readings = []
        for jump in (0.0, 1e6, -1e9, 3600.0):
            monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
            readings += read_for(source, 0.3)
            source.check(10)

    assert gaps(readings) == 0
    assert np.all(np.diff(numbers(readings)) == 1)
    assert source.findings() == []


STOPPED = """
import sys, time
from edge_agent.acquisition.monitored import MonitoredSource
from edge_agent.sources import open_source
source = MonitoredSource(open_source("imu", eval(sys.argv[1])), "imu")
source.allow(100_000)
while source.samples < 400:
    source.read()
    source.check(1)
    print(source.samples, flush=True)
"""


def test_a_process_that_was_stopped_finds_no_silence(tmp_path: Path) -> None:
    with NumberedSensor(tmp_path) as sensor:
        table = sensor.table | {"silence_s": 0.5}
        command = [sys.executable, "-c", STOPPED, repr(table)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        child.send_signal(signal.SIGCONT)
        _, trouble = child.communicate(timeout=60)

    assert child.returncode == 0, trouble


class Late(Pushed):
    """Comes back from one read long after its time, with nothing; then all is there. No real one does so at will."""

    def __init__(self) -> None:
        super().__init__()
        self.silence_s = 0.2
        self.stopped = threading.Event()

    def read(self, timeout_s: float) -> np.ndarray | None:
        if self.stopped.is_set():
            self.stopped.clear()
            time.sleep(1.2)
            return None
        return super().read(timeout_s)


def test_one_late_read_that_brings_nothing_is_neither_dropout_nor_silence() -> None:
    driver = Late()
    with closing(driver):
        source = MonitoredSource(driver, "imu")
        assert isinstance(source.read(0.1), np.ndarray)
        driver.stopped.set()

        assert source.read(0.1) is None
        source.check(1)
        assert isinstance(source.read(0.1), np.ndarray)

    assert source.interruptions == 0
