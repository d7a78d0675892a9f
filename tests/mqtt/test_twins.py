"""Two clients with one id, as two devices from one image: each ends the other's connection by its own."""

import logging
import queue
import time
from collections import Counter
from collections.abc import Callable

import pytest
from support.brokers import MosquittoBroker
from support.raw_broker import raw_broker

from edge_agent.mqtt import Connected, Disconnected, Event, Link
from edge_agent.mqtt import link as link_module
from edge_agent.settings.broker import BrokerSettings

WATCHED_S = 3.0
MOST = 20
"""Connections of both in that time; at one delay for ever there are over fifty."""


@pytest.mark.mosquitto
def test_twins_do_not_fight_and_each_says_so_once(
    mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link_module, "_FIRST_DELAY_S", 0.1)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    links = [Link(BrokerSettings(url=mosquitto.url), "clone", on_event=events.put, clean=False) for _ in range(2)]
    with caplog.at_level(logging.WARNING):
        for link in links:
            link.start()
        watch(lambda: len(said(caplog)) >= len(links))
        for link in links:
            link.stop()

    seen = drained(events)
    kinds = Counter(type(event) for event in seen)
    assert 2 <= kinds[Connected] <= MOST
    ends = [event for event in seen if isinstance(event, Disconnected)]
    assert len(ends) >= kinds[Connected] - 2, "the end of every session is an event"
    assert ends[-1].twin
    assert len(said(caplog)) == len(links), "each has said it once"


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if "whether another client connects as 'clone'" in line]


def watch(until: Callable[[], bool]) -> None:
    """For a time in which a link that does not wait would connect much too often; longer on a busy machine."""
    began = time.monotonic()
    while (passed_s := time.monotonic() - began) < WATCHED_S or not until():
        assert passed_s < 60
        time.sleep(0.05)


def test_a_broker_that_ends_every_session_at_once_is_suspected_to_serve_a_twin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "_FIRST_DELAY_S", 0.05)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with raw_broker(b"", close_after_s=0.01) as (url, connections):
        link = Link(BrokerSettings(url=url), "clone", on_event=events.put, clean=False)
        link.start()
        watch(lambda: len(connections) > 5)
        link.stop()

    ends = [event for event in drained(events) if isinstance(event, Disconnected)]
    assert len(connections) <= MOST
    assert [end.twin for end in ends[:5]] == [False, False, False, False, True]
    assert "repeatedly, within 30 s of accepting us; check whether another client connects as" in ends[4].reason


def drained(events: "queue.SimpleQueue[Event]") -> list[Event]:
    return [events.get() for _ in range(events.qsize())]
