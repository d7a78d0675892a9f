"""A reading of what is retained is complete, or it says that it is not."""

import time
from pathlib import Path

import pytest
from support.brokers import IotcoreBroker, MosquittoBroker
from support.flood import Flood
from support.links import QueuedLink

from edge_agent.errors import BrokerError
from edge_agent.mqtt import Connected
from edge_agent.mqtt.serving import close
from edge_agent.wire.topics import Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.broker.snapshot import (
    MOST,
    NO_ECHO_S,
    OVERFLOWN_S,
    SETTLE_S,
    SURE,
    Reading,
    Verdict,
    wider,
)

FILTER = "ea/v1/d/+/status"


def reading(*, resumes: bool = True, messages: int = 0) -> Reading:
    """One that began at second 0 and has heard so many messages by then."""
    begun = Reading((FILTER,), resumes=resumes, now=0.0, patience_s=60.0)
    for number in range(messages):
        assert begun.take(f"ea/v1/d/pi-{number}/status", b"x", 0.0)
    return begun


def test_few_messages_and_the_echo_are_complete() -> None:
    few = reading(messages=SURE - 1)
    few.echoed(0.0)

    assert few.verdict(SETTLE_S / 2, answered=True) is Verdict.WAIT
    assert few.verdict(SETTLE_S, answered=True) is Verdict.COMPLETE


@pytest.mark.parametrize("echoed", [True, False])
def test_many_messages_need_a_connection_that_brings_few(*, echoed: bool) -> None:
    many = reading(messages=SURE)
    if echoed:
        many.echoed(0.0)
    assert many.verdict(OVERFLOWN_S, answered=False) is Verdict.AGAIN
    many.leave()
    assert many.verdict(OVERFLOWN_S, answered=False) is Verdict.WAIT

    many.again(1.0, resumed=True)
    many.take("ea/v1/d/late/status", b"x", 1.0)
    many.echoed(1.0)

    assert many.verdict(1.0 + SETTLE_S, answered=True) is Verdict.COMPLETE
    assert len(many.found) == SURE + 1


def next_round(of: Reading, now: float, *, statuses: int, infos: int = 0, resumed: bool = False) -> Verdict:
    """The verdict after another connection that brings so many messages and the echo."""
    of.leave()
    of.again(now, resumed=resumed)
    for kind, messages in (("status", statuses), ("info", infos)):
        for number in range(messages):
            of.take(f"ea/v1/d/pi-{number}/{kind}", b"x", now)
    of.echoed(now)
    return of.verdict(now + 2 * SETTLE_S, answered=True)


def test_a_broker_that_keeps_no_session_is_asked_as_one_without_is() -> None:
    many = reading(messages=SURE)

    assert next_round(many, 1.0, statuses=SURE) is Verdict.AGAIN
    assert (many.qos, many.asks) == (0, (FILTER,))
    assert next_round(many, 2.0, statuses=SURE, infos=1) is Verdict.COMPLETE


@pytest.mark.parametrize(("messages", "verdict"), [(SURE - 1, Verdict.COMPLETE), (SURE, Verdict.AGAIN)])
def test_mqtt_3_1_1_is_believed_below_the_usual_limit(messages: int, verdict: Verdict) -> None:
    one = reading(resumes=False, messages=messages)
    one.echoed(0.0)

    assert one.verdict(SETTLE_S, answered=True) is verdict


def test_without_a_session_a_wider_filter_proves_that_no_number_cut_the_reading_short() -> None:
    one = reading(resumes=False, messages=SURE)

    assert next_round(one, 1.0, statuses=SURE, infos=SURE) is Verdict.COMPLETE
    assert one.asks == ("ea/v1/d/+/+",)
    assert len(one.found) == SURE, "what only the wider filter asked for is nobody's"


