"""What lies in ``docs/examples`` works as it stands."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.brokers import Broker, IotcoreBroker
from support.flood import Flood

from edge_agent.cli import main
from edge_agent.wire.messages import DeviceStatus, JobReport, encode
from edge_agent.wire.telemetry import ModelState
from host_tools.broker.registry import read_devices
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.push.manifest_file import read_manifest_file

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
DATA = Path(__file__).parents[2] / "host_tools" / "demo" / "data"
MODEL, RECORDING = DATA / "har.onnx", DATA / "imu_recording.npz"


def trial(folder: Path, url: str = "mqtt://127.0.0.1") -> Path:
    """The trial's configuration with paths and a broker of the test's own."""
    text = (EXAMPLES / "trial_config.toml").read_text(encoding="utf-8")
    text = text.replace("/var/lib/edge-agent/imu_recording.npz", str(RECORDING)).replace("mqtt://127.0.0.1", url)
    path = folder / "config.toml"
    path.write_text(f'state_dir = "{folder / "state"}"\n{text}', encoding="utf-8")
    return path


def test_the_trials_recording_feeds_the_demos_model_what_it_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["capture", "imu", "--config", str(trial(tmp_path)), "--manifest", str(EXAMPLES / "trial_har.toml")]

    assert main(command) == 0, capsys.readouterr()


@pytest.mark.slow
@pytest.mark.children(covered=False)
def test_a_first_push_ends_with_a_release_that_an_application_answers_with(tmp_path: Path) -> None:
    """The README's trial, from the daemon's start to ``serve.py``; with less time to search, and no proof of speed."""
    manifest = tmp_path / "har.toml"
    text = (EXAMPLES / "trial_har.toml").read_text(encoding="utf-8")
    manifest.write_text(f"{text}\n[recipe]\nsearch_budget_s = 5\n[gates]\nmax_latency_ratio = 0\n", encoding="utf-8")
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    with IotcoreBroker(tmp_path) as broker:
        agent = [sys.executable, "-m", "edge_agent", "run", "--once", "--config", str(trial(tmp_path, broker.url))]
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(agent, stderr=log) as daemon:
            push = [sys.executable, "-c", "from host_tools.cli.push_model import main; main()", str(MODEL)]
            options = ["--manifest", str(manifest), "--device", "pi-01", "--broker", broker.url]
            wait_until_online(broker.url)
            pushed = subprocess.run([*push, *options], check=False, timeout=200, env=environment, capture_output=True)
            assert (pushed.returncode, daemon.wait(30)) == (0, 0), pushed

    command = [sys.executable, EXAMPLES / "serve.py", "har", RECORDING, tmp_path / "state"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()

    assert len(said) > 1000
    assert {line.rpartition(" ")[2] for line in said} <= set("0123456"), "seven exercises"
    assert len(set(said)) > 3


def wait_until_online(url: str) -> None:
    """Wait until the daemon has said that it is there, as ``push-model`` asks who is."""
    with Session(Settings(url=url)) as session:
        deadline = time.monotonic() + 60
        while (pi := read_devices(session).get("pi-01")) is None or pi.info is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_manifest_can_be_read() -> None:
    assert read_manifest_file(EXAMPLES / "trial_har.toml").name == "har"


def test_every_example_is_in_a_test() -> None:
    here = Path(__file__).read_text(encoding="utf-8")

    assert [path.name for path in EXAMPLES.iterdir() if path.is_file() and f'"{path.name}"' not in here] == []


def state(device: str, model: str, **fields: object) -> bytes:
    return encode(ModelState(device=device, model=model, **fields))


def report(device: str, **fields: object) -> bytes:
    return encode(JobReport(device=device, job="0" * 16, model="har", stage="activate", **fields))


RETAINED = {
    "pi-01/status": encode(DeviceStatus(device="pi-01", online=True)),
    "pi-01/model/har": state(
        "pi-01", "har", seq=5, active_version=2, job_version=3, verdict="rejected", status="rejected", code="no_gain"
    ),
    "pi-01/model/kws": state("pi-01", "kws", seq=6, job_version=1, status="in_progress"),
    "pi-01/job/a": report("pi-01", seq=9, version=9, status="failed", code="no_space"),
    "pi-02/status": encode(DeviceStatus(device="pi-02", online=False)),
    "pi-02/job/a": report("pi-02", seq=1, version=1, status="succeeded", results={"verdict": "accepted"}),
    "pi-02/job/b": report("pi-02", seq=2, version=2, status="rejected", results={"verdict": "rejected"}),
    "pi-03/status": encode(DeviceStatus(device="pi-03", online=True)),
    "pi-03/model/bad": state("pi-03", "bad", seq=1, status="\x1b[2J"),
    "pi-03/model/worse": b'["\x1b"]',
    "pi-03/model/worst": b"{",
    "pi-03/model/deep": b"[" * 50_000,
}


def test_the_state_of_a_fleet_is_told(one_broker: Broker, namespace: str) -> None:
    """Of a device of this version, one of version 0.1 that has reports alone, and one that says nonsense."""
    with Session(Settings(url=one_broker.url, namespace=namespace)) as session:
        for topic, payload in RETAINED.items():
            session.publish(f"{namespace}/d/{topic}", payload)
    command = [sys.executable, EXAMPLES / "fleet_state.py", one_broker.url.removeprefix("mqtt://"), namespace]

    status = RETAINED["pi-01/status"]
    said = [(f"{namespace}/d/pi-01/status", status), (f"{namespace}/d/pi-01/model/har", b"")]
    with Flood(one_broker.url, lambda number: said[number % 2], a_second=40):  # a busy fleet; nothing there is retained
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)

    assert told.stdout.splitlines() == [
        "pi-01 online",
        "    har: active 2, newest 3 rejected no_gain",
        "    kws: active none, newest 1 in_progress",
        "pi-02 offline",
        "    har: active ?, newest 2 rejected",
        "pi-03 online",
        "    bad: active none, newest 0 \\x1b[2J",
    ]
    assert sorted(told.stderr.splitlines()) == [
        f"not understood: '{namespace}/d/pi-03/model/deep'",
        f"not understood: '{namespace}/d/pi-03/model/worse'",
        f"not understood: '{namespace}/d/pi-03/model/worst'",
    ]
