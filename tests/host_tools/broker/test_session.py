"""A host command's connection: what is retained is read whole, and what is lost is said."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.brokers import Broker, IotcoreBroker, MosquittoBroker
from support.certificates import write_certificate
from support.simulated import wait_for

from edge_agent.errors import BrokerError
from edge_agent.wire.topics import Topics
from host_tools.broker import snapshot
from host_tools.broker.session import Session, StoppedError
from host_tools.broker.settings import Settings


def settings_for(broker: Broker, namespace: str, timeout_s: float = 60.0) -> Settings:
    return Settings(url=broker.url, namespace=namespace, broker_timeout_s=timeout_s)


def test_a_snapshot_is_everything_that_is_retained(broker: Broker, namespace: str) -> None:
    with Session(settings_for(broker, namespace)) as session:
        topics = session.topics
        session.publish_all((topics.device(f"pi-{number}", "status"), b"%d" % number) for number in range(90))
        session.publish(topics.device("pi-0", "info"), b"other")
        session.publish(topics.device("pi-5", "status"), b"")

    with Session(settings_for(broker, namespace)) as session:
        found = [session.snapshot(topics.devices("status")) for _ in range(3)]

    assert [len(one) for one in found] == [89, 89, 89]
    assert found[0][topics.device("pi-7", "status")] == b"7"


def test_an_empty_broker_answers_at_once(broker: Broker, namespace: str) -> None:
    with Session(settings_for(broker, namespace)) as session:
        assert session.snapshot(session.topics.devices("status")) == {}


def test_whoever_wants_an_end_of_it_waits_for_nobody(mosquitto: MosquittoBroker, namespace: str) -> None:
    def enough(*answers: bool) -> Callable[[], bool]:
        return iter(answers).__next__

    nobody = Settings(url="mqtt://127.0.0.1:9", namespace=namespace, broker_timeout_s=600)
    with pytest.raises(StoppedError), Session(nobody, until=enough(False, False, True)):
        pass

    ended = False
    with Session(settings_for(mosquitto, namespace, 600), until=lambda: ended) as session:
        mosquitto.pause()
        ended = True
        for waits in (
            lambda: session.snapshot(session.topics.devices("status")),
            lambda: session.publish(session.topics.device("pi-1", "status"), b"1"),
            lambda: session.next(600),
        ):
            with pytest.raises(StoppedError):
                waits()
        mosquitto.resume()


def test_what_arrives_during_a_snapshot_is_not_lost(broker: Broker, namespace: str) -> None:
    with Session(settings_for(broker, namespace)) as session:
        topics = session.topics
        session.subscribe(topics.devices("need"))
        session.publish(topics.device("pi-1", "need"), b"1", retain=False)
        session.snapshot(topics.devices("status"))
        session.publish(topics.device("pi-2", "need"), b"2", retain=False)

        heard = [session.next(60), session.next(60)]

    assert [one.payload for one in heard if one] == [b"1", b"2"]


def test_nothing_is_missed_between_a_snapshot_and_listening(
    broker: Broker, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(settings_for(broker, namespace)) as session, Session(settings_for(broker, namespace)) as other:
        topic = session.topics.device("pi-1", "status")
        other.publish(topic, b"1")
        give_up = session.link.unsubscribe

        def cleared_first(*names: str) -> None:
            other.publish(topic, b"")
            give_up(*names)

        monkeypatch.setattr(session.link, "unsubscribe", cleared_first)  # the last thing that a snapshot does
        found = session.snapshot(session.topics.devices("status"), listen=True)
        heard = session.next(60)
        other.publish(topic, b"2")
        later = session.next(60)

    assert found == {topic: b"1"}
    assert heard is not None
    assert later is not None
    assert (heard.payload, later.payload) == (b"", b"2")


def test_an_echo_that_comes_after_its_snapshot_is_no_message(
    broker: Broker, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "NO_ECHO_S", 0.0)  # as on a machine that is busy for longer
    with Session(settings_for(broker, namespace)) as session:
        topics = session.topics
        session.subscribe(topics.devices("need"))
        session.snapshot(topics.devices("status"))
        session.publish(topics.device("pi-1", "need"), b"1", retain=False)

        heard = session.next(60)

    assert heard is not None
    assert heard.payload == b"1"


@pytest.mark.mosquitto
def test_subscriptions_and_messages_survive_a_restart_of_the_broker(mosquitto: MosquittoBroker, namespace: str) -> None:
    with Session(settings_for(mosquitto, namespace)) as session:
        topics = session.topics
        session.subscribe(topics.devices("need"))
        restart = threading.Thread(target=mosquitto.restart)
        restart.start()
        restart.join()

        heard = None
        while heard is None:  # what is sent before the session has subscribed again reaches nobody
            session.publish(topics.device("pi-1", "need"), b"after", retain=False)
            heard = session.next(0.2)

    assert heard.payload == b"after"


def test_a_broker_that_stays_away_ends_the_command(broker: Broker, namespace: str) -> None:
    with Session(settings_for(broker, namespace, timeout_s=1.5)) as session:
        broker.kill()
        with pytest.raises(BrokerError) as while_waiting:
            session.next(20)
        with pytest.raises(BrokerError) as while_sending:
            session.publish(session.topics.device("pi-1", "need"), b"x")

    assert while_waiting.value.code == while_sending.value.code == "broker_unreachable"


@pytest.mark.mosquitto
def test_a_broker_that_does_not_know_us_says_so_at_once(tmp_path: Path, namespace: str) -> None:
    broker = MosquittoBroker(tmp_path, "allow_anonymous false")
    broker.start()
    try:
        with pytest.raises(BrokerError) as caught, Session(settings_for(broker, namespace, timeout_s=60)):
            pass
    finally:
        broker.kill()

    assert caught.value.code == "broker_refused"


@pytest.mark.mosquitto
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho's, after a failed handshake
@pytest.mark.parametrize(
    ("host", "knows_it", "expired", "words"),
    [
        ("127.0.0.1", False, False, r"self-signed certificate\); give --ca-file PEM \(or ca_file in .*host\.toml\)"),
        ("localhost", True, False, r"certificate is not valid for 'localhost'\); put a name that is in it into the "),
        ("127.0.0.1", True, True, r"certificate has expired\); correct the clock"),
    ],
)
def test_a_certificate_that_proves_nothing_is_told_of_at_once(
    tmp_path: Path, namespace: str, host: str, words: str, *, knows_it: bool, expired: bool
) -> None:
    write_certificate(tmp_path, expired=expired)
    broker = MosquittoBroker(tmp_path, f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem")
    broker.start()
    said: list[str] = []
    url = broker.url.replace("mqtt://127.0.0.1", f"mqtts://{host}")
    ca_file = str(tmp_path / "cert.pem") if knows_it else ""
    settings = Settings(url=url, ca_file=ca_file, namespace=namespace, broker_timeout_s=60)
    began = time.monotonic()
    try:
        with pytest.raises(BrokerError, match=words) as caught, Session(settings, said.append):
            pass
    finally:
        broker.kill()

    assert caught.value.code == "broker_untrusted"
    assert time.monotonic() - began < 40
    assert said == [], "it is not away"


@pytest.mark.mosquitto
@pytest.mark.parametrize(
    ("gone", "back", "words"),
    [
        (MosquittoBroker.kill, MosquittoBroker.start, ("the broker is away", "the broker is back")),
        (
            MosquittoBroker.pause,
            MosquittoBroker.resume,
            ("the broker has acknowledged nothing", "the broker answers again"),
        ),
    ],
    ids=["gone", "hung"],
)
def test_a_broker_that_goes_in_the_middle_of_an_upload_is_told_of(
    mosquitto: MosquittoBroker,
    namespace: str,
    gone: Callable[[MosquittoBroker], None],
    back: Callable[[MosquittoBroker], None],
    words: tuple[str, str],
) -> None:
    said: list[str] = []

    def messages(topics: Topics) -> Iterator[tuple[str, bytes]]:
        for number in range(400):
            if number == 200:
                gone(mosquitto)
                threading.Thread(target=return_once_told, args=(said, lambda: back(mosquitto))).start()
            yield topics.device(f"pi-{number}", "status"), bytes(10_000)

    with Session(settings_for(mosquitto, namespace), said.append) as session:
        session.publish_all(messages(session.topics))

        assert len(session.snapshot(session.topics.devices("status"))) > 100, "all that came after, at least"

    assert [text.startswith(word) for text, word in zip(said, words, strict=True)] == [True, True], said


def return_once_told(said: list[Any], back: Callable[[], None]) -> None:
    """Have the broker back when a person was told once more, as soon as which is :mod:`test_outage`'s."""
    before = len(said)
    wait_for(lambda: len(said) > before)
    back()


@pytest.mark.mosquitto
def test_a_broker_that_hangs_twice_is_told_of_twice_as_soon(mosquitto: MosquittoBroker, namespace: str) -> None:
    said: list[float] = []
    told_after: list[float] = []

    with Session(settings_for(mosquitto, namespace), lambda _: said.append(time.monotonic())) as session:
        for _ in range(2):
            session.publish(session.topics.device("pi-1", "status"), b"before")
            mosquitto.pause()
            hung = time.monotonic()
            threading.Thread(target=return_once_told, args=(said, mosquitto.resume)).start()
            session.publish(session.topics.device("pi-1", "status"), b"while it hangs")
            told_after.append(said[-2] - hung)

    assert len(said) == 4
    assert max(told_after) < 4.5, "and not after five seconds, as a slow link is"


def test_a_broker_that_is_not_there_yet_is_told_of(tmp_path: Path, namespace: str) -> None:
    said: list[str] = []
    broker = IotcoreBroker(tmp_path)
    threading.Timer(2.5, broker.start).start()
    try:
        with Session(settings_for(broker, namespace), said.append):
            pass
    finally:
        broker.kill()

    assert [text.split(" (")[0] for text in said] == ["the broker is away", "the broker is back"]
