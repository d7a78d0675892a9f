"""What lies in ``docs/examples`` works as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.brokers import Broker
from support.flood import Flood

from edge_agent.cli import main
from edge_agent.wire.messages import DeviceStatus, JobReport, encode
from edge_agent.wire.telemetry import ModelState
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.push.manifest_file import read_manifest_file

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
RECORDING = Path(__file__).parents[2] / "host_tools" / "demo" / "data" / "imu_recording.npz"


def test_a_trial_without_a_sensor_feeds_the_demos_model_what_it_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = (EXAMPLES / "trial_source.toml").read_text(encoding="utf-8")
    source = tmp_path / "source.toml"
    source.write_text(table.replace("/var/lib/edge-agent/imu_recording.npz", str(RECORDING)), encoding="utf-8")

    code = main(["capture", "imu", "--source-config", str(source), "--manifest", str(EXAMPLES / "trial_har.toml")])

    assert code == 0, capsys.readouterr()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*_har.toml")), ids=lambda path: path.name)
def test_a_manifest_can_be_read(path: Path) -> None:
    assert read_manifest_file(path)


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
