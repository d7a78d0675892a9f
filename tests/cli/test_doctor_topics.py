"""``edge-agent doctor`` on a device's topics where the broker says nothing; of ACLs see ``tests/test_acl.py``."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import IotcoreBroker, MosquittoBroker
from support.closing_broker import closing_broker
from support.links import QueuedLink

from edge_agent.cli import doctor_topics
from edge_agent.cli.doctor_topics import check_topics
from edge_agent.mqtt import Connected
from edge_agent.settings.device import Config


@pytest.fixture
def paused(mosquitto: MosquittoBroker) -> Iterator[MosquittoBroker]:
    yield mosquitto
    mosquitto.resume()


def test_a_broker_of_3_1_1_does_not_say_what_it_refuses(tmp_path: Path) -> None:
    with IotcoreBroker(tmp_path) as broker, QueuedLink(broker.url, "doctor") as doctor:
        doctor.expect(Connected)
        check = check_topics(doctor.link, Config(device_id="pi-01"))

    assert (check.name, check.level) == ("topics", "ok")
    assert "3.1.1" in check.detail


@pytest.mark.mosquitto
def test_a_broker_that_hangs_is_told_from_one_that_refuses(
    paused: MosquittoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_topics, "_ANSWER_TIMEOUT_S", 0.2)
    with QueuedLink(paused.url, "doctor") as doctor:
        doctor.expect(Connected)
        paused.pause()
        check = check_topics(doctor.link, Config(device_id="pi-01"))
        paused.resume()

    assert check.level == "warn"
    assert "does not answer about ea/v1/d/pi-01/status" in check.detail


def test_a_broker_that_closes_the_connection_is_said_to_at_that_topic() -> None:
    with closing_broker(lambda topic: not topic.endswith("/event")) as (url, _), QueuedLink(url, "doctor") as doctor:
        doctor.expect(Connected)
        check = check_topics(doctor.link, Config(device_id="pi-01"))

    assert check.level == "warn"
    assert check.detail == "the broker closes the connection at what this device writes to ea/v1/d/pi-01/event"
    assert "\npattern write ea/v1/d/%u/event\n" in check.remedy
