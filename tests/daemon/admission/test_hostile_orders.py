"""Honest orders among hostile ones: a real daemon, a real mosquitto, real signatures."""

import base64
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from support.brokers import MosquittoBroker
from support.device import Device
from support.links import QueuedLink

from edge_agent.mqtt import Connected
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope, Signature, unseal
from edge_agent.wire.manifest import Blob, Manifest, encode_manifest
from edge_agent.wire.messages import Command, DeviceStatus, JobReport, encode
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Scope
from host_tools.broker.signing import enclose, generate_key

pytestmark = pytest.mark.mosquitto
OWN, LAB = Scope("d", "pi-01"), Scope("g", "lab")
TOO_LARGE = Blob("0" * 64, 1 << 29, ["1" * 64] * 5)
"""Of a model that the device refuses to fetch: its job ends with its first report."""
PATIENCE_S = 60


def manifest(device: Device, name: str, version: int = 1, scope: Scope = OWN, created: float = 0.0) -> Manifest:
    made = rfc3339(created or time.time())
    return Manifest(
        device.namespace, name, version, "onnx", TOO_LARGE, targets=[str(scope)], created=made,
        expires="2099-01-01T00:00:00Z",
    )  # fmt: skip


class Host:
    """Publishes what it is told to, signed or not."""

    def __init__(self, device: Device, key: Path) -> None:
        self.device = device
        self.key = str(key)
        self.keyid = unseal(enclose(b"{}", MANIFEST_TYPE, self.key), MANIFEST_TYPE).signatures[0].keyid
        self.queued = QueuedLink(device.url, f"host-{device.namespace[-6:]}")

    def push(self, name: str, version: int = 1, scope: Scope = OWN, **fields: float) -> str:
        """Send a signed want; returns its job."""
        content = encode_manifest(manifest(self.device, name, version, scope, **fields))
        self.send(self.device.topics.want(scope, name), enclose(content, MANIFEST_TYPE, self.key))
        return job_id(content_digest(content))

    def command(self, name: str, **fields: str) -> None:
        now = time.time()
        said = Command(
            namespace=self.device.namespace, id=name, targets=[str(OWN)], created=rfc3339(now),
            expires=rfc3339(now + 600), **fields,
        )  # fmt: skip
        self.send(self.device.topics.command(OWN, name), enclose(encode(said), COMMAND_TYPE, self.key))

    def send(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        assert self.queued.link.publish(topic, payload, retain=retain).wait(60)

    def forged(self, content: bytes) -> bytes:
        """An envelope that names the operator's key over a signature that is none of it."""
        signature = Signature(base64.b64encode(os.urandom(64)).decode(), self.keyid)
        return Envelope(base64.b64encode(content).decode(), MANIFEST_TYPE, [signature]).encoded()


@pytest.fixture
def device(mosquitto: MosquittoBroker, tmp_path: Path, namespace: str) -> Device:
    keys = tmp_path / "keys"
    keys.mkdir()
    generate_key(tmp_path / "operator.key", keys / "operator.pem")
    trust, limits = {"allow_unsigned": False, "keys_dir": str(keys)}, {"max_model_bytes": 1 << 20}
    return Device(tmp_path, mosquitto.url, namespace, trust=trust, limits=limits)


@pytest.fixture
def host(device: Device, tmp_path: Path) -> Iterator[Host]:
    found = Host(device, tmp_path / "operator.key")
    with found.queued as queued:
        queued.expect(Connected)
        yield found


def unsigned(_host: Host, content: bytes) -> bytes:
    return Envelope(base64.b64encode(content).decode(), MANIFEST_TYPE).encoded()


@contextmanager
def flooded(device: Device, host: Host, make: Callable[[Host, bytes], bytes]) -> Iterator[None]:
    """Somebody sends fifty wants a second, each of another model, while this lasts."""
    over = threading.Event()

    def flood() -> None:
        with QueuedLink(device.url, f"flood-{device.namespace[-6:]}") as queued:
            queued.expect(Connected)
            for number in itertools.count():
                name = f"x{number}"
                payload = make(host, encode_manifest(manifest(device, name)))
                queued.link.publish(device.topics.want(OWN, name), payload)
                if over.wait(0.02):
                    return

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        device.expect(DeviceStatus, lambda status: status.refused_count > 100, PATIENCE_S)
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("make", [unsigned, Host.forged])
def test_a_flood_keeps_no_signed_push_from_its_answer(
    device: Device, host: Host, make: Callable[[Host, bytes], bytes]
) -> None:
    """More than are checked in any order of their coming; and what anybody may provoke displaces no answer."""
    with device, flooded(device, host, make):
        job = host.push("har", 3)
        report = device.expect(JobReport, lambda report: report.job == job and report.ended, PATIENCE_S)
        host.push("har", 2)
        status = device.expect(
            DeviceStatus, lambda status: status.refused is not None and status.refused.model == "har", PATIENCE_S
        )

    assert report.code == "model_too_large"
    assert status.refused is not None
    assert status.refused.code == "downgrade"


def test_every_one_of_many_retained_wants_is_answered(device: Device, host: Host) -> None:
    jobs = {host.push(f"m{number}", scope=scope) for scope, many in ((OWN, 70), (LAB, 30)) for number in range(many)}
    deadline = time.monotonic() + 2 * PATIENCE_S
    with device:
        while unanswered := jobs - {report.job for report in device.reports}:
            assert time.monotonic() < deadline, f"{len(unanswered)} are not answered"
            device._next(1.0)


def test_a_want_below_another_that_stands_is_answered(device: Device, host: Host) -> None:
    with device:
        higher = host.push("har", 5, LAB)
        device.expect(JobReport, lambda report: report.job == higher and report.ended, PATIENCE_S)
        lower = host.push("har", 4)
        report = device.expect(JobReport, lambda report: report.job == lower, PATIENCE_S)

    assert (report.status, report.code) == ("canceled", "superseded")
    assert "version 5" in report.message


def test_a_push_whose_job_has_left_the_newest_is_answered(device: Device, host: Host) -> None:
    with device:
        first = host.push("har", 1)
        device.expect(JobReport, lambda report: report.job == first and report.ended, PATIENCE_S)
        others = {host.push(f"m{number}") for number in range(22)}
        deadline = time.monotonic() + PATIENCE_S
        while others - {report.job for report in device.reports if report.ended}:
            assert time.monotonic() < deadline
            device._next(1.0)
        assert not (device.state / "jobs" / first).exists()
        host.push("har", 1, created=time.time() + 5)
        report = device.expect(JobReport, lambda report: report.job == first and report.ended, PATIENCE_S)

    assert (report.status, report.code) == ("failed", "model_too_large")


def test_an_altered_copy_of_a_known_manifest_is_no_order(device: Device, host: Host) -> None:
    """Whoever copies a known manifest to another scope must not hush the versions below it there."""
    with device:
        known = host.push("har", 5)
        device.expect(JobReport, lambda report: report.job == known and report.ended, PATIENCE_S)
        copy = msgspec.structs.replace(manifest(device, "har", 5, LAB), created="2026-01-01T00:00:00Z")
        host.send(device.topics.want(LAB, "har"), unsigned(host, encode_manifest(copy)))
        device.expect(JobReport, lambda report: report.job == known, PATIENCE_S)
        host.push("har", 4)
        status = device.expect(DeviceStatus, lambda status: status.refused is not None, PATIENCE_S)

    assert status.refused is not None
    assert status.refused.code == "downgrade"


def test_a_pending_want_is_obeyed_when_its_key_is_added(device: Device, host: Host, tmp_path: Path) -> None:
    generate_key(tmp_path / "second.key", tmp_path / "second.pem")
    host.key = str(tmp_path / "second.key")
    with device:
        job = host.push("har")
        device.expect(DeviceStatus, lambda status: status.refused is not None, PATIENCE_S)
        (tmp_path / "second.pem").rename(tmp_path / "keys" / "second.pem")
        report = device.expect(JobReport, lambda report: report.job == job and report.ended, PATIENCE_S)

    assert report.code == "model_too_large"
