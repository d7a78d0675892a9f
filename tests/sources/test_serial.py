import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.captures import Terminal, csv_lines, motion, serial_table

from edge_agent.errors import ConfigError, SourceError
from edge_agent.sources import Source, check_table, open_source

SAMPLES = motion(200)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "imu")


@pytest.fixture
def source(terminal: Terminal) -> Iterator[Source]:
    opened = open_source("imu", serial_table(terminal.link))
    terminal.write(b"half a li\n")
    yield opened
    opened.close()


def collect(source: Source, count: int, timeout_s: float = 60.0) -> np.ndarray:
    """Read until ``count`` samples are there."""
    parts: list[np.ndarray] = []
    deadline = time.monotonic() + timeout_s
    while sum(map(len, parts)) < count:
        assert time.monotonic() < deadline, f"{sum(map(len, parts))} of {count} samples came"
        if (arrived := source.read(0.2)) is not None:
            parts.append(arrived)
    return np.concatenate(parts)


def test_samples_arrive_as_sent(terminal: Terminal, source: Source) -> None:
    writer = terminal.write_later(csv_lines(SAMPLES[:100]) + csv_lines(SAMPLES[100:], end="\r\n"))

    arrived = collect(source, 200)

    writer.join()
    assert arrived.dtype == np.float32
    assert np.array_equal(arrived, SAMPLES)
    assert source.malformed == source.gaps == 0
    assert source.live


def test_a_fast_sensor_loses_nothing(terminal: Terminal, source: Source) -> None:
    fast = motion(20_000, seed=1)
    terminal.write_later(csv_lines(fast))

    assert np.array_equal(collect(source, len(fast)), fast)


def test_noise_is_counted_and_dropped(terminal: Terminal, source: Source) -> None:
    lines = csv_lines(SAMPLES).splitlines(keepends=True)
    terminal.write_later(
        b"".join(b"\x00\xfe\x80" + line if index % 10 == 3 else line for index, line in enumerate(lines))
    )

    arrived = collect(source, 180)

    assert np.array_equal(arrived, np.delete(SAMPLES, range(3, 200, 10), axis=0))
    assert source.malformed == 20


def test_a_silent_sensor_is_waited_for_no_longer_than_asked(source: Source) -> None:
    started = time.monotonic()

    assert source.read(0.3) is None
    assert 0.25 < time.monotonic() - started < 2
    assert source.trouble == ""


def test_wrong_framing_is_named(terminal: Terminal, source: Source) -> None:
    terminal.write(b"x=1 y=2 z=3\n" * 5)

    assert source.read(0.3) is None
    assert "5 lines were not 3 decimals; check baud, framing and channels" in source.trouble


def test_reading_goes_on_after_the_cable_was_pulled(terminal: Terminal, source: Source) -> None:
    terminal.write(csv_lines(SAMPLES[:50]) + b"1.0,2.")
    before = collect(source, 50)
    terminal.unplug()
    while source.read(0.1) is not None or not source.gaps:
        pass
    gone = source.trouble

    terminal.plug()
    stop = threading.Event()
    writer = threading.Thread(target=_write_until, args=(terminal, csv_lines(SAMPLES[50:60]), stop))
    writer.start()
    try:
        after = collect(source, 30)
    finally:
        stop.set()
        writer.join()

    assert np.array_equal(before, SAMPLES[:50])
    assert gone.endswith("imu is gone; check cable and power")
    assert source.gaps == 1
    assert {tuple(row) for row in after.tolist()} <= {tuple(row) for row in SAMPLES[50:60].tolist()}


def test_what_had_waited_in_the_adapter_is_not_taken_for_what_comes_now(terminal: Terminal, source: Source) -> None:
    terminal.write(csv_lines(SAMPLES[:10]))
    collect(source, 10)
    terminal.unplug()
    while source.read(0.05) is not None or not source.trouble:
        pass
    terminal.plug()
    while source.trouble:
        assert source.read(0.01) is None
    terminal.write(csv_lines(SAMPLES[10:20]))
    late = time.monotonic() + 0.3
    while time.monotonic() < late:
        assert source.read(0.02) is None

    terminal.write(b"end of a line\n" + csv_lines(SAMPLES[100:120]))

    assert np.array_equal(collect(source, 20), SAMPLES[100:120])
    assert source.gaps == 1


def _write_until(terminal: Terminal, data: bytes, stop: threading.Event) -> None:
    while not stop.wait(0.02):
        terminal.write(data)


def test_a_port_is_held_exclusively_and_its_holder_named(terminal: Terminal, source: Source) -> None:
    program = "from edge_agent.sources import open_source; import sys; open_source('imu', eval(sys.argv[1]))"

    other = subprocess.run(
        [sys.executable, "-c", program, repr(serial_table(terminal.link))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert other.returncode != 0
    assert f"is in use by process {os.getpid()} (" in other.stderr


def test_a_port_locked_by_another_program_is_busy(terminal: Terminal) -> None:
    with terminal.link.open("rb", buffering=0) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SourceError, match="stop it") as error:
            open_source("imu", serial_table(terminal.link))

    assert error.value.code == "source_busy"


@pytest.mark.parametrize(
    ("name", "says"), [("absent", "does not exist"), ("file", "cannot be opened as a serial port")]
)
def test_a_port_that_is_none(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").write_bytes(b"1,2,3\n")

    with pytest.raises(SourceError, match=says) as error:
        open_source("imu", serial_table(tmp_path / name))

    assert error.value.code == "source_unavailable"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"kind": "serail"}, r"\[sources.imu\]: unknown kind 'serail'; did you mean 'serial'"),
        ({}, "unknown kind None"),
        ({"kind": "../os"}, "unknown kind"),
        (serial_table(Path("/dev/x"), buad=9600), "unknown key 'buad'; did you mean 'baud'"),
        (serial_table(Path("/dev/x"), rate_hz=0), "> 0"),
        (serial_table(Path("/dev/x"), framing="xml"), "framing"),
        ({"kind": "serial", "port": "/dev/x", "rate_hz": 50}, "channels"),
        (serial_table(Path("/dev/x"), layout="<3h"), 'need framing = "cobs" or "sync", not "csv"'),
        (serial_table(Path("/dev/x"), framing="cobs"), "must begin with its byte order"),
        (serial_table(Path("/dev/x"), framing="cobs", layout="<2h"), "has 2 numbers and must have 3"),
        (serial_table(Path("/dev/x"), framing="cobs", layout="<3h", counter="n"), "has 3 numbers and must have 4"),
        (serial_table(Path("/dev/x"), framing="cobs", layout="<3s"), "must contain only"),
        (
            serial_table(Path("/dev/x"), framing="sync", layout="<3h", check="sum8"),
            'needs framing = "sync", and that needs it',
        ),
        (serial_table(Path("/dev/x"), framing="sync", layout="<3h", sync="aa55"), "needs a check"),
        (serial_table(Path("/dev/x"), framing="sync", layout="<3h", sync="a", check="sum8"), "hexadecimal"),
        (serial_table(Path("/dev/x"), scale=[1, 2]), "2 factors for 3 channels"),
    ],
)
def test_a_wrong_table_is_found_without_opening(table: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_table("imu", table)
    with pytest.raises(SourceError, match=says) as error:
        open_source("imu", table)

    assert error.value.code == "source_unavailable"


def test_a_right_table_needs_no_port() -> None:
    check_table("imu", serial_table(Path("/dev/is-not-there"), silence_s=3))
