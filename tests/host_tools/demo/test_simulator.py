"""The demo's sensor against a plain serial reader."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import serial

from edge_agent.errors import SourceError
from host_tools.demo.simulator import BAUD_115200, RECORDING, SerialImu


def read_lines(port: serial.Serial, count: int) -> list[bytes]:
    data = b""
    while data.count(b"\n") < count and (more := port.read(port.in_waiting or 1)):
        data += more
    return data.split(b"\n")[:-1][:count]


def lines(imu: SerialImu, count: int) -> list[bytes]:
    with serial.Serial(str(imu.port), timeout=60) as port:
        return read_lines(port, count)


def values(raw: list[bytes]) -> np.ndarray:
    return np.array([[float(value) for value in line.split(b",")] for line in raw])


def expected(count: int) -> np.ndarray:
    with np.load(RECORDING) as file:
        return file["samples"][:count] * float(file["scale"])


@contextmanager
def sensor(tmp_path: Path, *faults: str, pace: str = "max") -> Iterator[SerialImu]:
    with SerialImu(tmp_path / "imu", pace=pace, faults=faults) as imu:
        yield imu


def test_replays_the_recording_without_a_loss(tmp_path: Path) -> None:
    with sensor(tmp_path) as imu:
        got = values(lines(imu, 3000))

    np.testing.assert_allclose(got, expected(3000), atol=1e-9)


def test_max_waits_for_its_reader_and_says_how_fast_it_was(tmp_path: Path) -> None:
    with sensor(tmp_path) as imu:
        first = lines(imu, 100)
        time.sleep(0.5)  # nobody reads: nothing may be lost, and the time does not count
        lines(imu, 20_000)
        deadline = time.monotonic() + 60
        while (progress := imu.progress()).samples < 20_000 and time.monotonic() < deadline:
            time.sleep(0.05)

    assert len(first) == 100
    assert progress.dropped == 0
    assert progress.times_real_time > 20


def test_rewinding_shows_every_reader_the_same_samples(tmp_path: Path) -> None:
    with SerialImu(tmp_path / "imu", rewind=True) as imu:
        seen = []
        for count in (30, 1003, 5000):
            seen.append(lines(imu, count))
            time.sleep(0.5)  # it looks now and then whether its reader is there

    for got in seen:
        np.testing.assert_allclose(values(got), expected(len(got)), atol=1e-9)


def test_paced_at_115200_baud(tmp_path: Path) -> None:
    with sensor(tmp_path, pace=BAUD_115200) as imu:
        lines(imu, 30)
        began = time.monotonic()
        got = lines(imu, 400)
        seconds = time.monotonic() - began

    rate = sum(map(len, got)) / seconds
    assert 0.3 < rate / 11520 < 1.5, "at pace max it is a hundred times as much; a busy machine reads in bursts"


def test_a_sensor_that_waits_for_nobody_drops_samples(tmp_path: Path) -> None:
    with sensor(tmp_path, pace=str(500_000)) as imu, serial.Serial(str(imu.port)):
        deadline = time.monotonic() + 60
        while not imu.progress().dropped and time.monotonic() < deadline:
            time.sleep(0.05)

        assert imu.progress().dropped > 0


def test_stuck_channel(tmp_path: Path) -> None:
    with sensor(tmp_path, "stuck:az@100") as imu:
        got = values(lines(imu, 400))

    assert np.unique(got[100:, 2]).size == 1
    assert np.unique(got[:100, 2]).size > 20
    assert np.unique(got[100:, 1]).size > 20


def test_nan_lasts_as_long_as_asked(tmp_path: Path) -> None:
    with sensor(tmp_path, "nan:gx@10+5") as imu:
        got = values(lines(imu, 50))

    assert np.flatnonzero(np.isnan(got[:, 3])).tolist() == [10, 11, 12, 13, 14]


def test_noise_breaks_lines_and_no_others(tmp_path: Path) -> None:
    with sensor(tmp_path, "noise") as imu:
        got = lines(imu, 500)

    good = {b",".join(b"%.3f" % value for value in row) for row in expected(600).tolist()}
    assert 9 <= sum(line not in good for line in got) <= 20


def test_silence(tmp_path: Path) -> None:
    with sensor(tmp_path, "silence@120") as imu, serial.Serial(str(imu.port), timeout=60) as port:
        got = read_lines(port, 120)
        port.timeout = 0.5

        assert len(got) == 120
        assert port.read(1) == b""


def test_unplug_and_replug_behind_the_same_path(tmp_path: Path) -> None:
    with sensor(tmp_path, "unplug@200+0.3") as imu:
        with serial.Serial(str(imu.port), timeout=60) as port:
            before = imu.port.readlink()
            assert len(read_lines(port, 200)) == 200
            with pytest.raises(serial.SerialException):
                port.readline()
        deadline = time.monotonic() + 60
        while not imu.port.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        after = values(lines(imu, 20))

        assert str(before).startswith("/dev/pts/")
        np.testing.assert_allclose(after, expected(220)[200:], atol=1e-9)


def test_a_fault_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="stuck:az@1000"):
        SerialImu(tmp_path / "imu", faults=["broken"]).start()
