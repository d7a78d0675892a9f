"""What a device says fits the protocol and can be read; what it is asked about is a name."""

import json
from pathlib import Path

import msgspec
import pytest
from support.agents import DEVICE, TOPICS, LocalAgent

from edge_agent.daemon.info_size import encode_info
from edge_agent.jobs.job import Job
from edge_agent.jobs.job_report import encode_report, job_report
from edge_agent.jobs.result import Result
from edge_agent.mqtt import Incoming
from edge_agent.wire.envelope import COMMAND_TYPE, seal
from edge_agent.wire.messages import MAX_REPORT_BYTES, ActiveRelease, Command, DeviceInfo, Done, JobReport, decode

FEW = DeviceInfo(device="pi-01", highest={"har": 3}, sources={"imu": {"kind": "serial", "channels": ["x"]}})


def test_an_info_that_fits_is_as_it_was() -> None:
    assert encode_info(FEW) == msgspec.json.encode(FEW)
    assert b"left_out" not in encode_info(FEW)


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        ({"sources": {"imu": {"kind": "serial", "channels": ["x" * 100] * 1000}}}, ["sources"]),
        ({"highest": {f"{number:063}": number for number in range(2000)}}, ["highest", "sources"]),
        (
            {"active": [ActiveRelease("m" * 63, 1, "0" * 16, "accepted", "onnxruntime 1.32.0")] * 2000},
            ["active", "highest", "sources"],
        ),
    ],
)
def test_an_info_that_is_too_large_says_what_it_leaves_out(more: dict[str, object], left_out: list[str]) -> None:
    data = encode_info(msgspec.structs.replace(FEW, **more))

    assert len(data) <= MAX_REPORT_BYTES
    told = decode(data, DeviceInfo)
    assert told.left_out == left_out
    assert list(told.sources) == (["imu"] if "active" not in more else [])


def test_a_report_with_endless_sentences_still_says_the_verdict() -> None:
    endless = "\x01\U0001f600" * MAX_REPORT_BYTES
    job = Job(
        id="0" * 16, model="har", version=1, digest="", scope="d/pi-01", created=0, code="internal", message=endless,
        detail=endless,
    )  # fmt: skip
    report = job_report(job, device="pi-01", boot_id="", seq=1, now=0, message="m", release="")

    data = encode_report(report, Result(verdict="failed", message=endless))

    assert len(data) <= MAX_REPORT_BYTES
    assert decode(data, JobReport).results["verdict"] == "failed"


@pytest.mark.parametrize("action", ["rollback", "recalibrate", "cancel"])
def test_a_command_about_what_is_no_name_is_refused(tmp_path: Path, action: str) -> None:
    """A model of that name would be looked for outside of the folder of models."""
    local = LocalAgent(tmp_path / "state").boot()
    body = {"action": action, "job": "../../other", "model": "../../other", "id": "c", "namespace": "ea/v1"}
    command = {**body, "targets": [str(DEVICE)], "expires": "2099-01-01T00:00:00Z"}
    content = msgspec.json.encode(msgspec.convert(command, Command))

    local.handle(Incoming(TOPICS.command(DEVICE, "c"), seal(content, COMMAND_TYPE), retained=True))

    done = decode(local.link.retained[TOPICS.device(DEVICE.name, "done", "c")], Done)
    assert done.code == "malformed"
    assert json.loads(msgspec.json.encode(done.message)).startswith(
        f"{'job' if action == 'cancel' else 'model'} '../.."
    )
    local.off()
