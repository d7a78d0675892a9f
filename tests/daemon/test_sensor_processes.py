"""Shared sensors through the daemon: their processes live and die, jobs start at once, applications read along."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.brokers import IotcoreBroker
from support.demo import read_recording
from support.device import DEMO_CHANNELS, ONE_CANDIDATE, Device, push
from support.processes import gone
from support.sensing import fill

from edge_agent.cli import main
from edge_agent.cli.doctor_checks import examine
from edge_agent.daemon import sensor_processes
from edge_agent.daemon.control_socket import ask
from edge_agent.daemon.events import SensorSaid
from edge_agent.reservoir.snapshot import read
from edge_agent.sensing.subscribe import is_served, subscribe
from edge_agent.settings.sharing import KEPT_FOLDER, Keeping, SensorProcessConfig, source_folder
from edge_agent.wire.messages import DeviceInfo, JobReport
from host_tools.demo.simulator import SerialImu

KEEP = 400


@pytest.fixture
def device(tmp_path: Path, namespace: str) -> Iterator[Device]:
    with IotcoreBroker(tmp_path) as broker:
        yield Device(tmp_path, broker.url, namespace, sources__imu={"keep_windows": KEEP})


def sensor_of(device: Device) -> dict[str, object]:
    state: dict[str, object] = ask(device.state, "status")["sensors"]["imu"]
    return state


def wait_open(device: Device, timeout_s: float = 60) -> dict[str, object]:
    deadline = time.monotonic() + timeout_s
    while (state := sensor_of(device))["state"] != "open":
        assert time.monotonic() < deadline, state
        time.sleep(0.1)
    return state


def child_of(device: Device) -> int:
    """The source process's id."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path in Path(f"/proc/{device.pid}/task").glob("*/children"):
            for pid in path.read_text().split():
                with contextlib.suppress(OSError):
                    if b"edge_agent.sensing" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return int(pid)
        time.sleep(0.05)
    raise AssertionError("the daemon has no such child")


@pytest.mark.slow
def test_a_job_starts_at_once_from_what_is_kept(device: Device) -> None:
    folder = source_folder(device.state, "imu")
    fill(folder, read_recording().samples, rate_hz=50, stretches=KEEP, channels=DEMO_CHANNELS)
    with SerialImu(device.port, pace="real"), device:
        push(device, recipe=ONE_CANDIDATE)  # 60 + 60 + 100 windows at 50 Hz would take five minutes
        began = device.expect(JobReport, lambda report: report.stage == "capture", 120)
        after = device.expect(JobReport, lambda report: report.stage not in ("receive", "capture"), 120)
        end = device.end_of(1)

    assert (began.version, after.status) == (1, "in_progress")
    assert after.results["data"]["kept"]["used"]
    assert end.results["seconds"]["capture"] < 120
    data = end.results["data"]
    assert [data[split]["windows"] for split in ("calibration", "search", "heldout")][1:] == [60, 100]
    assert data["calibration"]["windows"] >= 60
    assert data["kept"]["windows"] == sum(data[split]["windows"] for split in ("calibration", "search", "heldout"))
    assert data["kept"]["from"] < data["kept"]["to"]
    assert end.status in ("succeeded", "rejected"), end.message
    assert not list(device.state.glob("work/*/capture")), "captured data outlive their job"


@pytest.mark.slow
def test_too_little_is_kept_so_it_captures_and_an_application_reads_along(device: Device) -> None:
    with SerialImu(device.port, pace="max"), device:
        wait_open(device)
        reader = subscribe("imu", source_folder(device.state, "imu"))
        assert reader.read(60) is not None
        push(device)
        after = device.expect(JobReport, lambda report: report.stage not in ("receive", "capture"), 120)
        while reader.read(0) is not None:  # an application that was busy for long has lost some, and reads on
            pass
        assert reader.read(60) is not None
        assert reader.trouble == ""
        reader.close()
        said = after.results["data"]["kept"]
        codes = [finding["code"] for finding in after.results["data"]["findings"]]

    assert said["used"] is False
    assert "for search and verdict are stored" in said["message"]
    assert "stream_gaps" not in codes  # nobody was too slow


