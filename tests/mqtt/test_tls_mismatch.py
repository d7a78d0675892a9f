"""TLS on one side only, and files that are no certificates: the message names the cure."""

import queue
from pathlib import Path

import pytest
from support.brokers import MosquittoBroker
from support.certificates import write_certificate

from edge_agent.errors import ConfigError
from edge_agent.mqtt import Disconnected, Link
from edge_agent.settings.broker import BrokerSettings


def first_failure(settings: BrokerSettings) -> Disconnected:
    """How the first connection ends."""
    events: queue.Queue[object] = queue.Queue()
    link = Link(settings, "x", on_event=events.put)
    link.start()
    try:
        found = events.get(timeout=60)
    finally:
        link.stop()
    assert isinstance(found, Disconnected)
    return found


@pytest.mark.mosquitto
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho's, after a failed handshake
def test_tls_to_a_broker_without_it(mosquitto: MosquittoBroker) -> None:
    found = first_failure(BrokerSettings(url=mosquitto.url.replace("mqtt:", "mqtts:")))

    assert found.code == "broker_unreachable"
    assert "use mqtt:// if that port has no TLS" in found.reason
    assert "_ssl.c" not in found.reason


@pytest.mark.mosquitto
def test_a_broker_that_wants_tls(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    broker = MosquittoBroker(tmp_path, f"certfile {tmp_path / 'cert.pem'}", f"keyfile {tmp_path / 'key.pem'}")
    broker.start()

    found = first_failure(BrokerSettings(url=broker.url))

    broker.stop()
    assert found.code == "broker_unreachable"
    assert "use mqtts:// if that port wants TLS" in found.reason


def test_a_closed_port_says_nothing_of_tls() -> None:
    found = first_failure(BrokerSettings(url="mqtts://127.0.0.1:9"))

    assert found.reason == "no broker at mqtts://127.0.0.1:9: Connection refused"


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    cert, key, text = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "text"))
    Path(text).write_text("hello", encoding="utf-8")

    def made(**files: str) -> Link:
        return Link(BrokerSettings(url="mqtts://127.0.0.1:9", **files), "x", on_event=lambda _event: None)

    with pytest.raises(ConfigError, match=r"ca_file .*text holds no certificate in PEM; give the certificate of"):
        made(ca_file=text)
    with pytest.raises(ConfigError, match=r"cert_file .*text and key_file .*key.pem are no certificate"):
        made(cert_file=text, key_file=key)
    made(ca_file=cert, cert_file=cert, key_file=key)
