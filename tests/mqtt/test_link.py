import logging
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from support.brokers import Broker, IotcoreBroker, MosquittoBroker
from support.certificates import write_certificate, write_plain_authority
from support.links import QueuedLink

from edge_agent.errors import BrokerError, ConfigError
from edge_agent.mqtt import Connected, Disconnected, Incoming, Link
from edge_agent.mqtt.serving import close
from edge_agent.settings.broker import BrokerSettings
from host_tools.demo.broker import free_ports


@contextmanager
def listener(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """A port that takes connections, notes each first packet, and closes with ``answer`` (None: stays mute)."""
    server = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            held.append(peer)
            seen.append(peer.recv(4096))
            if answer is not None:
                peer.sendall(answer)
                peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}", seen
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for peer in held:
            peer.close()


def test_round_trip(broker: Broker, namespace: str) -> None:
    with QueuedLink(broker.url, "a") as a, QueuedLink(broker.url, "b", clean=False) as b:
        a.expect(Connected)
        b.expect(Connected)
        assert a.link.publish(f"{namespace}/kept", b"\x00" * 120_000, retain=True).wait(60)

        b.link.subscribe(f"{namespace}/+")

        kept = b.expect(Incoming)
        assert (kept.topic, len(kept.payload), kept.retained) == (f"{namespace}/kept", 120_000, True)
        b.link.ack(kept)
        a.link.publish(f"{namespace}/live", b"x")
        live = b.expect(Incoming)
        assert (live.topic, live.payload, live.retained) == (f"{namespace}/live", b"x", False)


def test_protocol_is_5_and_falls_back_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with IotcoreBroker(tmp_path) as iotcore:
        with QueuedLink(iotcore.url_v5) as link:
            assert link.expect(Connected).protocol == "5"
        with caplog.at_level(logging.WARNING), QueuedLink(iotcore.url) as link:
            first = link.inbox.get(timeout=60)

    assert isinstance(first, Connected)
    assert (first.protocol, caplog.records) == ("3.1.1", [])


def test_unacknowledged_messages_come_again(broker: Broker, namespace: str) -> None:
    with QueuedLink(broker.url, "host") as host:
        host.expect(Connected)
        with QueuedLink(broker.url, "device", clean=False) as device:
            device.expect(Connected)
            device.link.subscribe(f"{namespace}/+")
            device.link.publish(f"{namespace}/ready", b"")
            device.link.ack(device.expect(Incoming))
            host.link.publish(f"{namespace}/job", b"1").wait(60)
            device.expect(Incoming)
        host.link.publish(f"{namespace}/job", b"2").wait(60)

        with QueuedLink(broker.url, "device", clean=False) as device:
            assert device.expect(Connected).session_present
            seen = {device.expect(Incoming).payload, device.expect(Incoming).payload}

    assert seen == {b"1", b"2"}


def test_reconnects_after_kill(broker: Broker, namespace: str) -> None:
    with QueuedLink(broker.url) as link:
        link.expect(Connected)

        broker.kill()
        link.expect(Disconnected)
        with pytest.raises(BrokerError, match="broker_unreachable"):
            link.link.publish(f"{namespace}/x", b"").wait(1)
        broker.start()

        link.expect(Connected)
        assert link.link.publish(f"{namespace}/x", b"").wait(60)


def test_broker_not_there_yet_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker = IotcoreBroker(tmp_path)
    with caplog.at_level(logging.WARNING), QueuedLink(broker.url) as link:
        assert link.expect(Disconnected).code == "broker_unreachable"
        time.sleep(1.5)  # a second attempt falls in here
        told, logged = link.inbox.qsize(), len(caplog.records)
        with broker:
            link.expect(Connected)

    assert (told, logged) == (0, 1)


def test_an_exception_in_the_handler_does_not_end_the_link(broker: Broker, namespace: str) -> None:
    seen: queue.Queue[str] = queue.Queue()

    def handler(event: object) -> None:
        if not isinstance(event, Incoming):
            return
        seen.put(event.topic)
        raise RuntimeError(event.topic)

    link = Link(BrokerSettings(url=broker.url), "fragile", on_event=handler)
    link.start()
    link.wait_connected(60)
    link.subscribe(f"{namespace}/+")
    link.publish(f"{namespace}/1", b"")
    first = seen.get(timeout=60)
    link.publish(f"{namespace}/2", b"")
    second = seen.get(timeout=60)
    link.stop()

    assert [first, second] == [f"{namespace}/1", f"{namespace}/2"]


def test_will_is_published_after_a_crash_and_not_after_stop(broker: Broker, namespace: str) -> None:
    topic = f"{namespace}/status"
    with QueuedLink(broker.url, "watcher") as watcher:
        watcher.expect(Connected)
        watcher.link.subscribe(topic)
        with QueuedLink(broker.url, "polite", will=(topic, b"polite gone")) as polite:
            polite.expect(Connected)
        crashing = QueuedLink(broker.url, "crashing", will=(topic, b"crashing gone"))
        with crashing:
            crashing.expect(Connected)
            close(crashing.link._client._paho)

            assert watcher.expect(Incoming).payload == b"crashing gone"


@pytest.mark.mosquitto
def test_wrong_password_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("")
    broker = MosquittoBroker(tmp_path, "allow_anonymous false", f"password_file {tmp_path}/passwords")
    broker.start()
    (tmp_path / "secret").write_text("hunter2\n")
    settings = BrokerSettings(url=broker.url, username="u", password_file=str(tmp_path / "secret"))
    link = Link(settings, "x", on_event=lambda _: None)
    link.start()

    with pytest.raises(BrokerError, match=r"admit this client|user name") as caught:
        link.wait_connected(60)
    link.stop()
    broker.kill()

    assert caught.value.code == "broker_refused"


