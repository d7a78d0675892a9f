import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
from support import transfers
from support.brokers import Broker, MosquittoBroker
from support.transfers import Device, host, upload, write_blob

from edge_agent.errors import BrokerError, ConfigError, TransferError
from edge_agent.mqtt import Event, Incoming, Link
from edge_agent.wire.chunks import CHUNK_BYTES, GROUP_CHUNKS
from edge_agent.wire.manifest import Blob
from edge_agent.wire.messages import Need, decode
from edge_agent.wire.topics import Topics
from host_tools.push.upload import Uploader

MB = 1_000_000


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watchdog that does not make a test wait."""
    monkeypatch.setattr("edge_agent.daemon.transfer.receiver.PATIENCE_S", (0.5, 2.0))
    monkeypatch.setattr("host_tools.push.upload._RESEND_AFTER_S", 0.5)


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
    path = device.run(60)

    assert path == folder / blob.sha256
    assert path.read_bytes() == model.read_bytes()
    assert sorted(entry.name for entry in folder.iterdir()) == [blob.sha256]
    assert (device.receiver.counts.needs, device.receiver.counts.wrong) == (0, 0)


def test_devices_and_late_joiners_share_one_upload(broker: Broker, namespace: str, model: Path, tmp_path: Path) -> None:
    blob = write_blob(model, 5 * MB)
    upload(broker.url, namespace, model, blob)

    for name in ("pi-01", "pi-02"):
        (tmp_path / name).mkdir()
        assert Device(broker.url, namespace, tmp_path / name, blob, name).run(60)

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
    assert device.run(60)

    # Lost: at most one batch (8 MiB, 68 chunks); and what came once more are whole groups.
    assert resumed_with >= received - 69
    assert resumed_with + device.receiver.counts.fresh == blob.plan.chunks
    assert device.receiver.counts.known <= 2 * GROUP_CHUNKS


@contextmanager
def listening_host(url: str, namespace: str, uploader_of: list[tuple[Path, Blob]]) -> Iterator[list[Need]]:
    """A host that has uploaded and goes on answering ``need``, as push-model does while it waits."""
    needs: list[Need] = []
    ending = threading.Event()

    def answer() -> None:
        with host(url, namespace) as session:
            uploader = Uploader(session, uploader_of)
            session.subscribe(session.topics.devices("need"))
            while not ending.is_set():
                message = session.next(0.1)
                if message is not None:
                    needs.append(decode(message.payload, Need))
                    uploader.answer(needs[-1])

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield needs
    finally:
        ending.set()
        thread.join()


def test_broker_killed_in_the_middle_loses_everything(
    quick: None, broker: Broker, namespace: str, model: Path, folder: Path
) -> None:
    blob = write_blob(model, 12 * MB)
    upload(broker.url, namespace, model, blob)
    device = Device(broker.url, namespace, folder, blob)
    killed_at: list[int] = []

    def kill_once() -> bool:
        if not killed_at and device.receiver.counts.fresh > GROUP_CHUNKS:
            killed_at.append(device.receiver.counts.fresh)
            broker.kill()
            broker.start()
        return False

    with listening_host(broker.url, namespace, [(model, blob)]) as needs:
        path = device.run(60, kill_once)

    assert path is not None
    assert path.read_bytes() == model.read_bytes()
    assert killed_at
    assert needs
    asked = sum(last - first + 1 for need in needs for first, last in need.chunks)
    assert asked >= blob.plan.chunks - killed_at[0] - GROUP_CHUNKS


@pytest.mark.mosquitto
def test_clean_restart_of_a_persistent_broker_needs_no_host(
    quick: None, mosquitto: MosquittoBroker, namespace: str, model: Path, folder: Path
) -> None:
    blob = write_blob(model, 6 * MB)
    upload(mosquitto.url, namespace, model, blob)
    mosquitto.restart()

    device = Device(mosquitto.url, namespace, folder, blob)

    assert device.run(60)
    assert device.receiver.counts.needs == 0


def wait_until_full(link: Link) -> None:
    """Wait until the broker can write nothing more into the link's socket."""
    waiting, before = 0, -1
    while not waiting or waiting != before:
        time.sleep(0.3)
        before, waiting = waiting, unread_bytes(link)