@pytest.mark.parametrize(("statuses", "infos"), [(SURE // 2, SURE // 2), (SURE + 1, 5), (SURE, 0)])
def test_without_a_session_nothing_else_proves_it(statuses: int, infos: int) -> None:
    """A fixed number, messages that came by chance, and a wider filter under which there is nothing more."""
    one = reading(resumes=False, messages=SURE)

    assert next_round(one, 1.0, statuses=statuses, infos=infos) is Verdict.AGAIN
    assert {one.verdict(2.0, answered=True) for _ in range(9)} == {Verdict.AGAIN}, "to ask changes nothing"
    assert next_round(one, 3.0, statuses=SURE - 1) is Verdict.AGAIN
    assert next_round(one, 4.0, statuses=SURE, infos=5) is Verdict.INCOMPLETE


@pytest.mark.parametrize(("commands", "verdict"), [(1, Verdict.COMPLETE), (0, Verdict.AGAIN)])
def test_of_several_filters_those_that_bring_few_need_no_proof_of_their_own(commands: int, verdict: Verdict) -> None:
    both = Reading(("ea/v1/d/+/want/+", "ea/v1/g/+/want/+"), resumes=False, now=0.0, patience_s=60.0)
    for now in (0.0, 1.0):
        for number in range(SURE):
            both.take(f"ea/v1/d/pi-{number}/want/har", b"x", now)
        both.take("ea/v1/g/all/want/har", b"x", now)
        if now == 0.0:
            both.leave()
            both.again(1.0, resumed=False)
    for number in range(commands):
        assert both.take(f"ea/v1/d/pi-{number}/cmd/1", b"x", 1.0)
    both.echoed(1.0)

    assert both.verdict(1.0 + 2 * SETTLE_S, answered=True) is verdict


def test_a_fleet_that_changes_between_two_rounds_is_read_in_the_next() -> None:
    one = reading(resumes=False, messages=SURE)

    assert next_round(one, 1.0, statuses=SURE + 1, infos=SURE) is Verdict.AGAIN
    assert next_round(one, 2.0, statuses=SURE + 1) is Verdict.COMPLETE


@pytest.mark.parametrize(
    ("name", "wide"),
    [
        ("ea/v1/d/+/job/+", "ea/v1/d/+/+/+"),
        ("ea/v1/d/+/job/0123456789abcdef", "ea/v1/d/+/job/+"),
        ("ea/v1/g/+/want/+", "ea/v1/g/+/+/+"),
        ("ea/v1/b/+/h/+", "ea/v1/b/+/h/+"),
    ],
)
def test_a_wider_filter_asks_for_more_but_for_no_model(name: str, wide: str) -> None:
    assert wider(name) == wide


def test_a_broker_that_withholds_the_echo_is_believed_after_a_silence_if_it_answers() -> None:
    silent = reading(messages=3)

    assert silent.verdict(NO_ECHO_S, answered=True) is Verdict.COMPLETE
    assert silent.verdict(NO_ECHO_S, answered=False) is Verdict.WAIT
    assert silent.verdict(60.0, answered=False) is Verdict.INCOMPLETE


def test_more_than_a_broker_sends_without_an_acknowledgement_is_not_believed() -> None:
    assert reading(messages=MOST).verdict(0.0, answered=True) is Verdict.INCOMPLETE


@pytest.mark.mosquitto
@pytest.mark.parametrize(("devices", "size"), [(2000, 300), (5000, 3000)])
def test_every_device_of_a_large_fleet_is_seen(
    mosquitto: MosquittoBroker, namespace: str, devices: int, size: int
) -> None:
    """A mosquitto holds 1,000 messages back and drops the rest: of 2,000 devices 1,032 were seen."""
    topics = Topics(namespace)
    message = lambda number: (topics.device(f"pi-{number}", "status"), bytes(size))  # noqa: E731  # short
    with Flood(mosquitto.url, message, qos=1, retain=True, most=devices) as flood:
        flood.finish()

    with Session(Settings(url=mosquitto.url, namespace=namespace)) as session:
        found = [len(session.snapshot(topics.devices("status"))) for _ in range(2)]
        one = session.snapshot(topics.device("pi-7", "status"))

    assert found == [devices, devices]
    assert list(one) == [topics.device("pi-7", "status")]


@pytest.mark.mosquitto
def test_a_chatty_device_does_not_keep_a_snapshot_from_its_end(mosquitto: MosquittoBroker, namespace: str) -> None:
    topics = Topics(namespace)
    with Session(Settings(url=mosquitto.url, namespace=namespace)) as session:
        session.publish(topics.device("pi-1", "status"), b"1")
        message = lambda number: (topics.device("chatty", "status"), b"%d" % number)  # noqa: E731  # short
        with Flood(mosquitto.url, message, a_second=500) as flood:
            while flood.sent < 100:
                time.sleep(0.01)
            found = session.snapshot(topics.devices("status"))
            stopped = flood.sent

    assert found == {topics.device("pi-1", "status"): b"1"}
    assert stopped < 500 * 15


@pytest.mark.mosquitto
def test_a_broker_that_stops_in_the_middle_is_not_believed(mosquitto: MosquittoBroker, namespace: str) -> None:
    with Session(Settings(url=mosquitto.url, namespace=namespace, broker_timeout_s=5), lambda _text: None) as session:
        mosquitto.pause()
        try:
            with pytest.raises(BrokerError) as caught:
                session.snapshot(session.topics.devices("status"))
        finally:
            mosquitto.resume()

    assert caught.value.code == "snapshot_incomplete"


def test_many_messages_of_a_broker_without_sessions_are_refused(tmp_path: Path, namespace: str) -> None:
    topics = Topics(namespace)
    with IotcoreBroker(tmp_path) as broker:
        message = lambda number: (topics.device(f"pi-{number}", "status"), b"x")  # noqa: E731  # short
        with Flood(broker.url, message, qos=1, retain=True, most=SURE) as flood:
            flood.finish()
        settings = Settings(url=broker.url, namespace=namespace)
        with Session(settings) as session, pytest.raises(BrokerError, match="speaks MQTT 5") as caught:
            session.snapshot(topics.devices("status"))

    assert caught.value.code == "snapshot_incomplete"


@pytest.mark.mosquitto
@pytest.mark.parametrize("polite", [True, False])
def test_a_command_that_ends_leaves_no_session_at_the_broker(
    mosquitto: MosquittoBroker, namespace: str, *, polite: bool
) -> None:
    session = Session(Settings(url=mosquitto.url, namespace=namespace))
    with session:
        session.subscribe(session.topics.devices("need"))
        session.publish(session.topics.device("pi-1", "need"), b"x")
        if not polite:
            close(session.link._client._paho)

    with QueuedLink(mosquitto.url, session.link._options.client_id, clean=False) as heir:
        present = heir.expect(Connected).session_present

    assert present is not polite
