"""The main job on real parts: broker, daemon, pty, float model in, int8 release out; and everything that may go wrong.

Every verdict is read from the broker. After each failure: its code, one sentence, and what was active is still active.
A job takes ten seconds and more: on both kinds of broker are those in which a device comes back to it, and those that
end before there is anything to calibrate; for the others one will do.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest
from support.brokers import Broker
from support.demo import read_recording
from support.device import DEMO_MODEL, IMPATIENT, ONE_CANDIDATE, SMALL, Device, demo_contract, push
from support.onnx_models import quantized_net, save, save_with_external_data
from support.results import empty_result

from edge_agent import serving
from edge_agent.cli import main
from edge_agent.wire.chunks import CHUNK_BYTES, digest_pages
from edge_agent.wire.envelope import MANIFEST_TYPE, seal
from edge_agent.wire.manifest import Gates, Manifest, Recipe, encode_manifest
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, decode
from edge_agent.wire.telemetry import ModelState
from edge_agent.wire.topics import Scope
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.broker.signing import enclose, generate_key
from host_tools.demo.simulator import BAUD_115200, SerialImu
from host_tools.push.manifest_file import read_blob

pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]


@pytest.fixture
def device(tmp_path: Path, one_broker: Broker, namespace: str) -> Iterator[Device]:
    with Device(tmp_path, one_broker.url, namespace, capture={"keep_days": 0}) as device:
        yield device


@pytest.fixture
def imu(device: Device) -> Iterator[SerialImu]:
    with SerialImu(device.port) as imu:
        yield imu


@pytest.fixture
def wired(tmp_path: Path, broker: Broker, namespace: str) -> Iterator[Device]:
    """The device and its sensor on each kind of broker in turn."""
    with Device(tmp_path, broker.url, namespace) as device, SerialImu(device.port):
        yield device


@pytest.mark.measured
def test_a_float_model_becomes_an_active_int8_release(device: Device, imu: SerialImu) -> None:
    push(device, recipe=Recipe(), gates=Gates())

    end = device.end_of(1)

    assert (end.status, end.code) == ("succeeded", "accepted"), end.message
    result = end.results
    assert result.keys() == empty_result().keys()
    chosen = result["chosen"]
    assert chosen["agreement"] >= 0.95
    assert chosen["agreement_lower"] >= 0.95
    assert chosen["ratio_p50_upper"] <= 1.0
    assert chosen["size_bytes"] < 0.5 * result["reference"]["size_bytes"]
    assert all(gate["passed"] for gate in chosen["gates"])
    assert result["data"]["heldout"]["windows"] == Recipe().heldout_windows
    stages = [report.stage for report in device.reports if report.job == end.job]
    assert list(dict.fromkeys(stages)) == [
        "receive", "capture", "calibrate", "quantize", "validate", "benchmark", "activate",
    ]  # fmt: skip
    # What lies on the disk is what was reported, and int8 is really inside.
    release = device.state / "models" / "har" / "active"
    described = device.active()
    assert described is not None
    data = (release / described["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == described["sha256"]
    assert len(data) == chosen["size_bytes"]
    graph = onnx.load_from_string(data).graph
    int8 = [
        tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
    ]
    operators = [node.op_type for node in graph.node]
    assert len(int8) >= 4
    assert operators.count("QuantizeLinear") >= 4
    assert operators.count("DequantizeLinear") > operators.count("QuantizeLinear")
    info = device.expect(DeviceInfo, lambda info: bool(info.active), 10)
    assert [(active.model, active.version) for active in info.active] == [("har", 1)]
    assert info.highest == {"har": 1}
    assert not list(device.state.glob("work/*/capture")), "captured data outlive their job"


def test_recalibration_is_a_new_job(device: Device, imu: SerialImu) -> None:
    push(device)
    first = device.end_of(1)
    assert first.code == "accepted"

    assert main(["recalibrate", "har", "--config", str(device.config)]) == 0

    again = device.expect(JobReport, lambda report: report.ended and report.job != first.job)
    assert (again.version, again.code) == (1, "accepted"), "a new job of the same version"
    assert device.active() is not None


def test_what_is_wrong_with_a_model_or_its_manifest_has_its_code_and_leaves_active_alone(
    tmp_path: Path, one_broker: Broker, namespace: str
) -> None:
    """One device, one bad model after another; what was activated first stays active."""
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(os.urandom(5000))
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes(DEMO_MODEL.read_bytes()[:-9000])
    quantized = save(quantized_net(), tmp_path / "quantized.onnx")
    external = save_with_external_data(tmp_path / "external.onnx")
    blob = read_blob(DEMO_MODEL)
    contract = demo_contract()[0]
    half = msgspec.structs.replace(contract, window=msgspec.structs.replace(contract.window, size=50))
    strange = msgspec.structs.replace(contract, channels=["ax", "ay", "az", "gx", "gy", "temperature"])
    elsewhere = msgspec.structs.replace(contract, source="microphone")
    device = Device(tmp_path, one_broker.url, namespace, capture={"keep_days": 0})
    device.program = IMPATIENT
    with device, SerialImu(device.port):
        _put_chunks_under_a_wrong_name(device, "0" * 64)
        _check_refusals(
            device,
            ("model_unreadable", {"model": garbage}),
            ("model_unreadable", {"model": truncated}),
            ("already_quantized", {"model": quantized}),
            ("external_data", {"model": external}),
            ("hash_mismatch", {"blob": msgspec.structs.replace(blob, sha256="0" * 64), "upload": False}),
            ("shape_mismatch", {"inputs": [half]}),
            ("channel_unknown", {"inputs": [strange]}),
            ("source_unknown", {"inputs": [elsewhere]}),
            ("input_missing", {"inputs": []}),
            ("recipe_unsupported", {"recipe": msgspec.structs.replace(SMALL, method="dynamic", calibration="mse")}),
            (
                "model_too_large",
                {"blob": msgspec.structs.replace(blob, size=10**9, pages=["0" * 64] * 8), "upload": False},
            ),
        )


def test_what_cannot_be_proved_has_its_code_and_leaves_active_alone(device: Device, imu: SerialImu) -> None:
    few = msgspec.structs.replace(SMALL, heldout_windows=28)  # more than one exercise, and it takes 29
    _check_refusals(
        device,
        ("latency_too_high", {"gates": Gates(max_latency_ratio=0.01, min_agreement=0.8)}),
        ("too_few_windows", {"recipe": few, "gates": Gates(max_latency_ratio=0, min_agreement=0.9)}),
    )


def _check_refusals(device: Device, *refusals: tuple[str, dict[str, Any]]) -> None:
    """Each of these pushes ends with its code and one sentence, and a release that was active before stays active."""
    push(device, recipe=ONE_CANDIDATE)
    assert device.end_of(1).code == "accepted"
    before = device.active()
    assert before is not None
    for version, (expected, options) in enumerate(refusals, 2):
        push(device, version=version, **options)

        end = device.end_of(version)

        assert end.code == expected, f"{expected}: {end.code}: {end.message}"
        assert end.status in ("failed", "rejected")
        assert len(end.message) > 10
        assert end.results["chosen"] is None
        assert device.active() == before
    assert device.alive


def test_a_manifest_whose_size_is_wrong(tmp_path: Path, one_broker: Broker, namespace: str) -> None:
    """One that contradicts itself is refused; one that is merely not true is found when the last chunk comes."""
    blob = read_blob(DEMO_MODEL)
    device = Device(tmp_path, one_broker.url, namespace)
    device.program = IMPATIENT
    with device:
        manifest = Manifest(namespace, "har", 1, "onnx", blob, inputs=demo_contract(), targets=["d/pi-01"])
        fields = msgspec.json.decode(encode_manifest(manifest))
        fields["blob"]["size"] = 10**9
        with Session(Settings(url=device.url, namespace=namespace)) as session:
            payload = seal(msgspec.json.encode(fields), MANIFEST_TYPE)
            session.publish(device.topics.want(Scope("d", "pi-01"), "har"), payload)
        device.expect(DeviceStatus, lambda s: s.refused is not None and s.refused.code == "malformed", 20)
        assert not device.reports

        _put_chunks_under_a_wrong_name(device, blob.sha256)
        push(device, version=2, blob=msgspec.structs.replace(blob, size=blob.size - 1), upload=False)

        end = device.end_of(2)

        assert (end.status, end.code) == ("failed", "hash_mismatch"), end.message
        assert device.alive


def _put_chunks_under_a_wrong_name(device: Device, sha256: str) -> None:
    """What somebody does who can write to the broker: right chunks, right pages, another blob's name."""
    data = DEMO_MODEL.read_bytes()
    chunks = [data[i : i + CHUNK_BYTES] for i in range(0, len(data), CHUNK_BYTES)]
    with Session(Settings(url=device.url, namespace=device.namespace)) as session:
        for number, page in enumerate(digest_pages(iter(chunks))):
            session.publish(device.topics.page(sha256, number), page)
        for number, chunk in enumerate(chunks):
            session.publish(device.topics.chunk(sha256, number), chunk)


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ("stuck:az", {"stuck_channel", "constant_channel"}),
        ("nan:gx@500", {"non_finite"}),
        ("inf:gx@500", {"non_finite"}),
        ("silence@2000", {"source_silent", "source_lost"}),
        ("unplug@2000", {"source_lost"}),
    ],
)
def test_a_bad_sensor(tmp_path: Path, one_broker: Broker, namespace: str, fault: str, codes: set[str]) -> None:
    with (
        Device(tmp_path, one_broker.url, namespace, sources__imu={"silence_s": 2}) as device,
        SerialImu(device.port, faults=[fault]),
    ):
        push(device)

        end = device.end_of(1)

        assert end.code in codes, f"{end.code}: {end.message}"
        assert end.stage == "capture"
        assert device.active() is None
        assert device.alive