def unread_bytes(link: Link) -> int:
    connection = link._client._paho.socket()
    return int.from_bytes(fcntl.ioctl(connection, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.mosquitto
def test_messages_that_mosquitto_holds_back_come_by_the_watchdog(
    quick: None, mosquitto: MosquittoBroker, namespace: str, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A SUBSCRIBE that arrives while mosquitto has half a packet to write gets no retained message until something
    # else moves that connection; at QoS 0 nothing does (2.0.11, 2.1.2). So: a flood of another blob's chunks, a
    # client that reads none of it until the socket is full, and then asks for more.
    flood_model = model.with_name("flood")
    flood = write_blob(flood_model, 16 * MB, seed=1)
    blob = write_blob(model, 2 * MB)
    for path, one in ((flood_model, flood), (model, blob)):
        upload(mosquitto.url, namespace, path, one)
    device = Device(mosquitto.url, namespace, folder, blob)
    link, connected = device.queued.link, device.receiver.connected
    reading, stuck = threading.Event(), threading.Event()

    def read_when_allowed(event: Event) -> None:
        if isinstance(event, Incoming):
            stuck.set()
            reading.wait(60)
        device.queued.inbox.put(event)

    def ask_into_the_flood(_now: float) -> None:
        link.subscribe(*(device.topics.chunk_group(flood.sha256, group) for group in range(flood.plan.groups)))
        stuck.wait(60)
        wait_until_full(link)
        connected(time.monotonic())  # the watchdog's patience begins here
        reading.set()

    monkeypatch.setattr(link, "subscribe", partial(link.subscribe, qos=0))
    monkeypatch.setattr(link, "_on_event", read_when_allowed)
    monkeypatch.setattr(device.receiver, "connected", ask_into_the_flood)
    path = device.run(60)

    assert path is not None
    assert device.receiver.counts.stalls >= 1
    assert device.receiver.counts.needs == 0


def test_wrong_chunk_is_healed_by_a_host(
    quick: None, broker: Broker, namespace: str, model: Path, folder: Path
) -> None:
    blob = write_blob(model, 2 * MB)
    upload(broker.url, namespace, model, blob)
    with host(broker.url, namespace) as session:
        session.publish(session.topics.chunk(blob.sha256, 5), b"x" * CHUNK_BYTES)

    device = Device(broker.url, namespace, folder, blob)
    with listening_host(broker.url, namespace, [(model, blob)]) as needs:
        path = device.run(60)

    assert path is not None
    assert device.receiver.counts.wrong >= 1
    assert {tuple(need.chunks) for need in needs} == {((5, 5),)}


@pytest.mark.parametrize("kind", ["chunk", "page"])
def test_wrong_bytes_that_stay_are_a_hash_mismatch(
    quick: None, broker: Broker, namespace: str, model: Path, folder: Path, kind: str
) -> None:
    blob = write_blob(model, 2 * MB)
    upload(broker.url, namespace, model, blob)
    topics = Topics(namespace)
    topic = topics.chunk(blob.sha256, 5) if kind == "chunk" else topics.page(blob.sha256, 0)
    with host(broker.url, namespace) as session:
        session.publish(topic, b"x" * CHUNK_BYTES)

    device = Device(broker.url, namespace, folder, blob)
    with pytest.raises(TransferError, match="hash_mismatch"):
        device.run(60)

    assert not (folder / blob.sha256).exists()


def test_upload_refuses_a_full_broker(broker: Broker, namespace: str, model: Path) -> None:
    other = model.with_name("other")
    upload(broker.url, namespace, other, write_blob(other, 3 * MB, seed=1))
    blob = write_blob(model, 3 * MB)

    with host(broker.url, namespace) as session:
        with pytest.raises(BrokerError, match=r"broker_full.*purge"):
            Uploader(session, [(model, blob)], max_broker_bytes=5 * MB).upload()
        assert Uploader(session, [(model, blob)], max_broker_bytes=7 * MB).upload() == blob.size


def test_upload_tells_how_far_it_is_and_sends_a_chunk_once(broker: Broker, namespace: str, model: Path) -> None:
    blob = write_blob(model, 3 * MB)
    told: list[tuple[int, int]] = []
    with host(broker.url, namespace) as session:
        uploader = Uploader(session, [(model, blob)], lambda done, total: told.append((done, total)))
        uploader.upload()

        again = uploader.answer(Need(device="pi-01", sha256=blob.sha256, chunks=[(0, 10**12)]))
        strange = uploader.answer(Need(device="pi-01", sha256="0" * 64, chunks=[(0, 1)]))

    assert told == sorted(told)
    assert told[-1] == (blob.size, blob.size)
    assert (again, strange) == (0, 0)


def test_a_file_that_changed_is_not_sent(broker: Broker, namespace: str, model: Path) -> None:
    blob = write_blob(model, MB)
    write_blob(model, MB, seed=1)

    with host(broker.url, namespace) as session, pytest.raises(ConfigError, match="changed"):
        Uploader(session, [(model, blob)])
