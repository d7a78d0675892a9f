"""The daemon among clients that may write to its topics and mean it no good: a real one, at a real mosquitto."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import MosquittoBroker
from support.device import Device
from support.documents import BLOB
from support.flood import Flood
from support.links import QueuedLink

from edge_agent.mqtt import Connected, Incoming
from edge_agent.wire.envelope import MANIFEST_TYPE, seal
from edge_agent.wire.manifest import InputContract, Manifest, Window, encode_manifest
from edge_agent.wire.messages import MAX_ORDER_BYTES, DeviceInfo, DeviceStatus, JobReport
from edge_agent.wire.topics import Scope

pytestmark = pytest.mark.mosquitto

MIB = 1024
SCOPE = Scope("d", "pi-01")


@pytest.fixture
def device(tmp_path: Path, mosquitto: MosquittoBroker, namespace: str) -> Iterator[Device]:
    with Device(tmp_path, mosquitto.url, namespace) as device:
        device.expect(DeviceInfo, lambda info: bool(info.runtimes), 180)  # its inventory is in, and all of it imported
        yield device


def memory_kib(device: Device, key: str) -> int:
    lines = Path(f"/proc/{device.pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def want(device: Device, version: int) -> bytes:
    contract = InputContract(source="imu", channels=["ax"], window=Window(8, 8))
    manifest = Manifest(
        namespace=device.namespace, name="har", version=version, format="onnx", blob=BLOB, inputs=[contract],
        targets=[str(SCOPE)],
    )  # fmt: skip
    return seal(encode_manifest(manifest), MANIFEST_TYPE)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_flood_takes_a_bounded_memory_and_log_and_a_later_order_is_obeyed(device: Device, qos: int) -> None:
    topic = device.topics.want(SCOPE, "hostile")
    before, lines = memory_kib(device, "VmRSS:"), device.log.read_bytes().count(b"\n")

    with Flood(device.url, lambda number: (topic, b"%09d" % number + bytes(60_000)), qos=qos) as flood:
        deadline = time.monotonic() + 60
        while flood.sent < 5000 and time.monotonic() < deadline:
            time.sleep(0.05)
    with QueuedLink(device.url, "honest") as honest:
        honest.expect(Connected)
        assert honest.link.publish(device.topics.want(SCOPE, "har"), want(device, 1), retain=True).wait(60)
        device.expect(JobReport, lambda report: report.version == 1, 60)

    assert flood.sent >= 1000
    assert memory_kib(device, "VmHWM:") - before < 24 * MIB
    assert device.log.read_bytes().count(b"\n") - lines < 100


def test_an_order_above_the_limit_is_refused_and_never_kept(device: Device) -> None:
    with QueuedLink(device.url, "host") as host:
        host.expect(Connected)
        host.link.publish(device.topics.want(SCOPE, "har"), bytes(MAX_ORDER_BYTES + 1)).wait(60)
        status = device.expect(DeviceStatus, lambda status: status.refused is not None, 60)

    assert status.refused is not None
    assert (status.refused.model, status.refused.code) == ("har", "too_large")


def test_a_report_is_published_again_at_most_once_a_second(device: Device) -> None:
    order, topic = want(device, 1), device.topics.want(SCOPE, "har")
    with QueuedLink(device.url, "host") as host, QueuedLink(device.url, "ear") as ear:
        host.expect(Connected)
        ear.expect(Connected)
        host.link.publish(topic, order, retain=True).wait(60)
        device.expect(JobReport, lambda report: report.version == 1, 60)
        began = time.monotonic()
        ear.link.subscribe(device.topics.device("pi-01", "job", "+"))
        for _ in range(1000):
            host.link.publish(topic, order, qos=0)
        for _ in range(2):  # as it was kept, and again
            ear.expect(Incoming)
        time.sleep(1.5)
        took, more = time.monotonic() - began, ear.inbox.qsize()

    assert more <= took + 2
