"""What applications do, as a dashboard hears it: a real agent, a real broker, applications in their own processes."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import pytest
from support.brokers import MOSQUITTO, Broker, MosquittoBroker
from support.device import Device
from support.links import QueuedLink
from support.served import OnnxMaker, activate, contract

from edge_agent.mqtt import Connected, Incoming
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.telemetry.usage import SOCKET_NAME, Usage, encode_usage
from edge_agent.wire.messages import Message, decode
from edge_agent.wire.telemetry import ModelSample, ModelState

SIZE, CHANNELS = 4, ["x", "y", "z"]
APPLICATION = f"""
import sys, numpy, edge_agent.serving
model = edge_agent.serving.load("har", state_dir=sys.argv[1])
for number in range(int(sys.argv[2])):
    model(numpy.ones(({SIZE}, {len(CHANNELS)}), numpy.float32))
try:
    model(numpy.ones((1, 1), numpy.float32))
except edge_agent.serving.EdgeAgentError:
    pass
"""

M = TypeVar("M", bound=Message)

pytestmark = pytest.mark.children(covered=False)


def put(state: Path, *versions: int) -> None:
    """Releases of a model, the last one active."""
    store = Store(state)
    store.lock()
    model = OnnxMaker().product(state / "m", np.ones((SIZE * len(CHANNELS), 2), np.float32))
    for version in versions:
        activate(store, version, model, [contract(SIZE, CHANNELS)])
    store.unlock()


def application(device: Device, inferences: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", APPLICATION, str(device.state), str(inferences)])


class Dashboard:
    """Reads what a device says."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._link = QueuedLink(device.url, "dashboard")

    def __enter__(self) -> Self:
        self._link.__enter__()
        self._link.expect(Connected)
        self._link.link.subscribe(f"{self.device.namespace}/d/+/model/+", f"{self.device.namespace}/d/+/tele/#")
        return self

    def __exit__(self, *ended: object) -> None:
        self._link.link.stop()

    def hear(self, topic: str, kind: type[M]) -> M:
        """The next message there."""
        whole = f"{self.device.namespace}/d/{self.device.name}/{topic}"
        return decode(self._link.expect(Incoming, 60, lambda message: message.topic == whole).payload, kind)


@pytest.fixture
def device(one_broker: Broker, tmp_path: Path, namespace: str) -> Iterator[Device]:
    device = Device(tmp_path, one_broker.url, namespace, telemetry={"model_s": 1})
    put(device.state, 1, 2)
    with device:
        yield device


def test_two_applications_are_one_sample(device: Device) -> None:
    with Dashboard(device) as dashboard:
        state = dashboard.hear("model/har", ModelState)
        programs = [application(device, 40), application(device, 60)]
        assert [program.wait(60) for program in programs] == [0, 0]
        samples: list[ModelSample] = []
        while sum(sample.errors for sample in samples) < 2:  # with its error each tells the last of what it did
            samples.append(dashboard.hear("tele/model/har", ModelSample))

    assert (state.active_version, state.previous_version, state.job) == (2, 1, "")
    assert sum(sample.inferences for sample in samples) == 100
    assert sum(sample.errors for sample in samples) == 2
    assert sum(sample.applications for sample in samples) >= 2
    for sample in samples:
        assert (sample.model, sample.version, sample.stale, sample.dropped) == ("har", 2, False, 0)
        assert sample.runtime.startswith("onnxruntime 1.")
        assert 0 < (sample.p50_ms or 0) <= (sample.p95_ms or 0) <= (sample.p99_ms or 0)
        assert sample.rss_bytes is not None
        assert sample.rss_bytes > 20e6
        assert sample.interval_s >= 1


def test_lies_and_noise_are_counted_and_bounded(device: Device) -> None:
    """Names and versions that are not on the disk here are not said, nor do they take a place from those that are."""
    noise = [b"\xffnoise", *(encode_usage(Usage(model=model, version=7)) for model in ("nobody", ".."))]
    lies = [encode_usage(Usage(model="har", version=version, latencies=[(9, 5)])) for version in (9, 8, 7, 6, 5, 1)]
    with Dashboard(device) as dashboard, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as anybody:
        samples: list[ModelSample] = []
        while not samples or samples[-1].dropped < len(noise) + 2:  # else an interval ended between them
            for datagram in (*noise, *lies):
                anybody.sendto(datagram, str(device.state / SOCKET_NAME))
            samples.append(dashboard.hear("tele/model/har", ModelSample))
        application(device, 5).wait(60)
        while (samples[-1].version, samples[-1].inferences) != (2, 5):
            samples.append(dashboard.hear("tele/model/har", ModelSample))

    assert {(sample.model, sample.version) for sample in samples} == {("har", 1), ("har", 2)}


def test_an_agent_that_is_told_not_to_makes_no_socket(one_broker: Broker, tmp_path: Path, namespace: str) -> None:
    device = Device(tmp_path, one_broker.url, namespace, telemetry={"model_s": 0})
    put(device.state, 1)
    (device.state / SOCKET_NAME).touch()
    with device, Dashboard(device) as dashboard:
        assert application(device, 5).wait(60) == 0
        assert dashboard.hear("model/har", ModelState).active_version == 1

    assert (device.state / SOCKET_NAME).is_file(), "nobody listens there"


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto: sudo apt install mosquitto")
def test_a_broker_that_does_not_know_the_topics_has_everything_else(tmp_path: Path, namespace: str) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic readwrite {namespace}/#\ntopic deny {namespace}/d/pi-01/model/#\n")
    acl.chmod(0o600)
    broker = MosquittoBroker(tmp_path, f"acl_file {acl}")
    broker.start()
    device = Device(tmp_path, broker.url, namespace, telemetry={"model_s": 1})
    put(device.state, 1)
    store = Store(device.state)
    store.lock()
    path = OnnxMaker().product(device.state / "m", np.ones((SIZE * len(CHANNELS), 2), np.float32))
    for name in ("gait", "pump"):
        activate(store, 1, path, [contract(SIZE, CHANNELS)], name=name)
    store.unlock()
    with device, Dashboard(device) as dashboard:
        assert application(device, 5).wait(60) == 0
        assert dashboard.hear("tele/model/har", ModelSample).inferences == 5
        said = device.log.read_text()
    broker.kill()

    assert said.count("the broker refused a message") == 1, said
    assert said.count("the broker accepts no states of models") == 1
    assert len(list(Releases(device.state / "models", "har").folder.glob("active"))) == 1