@pytest.mark.mosquitto
def test_stop_does_not_hang_on_a_dead_broker(mosquitto: MosquittoBroker) -> None:
    with QueuedLink(mosquitto.url) as link:
        link.expect(Connected)
        mosquitto.pause()
        link.link.publish("x", b"\x00" * 120_000)
        began = time.monotonic()

        link.link.stop()
        link.link.stop()

    assert time.monotonic() - began < 20
    assert not link.link._thread.is_alive()


def test_mute_port_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.mqtt.serving.ANSWER_TIMEOUT_S", 0.2)
    with listener(None) as (url, seen), QueuedLink(url) as link:
        assert "does not answer" in link.expect(Disconnected).reason
        deadline = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)

    assert [packet[8] for packet in seen[:2]] == [5, 4]


def test_a_broker_that_has_not_answered_yet_is_not_said_to_have_closed_the_connection() -> None:
    with listener(None) as (url, seen), QueuedLink(url) as link:
        while not seen:
            time.sleep(0.01)

        with pytest.raises(BrokerError, match=f"{url} has not answered yet"):
            link.link.wait_connected(0.1)


def test_stop_does_not_wait_for_a_broker_that_never_answered() -> None:
    with listener(None) as (url, seen), QueuedLink(url) as link:
        while not seen:
            time.sleep(0.01)
        began = time.monotonic()

        link.link.stop()

        assert not link.link._thread.is_alive()
    assert time.monotonic() - began < 10


@pytest.mark.mosquitto
def test_a_message_too_many_says_why_it_was_not_sent(mosquitto: MosquittoBroker) -> None:
    with QueuedLink(mosquitto.url) as link:
        link.expect(Connected)
        mosquitto.pause()

        sent = [link.link.publish("x", b"") for _ in range(300)]

        with pytest.raises(BrokerError, match="leaves too many messages unacknowledged"):
            sent[-1].wait(0)


@pytest.mark.parametrize("answer", [b"", b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"])
def test_refused_version_is_followed_by_3_1_1_at_once(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.mqtt.link._FIRST_DELAY_S", 600.0)
    with listener(answer) as (url, seen), QueuedLink(url) as link:
        link.expect(Disconnected)
        deadline = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)

    assert [packet[8] for packet in seen[:2]] == [5, 4]


def test_bytes_that_are_no_mqtt_do_not_end_the_link() -> None:
    with listener(b"\x30\x01\xff HTTP/1.1 400") as (url, seen), QueuedLink(url) as link:
        link.expect(Disconnected)
        deadline = time.monotonic() + 60
        while len(seen) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)

    assert len(seen) >= 3


def test_unreadable_files_are_told(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    for settings in (
        BrokerSettings(url=f"mqtts://127.0.0.1:{port}", ca_file=str(tmp_path / "no-ca")),
        BrokerSettings(url=f"mqtt://127.0.0.1:{port}", username="u", password_file=str(tmp_path / "no-password")),
    ):
        with pytest.raises(ConfigError, match="no-"):
            Link(settings, "x", on_event=lambda _: None)


@pytest.mark.mosquitto
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho's, after a failed handshake
def test_tls_checks_the_broker_and_shows_our_certificate(tmp_path: Path, namespace: str) -> None:
    write_certificate(tmp_path)
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    broker = MosquittoBroker(
        tmp_path, f"certfile {cert}", f"keyfile {key}", f"cafile {cert}", "require_certificate true"
    )
    broker.start()
    url = broker.url.replace("mqtt:", "mqtts:")
    events: queue.Queue[object] = queue.Queue()
    ours = {"url": url, "cert_file": cert, "key_file": key}
    trusting = Link(BrokerSettings(ca_file=cert, **ours), "a", on_event=events.put)
    strict = Link(BrokerSettings(**ours), "b", on_event=lambda _: None)
    trusting.start()
    strict.start()

    trusting.wait_connected(60)
    trusting.subscribe(f"{namespace}/+")
    assert trusting.publish(f"{namespace}/x", b"\x00" * 120_000, retain=True).wait(60)
    while not isinstance(message := events.get(timeout=60), Incoming):
        pass
    assert len(message.payload) == 120_000
    with pytest.raises(BrokerError, match="give ca_file: the certificate of the CA") as caught:
        strict.wait_connected(60)
    assert caught.value.code == "broker_untrusted"

    trusting.stop()
    strict.stop()
    broker.kill()


@pytest.mark.mosquitto
def test_an_authority_without_key_usage_is_enough_on_every_python(tmp_path: Path) -> None:
    write_plain_authority(tmp_path)
    broker = MosquittoBroker(tmp_path, f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem")
    broker.start()
    settings = BrokerSettings(url=broker.url.replace("mqtt:", "mqtts:"), ca_file=str(tmp_path / "ca.pem"))
    link = Link(settings, "a", on_event=lambda _: None)
    link.start()

    link.wait_connected(60)

    link.stop()
    broker.kill()


def test_refusals_that_nobody_waits_for_do_not_pile_up() -> None:
    """A broker that refuses every report, for months."""
    client = Link(BrokerSettings(url="mqtt://127.0.0.1:1"), "months", on_event=lambda _: None)._client
    refused = ReasonCode(PacketTypes.PUBACK, "Not authorized")

    for mid in range(1, 5000):
        client._on_publish(client._paho, None, mid, refused, None)

    assert len(client.refusals) < 1000
    assert "Not authorized" in client.refusals.take(4999)
