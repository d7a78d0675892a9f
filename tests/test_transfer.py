import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from support import transfers
from support.brokers import Broker, MosquittoBroker
from support.links import QueuedLink
from support.transfers import Device, describe, host, upload, write_blob

from edge_agent.errors import BrokerError, ConfigError, TransferError
from edge_agent.mqtt import Connected, Incoming
from edge_agent.wire.chunks import CHUNK_BYTES, GROUP_CHUNKS
from edge_agent.wire.messages import Need
from edge_agent.wire.topics import Topics
from host_tools.upload import Uploader

MB = 1_000_000


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watchdog that does not make a test wait."""
    monkeypatch.setattr("edge_agent.receive.PATIENCE_S", (0.5, 2.0))
    monkeypatch.setattr("host_tools.upload._RESEND_AFTER_S", 0.5)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "device").mkdir()
    return tmp_path / "device"


def test_round_trip_with_the_host_gone(broker: Broker, namespace: str, model: Path, folder: Path) -> None:
    blob = write_blob(model, 10 * MB + 7)
    assert upload(broker.url, namespace, model, blob) == blob.size

    device = Device(broker.url, namespace, folder, blob)
    path = device.run(30)

    assert path == folder / blob.sha256
    assert path.read_bytes() == model.read_bytes()
    assert sorted(entry.name for entry in folder.iterdir()) == [blob.sha256]
    assert (device.receiver.counts.needs, device.receiver.counts.wrong) == (0, 0)


def test_devices_and_late_joiners_share_one_upload(broker: Broker, namespace: str, model: Path, tmp_path: Path) -> None:
    blob = write_blob(model, 5 * MB)
    upload(broker.url, namespace, model, blob)

    for name in ("pi-01", "pi-02"):
        (tmp_path / name).mkdir()
        assert Device(broker.url, namespace, tmp_path / name, blob, name).run(30)

    assert upload(broker.url, namespace, model, blob) == 0


def test_upload_goes_on_where_an_interrupted_one_ended(broker: Broker, namespace: str, model: Path) -> None:
    blob = write_blob(model, 5 * MB)
    topics = Topics(namespace)
    with host(broker.url, namespace) as session:
        uploader = Uploader(session, [(model, blob)])
        uploader.upload()
        session.publish_all((topics.chunk(blob.sha256, index), b"") for index in range(17, blob.plan.chunks))

        assert uploader.upload() == blob.size - 17 * CHUNK_BYTES
        session.publish_all((topics.chunk(blob.sha256, index), b"") for index in range(3))
        assert uploader.upload() == blob.size
        assert uploader.upload(everything=True) == blob.size


def test_resume_after_sigkill(broker: Broker, namespace: str, model: Path, folder: Path) -> None:
    blob = write_blob(model, 20 * MB)
    upload(broker.url, namespace, model, blob)
    script = [
        sys.executable,
        transfers.__file__,
        broker.url,
        namespace,
        str(folder),
        msgspec.json.encode(blob).decode(),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(script, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            received = int(line)
            if received >= 3 * GROUP_CHUNKS:
                process.send_signal(signal.SIGKILL)
                break

    device = Device(broker.url, namespace, folder, blob)
    resumed_with = device.partial.received
    assert device.run(30)

    # Lost: at most one batch (8 MiB, 68 chunks); and what came once more are whole groups.
    assert resumed_with >= received - 69
    assert resumed_with + device.receiver.counts.fresh == blob.plan.chunks
    assert device.receiver.counts.known <= 2 * GROUP_CHUNKS