def test_a_process_that_is_killed_comes_back_with_what_it_kept(device: Device) -> None:
    folder = source_folder(device.state, "imu")
    fill(folder, read_recording().samples, rate_hz=50, stretches=KEEP, channels=DEMO_CHANNELS, hours=2)
    with contextlib.closing(read(folder / KEPT_FOLDER)) as kept:
        before = len(kept.segments)
    with SerialImu(device.port, pace="real"), device:
        wait_open(device)
        pid = child_of(device)
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
        again = child_of(device)
        assert again != pid
        info = device.expect(
            DeviceInfo, lambda info: info.sources["imu"].get("shared", {}).get("code") == "stage_crashed", 60
        )
        assert "was killed by SIGKILL; restarting it in 1 s" in info.sources["imu"]["shared"]["message"]
        state = wait_open(device)

        assert state["kept"] == before > 100
        assert device.alive
    assert gone(again)
    assert not is_served(folder)
    with contextlib.closing(read(folder / KEPT_FOLDER)) as kept:
        assert len(kept.segments) == before


def test_it_dies_with_a_daemon_that_is_killed(device: Device) -> None:
    with SerialImu(device.port, pace="real"), device:
        wait_open(device)
        pid = child_of(device)
        device.kill()

        assert gone(pid)


def test_a_sensor_that_is_not_there_hurts_nobody(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    with device:
        deadline = time.monotonic() + 60
        while (state := sensor_of(device))["code"] != "source_unavailable":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "does not exist; check cable" in str(state["message"])
        assert main(["status", "--config", str(device.config)]) == 0
        assert "sensor imu: waiting, 0 of 400 segments stored" in capsys.readouterr().out
        (check,) = [check for check in examine(device.config) if check.name == "sensor imu"]
        assert (check.level, check.remedy) == ("warn", "check cable and configuration")
        push(device)
        end = device.end_of(1)
        log = device.log.read_text()

    assert end.code == "source_unavailable"
    assert log.count("WARNING sensor imu: waiting") == 1  # said once


def test_a_disk_without_room_is_said_and_reading_goes_on(tmp_path: Path, namespace: str) -> None:
    pictures = {"keep_windows": 20_000, "keep_seconds": 3600, "rate_hz": 1000}  # 1.7 TB
    with IotcoreBroker(tmp_path) as broker:
        device = Device(tmp_path, broker.url, namespace, sources__imu=pictures)
        with SerialImu(device.port, pace="real"), device:
            deadline = time.monotonic() + 60
            while (state := sensor_of(device))["code"] != "no_space":
                assert time.monotonic() < deadline, state
                time.sleep(0.1)
            reader = subscribe("imu", source_folder(device.state, "imu"))
            samples = reader.read(60)
            reader.close()

    assert state["state"] == "open"
    assert "free space, or lower keep_windows" in str(state["message"])
    assert isinstance(samples, np.ndarray)


def test_a_flood_of_states_does_not_fill_the_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that was taken over says as fast as a pipe takes it what nobody can use."""
    said: list[SensorSaid] = []
    line = '{"state": "open", "code": "no such code", "message": "%s", "confined": ["x"]}' % ("m" * 9000)
    script = f"import sys, time; sys.stdout.write(({line!r} + '\\n') * 20_000); sys.stdout.flush(); time.sleep(600)"
    monkeypatch.setattr(sensor_processes, "python_child", lambda _module: [sys.executable, "-c", script])
    flooded = threading.Event()

    def put(event: SensorSaid) -> None:
        said.append(event)
        if len(said) >= 20:
            flooded.set()

    config = SensorProcessConfig(name="imu", folder="/none", table={}, keeping=Keeping())
    sensor = sensor_processes.Sensor(config, put)
    sensor.start()
    assert flooded.wait(60)
    time.sleep(2)
    sensor.stop()
    sensor.join(60)

    assert len(said) < 200
    assert {(one.state.code, len(one.state.message)) for one in said} == {("stage_crashed", 500)}
