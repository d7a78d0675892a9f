"""``host-tools dashboard`` as a process, between a real broker and whoever looks at it."""

import re
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import pytest
from support.brokers import Broker, MosquittoBroker
from support.dashboards import get
from support.fleets import Running, Voice, eventually, running, speaking

from edge_agent.wire.topics import Topics
from host_tools.dashboard.serving import listening
from host_tools.history.address import address
from host_tools.history.database import Database


@contextmanager
def begun(url: str, namespace: str, *more: str, first: str = "") -> Iterator[tuple[Running, str]]:
    """A dashboard, and its address."""
    argv = ("dashboard", "--listen", "127.0.0.1:0", "--broker", url, "--namespace", namespace, *more)
    with running(*argv, first=first) as command:
        found = re.search(r"http://[\d.:]+", command.said("the dashboard of", 60))
        assert found
        yield command, found[0]


@contextmanager
def shown(url: str, namespace: str, *more: str) -> Iterator[tuple[Running, str]]:
    """A dashboard that has read what the broker keeps, and its address."""
    with begun(url, namespace, *more) as (command, address):
        eventually(lambda: "broker keeps" not in get(address).text, 60)
        yield command, address


@contextmanager
def stream(address: str) -> Iterator[Iterator[str]]:
    """The messages of a page's stream, as they come."""
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310  # our own server
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = (line.decode() for line in answer)
        yield (line.removeprefix("data: ") for line in lines if line.startswith("data: "))


def test_a_page_is_kept_up_to_date_and_open_streams_end_with_the_command(
    one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    pi, db = Voice("pi-1", Topics(namespace)), str(tmp_path / "history.db")
    Database(address(db), namespace).close()
    with speaking(one_broker.url, namespace) as say, shown(one_broker.url, namespace, "--db", db) as (command, url):
        say(pi.status(), pi.info(), pi.model(), retain=True)
        eventually(lambda: "row-pi-1-M-har" in get(url).text, 60)
        with stream(f"{url}/live?view=fleet") as told:
            first = next(told)
            assert 'hx-target="#rows"' in first
            assert "capture" not in first
            say(pi.model(status="in_progress", stage="capture", progress=0.25), retain=True)
            change = next(one for one in told if "capture" in one)
            assert 'hx-target="#row-pi-1-M-har" hx-swap="outerMorph"' in change
            assert 'hx-target="#rows"' not in change

            assert command.end() == 0
            assert list(told) == []
    assert not [line for line in command.lines if "ERROR" in line or "Traceback" in line]


@pytest.mark.mosquitto
def test_a_broker_that_goes_and_returns(mosquitto: MosquittoBroker, namespace: str) -> None:
    pi = Voice("pi-1", Topics(namespace))
    with speaking(mosquitto.url, namespace) as say:
        say(pi.status(), pi.info(), pi.model(), retain=True)
    with shown(mosquitto.url, namespace) as (_, url), stream(f"{url}/live?view=fleet") as told:
        assert "row-pi-1-M-har" in next(told)
        mosquitto.stop()
        assert any("The broker has been away since" in one for one in told)
        assert "row-pi-1-M-har" in get(url).text, "what was known is still shown"

        mosquitto.start()
        assert any('hx-target="#broker" hx-swap="innerMorph"></hx-partial>' in one for one in told)
        with speaking(mosquitto.url, namespace) as say:
            say(pi.status(online=False), retain=True)
        eventually(lambda: "offline" in get(url).text, 60)


def test_it_ends_by_itself_before_the_broker_was_ever_there(namespace: str) -> None:
    with (
        begun("mqtt://127.0.0.1:9", namespace, "--broker-timeout", "600") as (command, url),
        stream(f"{url}/live?view=fleet") as told,
    ):
        assert "Reading what the broker keeps" in next(told)
        assert command.end(signal.SIGINT) == 0
        assert list(told) == []


@pytest.mark.mosquitto
def test_it_ends_by_itself_while_the_broker_answers_nothing(mosquitto: MosquittoBroker, namespace: str) -> None:
    with shown(mosquitto.url, namespace) as (command, url), stream(f"{url}/live?view=fleet") as told:
        assert next(told)
        mosquitto.pause()
        assert command.end() == 0
        assert list(told) == []
        mosquitto.resume()


HANGING = """
import sys, time
from host_tools.dashboard.pages import order_offers

def hang(*_):
    print("it hangs", file=sys.stderr, flush=True)
    time.sleep(600)

order_offers.body = hang
"""
"""As a broker does that takes long to say which versions it has."""


def test_it_ends_by_itself_while_a_page_is_being_made(namespace: str) -> None:
    def ask() -> None:
        with suppress(OSError, HTTPException):
            get(f"{url}/orders/new?action=push&device=pi-1")

    with begun("mqtt://127.0.0.1:9", namespace, first=HANGING) as (command, url):
        asking = threading.Thread(target=ask)
        asking.start()
        command.said("it hangs", 60)
        assert command.end() == 0
        asking.join()
    assert not [line for line in command.lines if "Traceback" in line]


def test_where_nobody_can_listen_is_said(one_broker: Broker, namespace: str) -> None:
    with listening("127.0.0.1", 0) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with running("dashboard", "--listen", address, "--broker", one_broker.url, "--namespace", namespace) as second:
            second.said("give another address or port", 60)
            assert second.process.wait(60) == 2