def captured(device: Device) -> JobReport:
    """The first report after the capture: the job's end if it went wrong."""
    return device.expect(JobReport, lambda report: report.stage == "calibrate" or report.ended)


def test_an_unplugged_sensor_that_comes_back_is_no_end(tmp_path: Path, one_broker: Broker, namespace: str) -> None:
    with (
        Device(tmp_path, one_broker.url, namespace, sources__imu={"silence_s": 10}) as device,
        SerialImu(device.port, faults=["unplug@3000+1"]),
    ):
        push(device)

        assert not captured(device).ended


def test_no_sensor_at_all(device: Device) -> None:
    push(device)

    end = device.end_of(1)

    assert (end.status, end.code) == ("failed", "source_unavailable"), end.message


@pytest.mark.children(covered=True)
def test_a_newer_version_supersedes_and_an_operator_rolls_back(
    wired: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    push(wired, version=1)
    push(wired, version=2, recipe=ONE_CANDIDATE)
    assert wired.end_of(1).code == "superseded"
    assert wired.end_of(2).code == "accepted"
    push(wired, version=3, recipe=ONE_CANDIDATE)
    assert wired.end_of(3).code == "accepted"
    active = wired.active()
    assert active is not None
    assert active["version"] == 3
    application = serving.load("har", state_dir=wired.state, follow_s=0)
    window = read_recording().samples[: demo_contract()[0].window.size]
    assert application(window).shape == (1, 7)
    assert application.release.version == 3

    assert main(["rollback", "har", "--config", str(wired.config)]) == 0

    application(window)
    assert application.release.version == 2
    assert application.problem is None
    active = wired.active()
    assert active is not None
    assert active["version"] == 2
    wired.expect(DeviceInfo, lambda info: [release.version for release in info.active] == [2], 10)
    assert main(["rollback", "har", "--config", str(wired.config)]) == 1
    assert "no_previous" in capsys.readouterr().err
    assert main(["releases", "har", "--config", str(wired.config)]) == 0
    assert main(["status", "--json", "--config", str(wired.config)]) == 0
    # The want for version 3 is still on the broker: a reconnect must not bring it back.
    wired.stop()
    wired.start()
    wired.expect(JobReport, lambda report: report.version == 3 and report.ended, 10)
    active = wired.active()
    assert active is not None
    assert active["version"] == 2
    # What dashboards bind to: the release that is active again with the numbers of its own verdict, and the newest job.
    topic, judged = wired.topics.device(wired.name, "model", "har"), wired.end_of(2).results
    with Session(Settings(url=wired.url, namespace=wired.namespace)) as session:
        state = decode(session.snapshot(topic)[topic], ModelState)
    assert (state.active_version, state.previous_version, state.newest_version) == (2, 0, 3)
    assert (state.job, state.verdict, state.progress) == (wired.end_of(3).job, "accepted", None)
    assert (state.method, state.agreement_lower) == (judged["chosen"]["method"], judged["chosen"]["agreement_lower"])
    assert (state.float_p50_ms, state.p50_ms) == tuple(
        judged[which]["latency_p50_ms"] for which in ("reference", "chosen")
    )
    assert state.active_since > active["activated"]


def test_power_fails_in_every_stage(wired: Device) -> None:
    """SIGKILL as soon as a stage is seen; the job still ends accepted, and nothing is done twice without need."""
    push(wired)
    for stage in ("capture", "calibrate", "quantize", "validate", "benchmark", "activate"):
        seen = wired.expect(JobReport, lambda report, stage=stage: report.stage == stage or report.ended)  # type: ignore[misc]
        if seen.ended:
            break
        wired.kill()
        wired.start()

    end = wired.end_of(1)

    assert end.code == "accepted", end.message
    assert wired.active() is not None


def test_a_manifest_that_must_not_be_obeyed_is_counted_and_said(device: Device) -> None:

    topic = device.topics.want(Scope("d", device.name), "har")
    with Session(Settings(url=device.url, namespace=device.namespace)) as session:
        for payload, code in (
            (b"\xff\x00garbage", "malformed"),
            (seal(b"{}", MANIFEST_TYPE), "malformed"),
            (seal(b"[" * 9000, MANIFEST_TYPE), "malformed"),
            (b"x" * 70_000, "too_large"),
        ):
            session.publish(topic, payload)

            said = device.expect(
                DeviceStatus,
                lambda s, code=code: s.refused is not None and s.refused.code == code,
                20,  # type: ignore[misc]
            )

            assert said.refused is not None
            assert said.refused.model == "har"
        session.publish(topic, b"")  # cleared: changes nothing
    assert device.alive
    assert not device.reports


def test_unsigned_manifests_are_refused_where_keys_are_asked_for(
    tmp_path: Path, broker: Broker, namespace: str
) -> None:

    keys = tmp_path / "keys"
    keys.mkdir()
    generate_key(tmp_path / "operator.key", keys / "operator.pem")
    trust = {"allow_unsigned": False, "keys_dir": str(keys)}
    with Device(tmp_path, broker.url, namespace, trust=trust) as device:
        push(device, upload=False)
        device.expect(DeviceStatus, lambda s: s.refused is not None and s.refused.code == "untrusted", 20)
        assert not device.reports

        manifest = Manifest(
            namespace, "har", 1, "onnx", read_blob(DEMO_MODEL), inputs=demo_contract(), targets=["d/pi-01"]
        )
        with Session(Settings(url=broker.url, namespace=namespace)) as session:
            signed = enclose(encode_manifest(manifest), MANIFEST_TYPE, str(tmp_path / "operator.key"))
            session.publish(device.topics.want(Scope("d", "pi-01"), "har"), signed)

        assert device.expect(JobReport, lambda report: report.stage == "receive", 20).version == 1


def test_a_broker_that_is_not_there_yet(tmp_path: Path, broker: Broker, namespace: str) -> None:
    broker.kill()
    device = Device(tmp_path, broker.url, namespace)
    device.launch()
    try:
        broker.restart()
        with_eye = device._eye
        with_eye.link.start()
        assert device.expect(DeviceStatus, lambda status: status.online, 60).device == "pi-01"
        with_eye.link.stop()
    finally:
        assert device.stop() == 0


@pytest.fixture
def smallest_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder where the least is free: a manifest names no model that is too large for a large disk."""
    disks = [path for path in (tmp_path, Path("/dev/shm")) if os.access(path, os.W_OK)]  # noqa: S108  # a disk
    with tempfile.TemporaryDirectory(dir=min(disks, key=lambda path: shutil.disk_usage(path).free)) as folder:
        yield Path(folder)


def test_too_little_space_is_said_before_a_byte_is_fetched(
    smallest_disk: Path, one_broker: Broker, namespace: str
) -> None:
    free = shutil.disk_usage(smallest_disk).free
    blob = read_blob(DEMO_MODEL)
    size = free
    pages = ["0" * 64] * -(-size // (1024 * 120 * 1024))
    with Device(smallest_disk, one_broker.url, namespace, limits={"max_model_bytes": 10**15}) as device:
        if len(pages) > 600:
            pages, size = ["0" * 64] * 600, 600 * 1024 * 120 * 1024
        if size * 4 < free:
            pytest.skip("this disk has room for every model that fits a manifest")
        push(device, blob=msgspec.structs.replace(blob, size=size, pages=pages), upload=False)

        end = device.end_of(1)

        assert (end.status, end.code) == ("failed", "no_space"), end.message


def test_once_ends_with_the_exit_code_of_its_job(tmp_path: Path, one_broker: Broker, namespace: str) -> None:
    device = Device(tmp_path, one_broker.url, namespace)
    push(device, inputs=[])
    device.launch("--once")

    assert device.wait(60) == 5


def test_what_int8_cannot_be_may_run_as_float_and_a_hook_that_refuses_puts_that_back(
    tmp_path: Path, one_broker: Broker, namespace: str
) -> None:
    calls = tmp_path / "calls"
    hook = tmp_path / "hook.sh"
    hook.write_text(f'#!/bin/sh\necho "$1" >> {calls}\ncase "$1" in */2-*) echo "no thanks" >&2; exit 3;; esac\n')
    hook.chmod(0o755)
    activation = {"hook": [str(hook)], "on_rejected": "float"}
    with (
        Device(tmp_path, one_broker.url, namespace, activation=activation) as device,
        SerialImu(device.port),
    ):
        push(device, version=1, recipe=ONE_CANDIDATE, gates=Gates(max_latency_ratio=0.01))
        end = device.end_of(1)
        assert (end.status, end.code) == ("rejected", "latency_too_high")
        first = device.active()
        assert first is not None
        assert (first["method"], first["verdict"]) == ("float", "rejected")
        assert first["sha256"] == hashlib.sha256(DEMO_MODEL.read_bytes()).hexdigest()
        push(device, version=2, recipe=ONE_CANDIDATE)

        end = device.end_of(2)

        assert (end.status, end.code) == ("failed", "activation_failed")
        assert "no thanks" in end.message
        assert device.active() == first
        told = [Path(line).name.split("-")[0] for line in calls.read_text().splitlines()]
        assert told[:2] == ["1", "2"]


def test_at_the_pace_of_a_115200_baud_line(tmp_path: Path, one_broker: Broker, namespace: str) -> None:
    """A pseudo-terminal knows no baud rate, so the sensor keeps to it: 11,520 bytes a second, and waits for nobody."""
    few = msgspec.structs.replace(SMALL, calibration_windows=12, search_windows=6, heldout_windows=12)
    with (
        Device(tmp_path, one_broker.url, namespace) as device,
        SerialImu(device.port, pace=BAUD_115200) as imu,
    ):
        push(device, recipe=few)

        report = captured(device)

        assert not report.ended, report.message
        assert report.seconds["capture"] > 5
        assert imu.progress().dropped == 0


def test_a_disk_that_fills_up_in_the_middle(tmp_path: Path, one_broker: Broker, namespace: str) -> None:
    """In a mount namespace of its own the state directory is small; something fills it while the sensor is read."""
    device = Device(tmp_path, one_broker.url, namespace)
    device.state.mkdir()
    small = ["unshare", "-rm", "sh", "-c"]
    if subprocess.run([*small, f"mount -t tmpfs tmpfs {device.state}"], capture_output=True, check=False).returncode:
        pytest.skip("this environment does not let us mount a file system")
    fill = f"until ls {device.state}/work/*/capture.tmp; do sleep 0.05; done; cat /dev/zero > {device.state}/fill"
    free = f"sleep 8; rm {device.state}/fill"
    mount = f"mount -t tmpfs -o size=70m tmpfs {device.state}"
    device.wrapper = [*small, f'{mount}; ({fill}; {free}) >/dev/null 2>&1 & exec "$@"', "sh"]
    with device, SerialImu(device.port, pace="100000"):
        push(device)

        end = device.end_of(1)

        assert (end.status, end.code) == ("failed", "no_space"), end.message
        assert device.alive
        push(device, version=2)
        assert device.end_of(2).version == 2
