"""``host-tools collect`` as a process, between a real broker and a real database."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.brokers import Broker, MosquittoBroker
from support.fleets import HOSTILE, Running, Voice, eventually, running, speaking
from support.histories import ask, count
from support.postgresql import postgresql

from edge_agent.wire.topics import Topics
from host_tools.cli.app import main

TABLES = ("ea_health", "ea_serving", "ea_model_states", "ea_reports", "ea_events", "ea_devices")


@contextmanager
def collecting(url: str, namespace: str, db: str, *more: str) -> Iterator[Running]:
    """A collector that has read all that the broker keeps, and hears."""
    argv = ("collect", "--db", db, "--broker", url, "--namespace", namespace, "--broker-timeout", "60")
    with running(*argv, *more) as command:
        command.said("storing the messages of")
        hears(url, namespace, db)
        yield command


def hears(url: str, namespace: str, db: str) -> None:
    """Wait until it has subscribed: samples that are said before it does not hear."""
    probe = Voice("probe", Topics(namespace))
    known = count(db, "ea_serving")

    def heard() -> bool:
        say(probe.sample())
        return count(db, "ea_serving") > known

    with speaking(url, namespace) as say:
        eventually(heard)


def counts(db: str) -> dict[str, int]:
    return {name: count(db, name) for name in TABLES}


def events_of(db: str) -> list[int]:
    return [number for (number,) in ask(db, "SELECT event_seq FROM ea_events ORDER BY event_seq")]


@pytest.mark.mosquitto
def test_everything_is_stored_and_a_gap_is_filled(mosquitto: MosquittoBroker, namespace: str, tmp_path: Path) -> None:
    pi, db = Voice("pi-1", Topics(namespace)), str(tmp_path / "history.db")
    with speaking(mosquitto.url, namespace) as say:
        say(pi.status(), pi.info(), pi.model(), pi.report(), retain=True)
        with collecting(mosquitto.url, namespace, db) as command:
            say(pi.health(), pi.event("throttled", message=HOSTILE), ("#bad".replace("#", namespace), b"x"))
            say((Topics(namespace).device("pi-1", "event"), b"[" * 60_000))
            eventually(lambda: (count(db, "ea_health"), count(db, "ea_events")) == (1, 1))
            with running("collect", "--db", db, "--broker", mosquitto.url, "--namespace", namespace) as second:
                second.said("another host-tools collect writes to it")
                assert second.process.wait(60) == 2
            assert command.end() == 0

        say(pi.model(active_version=8), pi.report("0000000000000002"), retain=True)  # while nobody collects
        say(*(pi.event() for _ in range(100)))
        with collecting(mosquitto.url, namespace, db) as command:
            eventually(lambda: count(db, "ea_events") == 101)
            assert command.end(signal.SIGINT) == 0

    assert events_of(db) == list(range(1, 102))
    found = counts(db)
    assert (found["ea_model_states"], found["ea_reports"], found["ea_health"]) == (2, 2, 1)
    assert ask(db, "SELECT online, board FROM ea_devices WHERE device = 'pi-1'") == [(True, "Raspberry Pi 4")]
    assert ask(db, "SELECT active_version FROM ea_model_states ORDER BY seq") == [(7,), (8,)]
    ((message,),) = ask(db, "SELECT message FROM ea_events WHERE kind = 'throttled'")
    assert message.isprintable()


@pytest.mark.mosquitto
@pytest.mark.children(covered=False)
def test_a_collector_that_is_killed_loses_no_event_and_stores_none_twice(
    mosquitto: MosquittoBroker, namespace: str, tmp_path: Path
) -> None:
    pi, db = Voice("pi-1", Topics(namespace)), str(tmp_path / "history.db")
    with speaking(mosquitto.url, namespace) as say:
        with collecting(mosquitto.url, namespace, db):
            pass
        with running("collect", "--db", db, "--broker", mosquitto.url, "--namespace", namespace) as command:
            say(*(pi.event() for _ in range(200)))  # many of them while it starts
            eventually(lambda: count(db, "ea_events") > 0)
            command.end(signal.SIGKILL)
        with collecting(mosquitto.url, namespace, db):
            eventually(lambda: count(db, "ea_events") == 200)

    assert events_of(db) == list(range(1, 201))


@pytest.mark.mosquitto
@pytest.mark.children(covered=False)
def test_a_broker_that_goes_away_loses_nothing_that_it_holds(
    mosquitto: MosquittoBroker, namespace: str, tmp_path: Path
) -> None:
    pi, db = Voice("pi-1", Topics(namespace)), str(tmp_path / "history.db")
    with collecting(mosquitto.url, namespace, db, "--broker-timeout", "1") as command:
        mosquitto.stop()
        command.said("waiting for it")
        mosquitto.start()
        with speaking(mosquitto.url, namespace) as say:
            say(pi.report(), pi.model(), retain=True)
            say(*(pi.event() for _ in range(10)))
            eventually(lambda: (count(db, "ea_events"), count(db, "ea_reports")) == (10, 1))
        hears(mosquitto.url, namespace, db)


def test_a_flood_of_one_device_is_limited_and_named(one_broker: Broker, namespace: str, tmp_path: Path) -> None:
    loud, quiet = Voice("loud", Topics(namespace)), Voice("quiet", Topics(namespace))
    db = str(tmp_path / "history.db")
    with speaking(one_broker.url, namespace) as say, collecting(one_broker.url, namespace, db) as command:
        say(*(loud.health() for _ in range(800)), quiet.health())
        command.said("device loud sends more than 20 messages a second")
        eventually(lambda: ask(db, "SELECT count(*) FROM ea_health WHERE device = 'quiet'") == [(1,)])

    assert count(db, "ea_health") < 800


@pytest.mark.external
@pytest.mark.mosquitto
@pytest.mark.children(covered=False)
def test_a_postgresql_that_goes_away_loses_nothing_that_the_broker_holds(
    mosquitto: MosquittoBroker, namespace: str
) -> None:
    pi = Voice("pi-1", Topics(namespace))
    with postgresql() as server, speaking(mosquitto.url, namespace) as say:
        with collecting(mosquitto.url, namespace, server.url) as command:
            server.stop()
            say(*(pi.event() for _ in range(50)), pi.health())
            command.said("trying again")
            command.end(signal.SIGKILL)  # with events that it has and that are stored nowhere
            server.start()
        with collecting(mosquitto.url, namespace, server.url) as command:
            eventually(lambda: counts(server.url)["ea_events"] == 50)
            server.stop()
            say(pi.report(), pi.model(), retain=True)
            say(*(pi.event() for _ in range(50)), pi.health())
            command.said("trying again")
            server.start()
            command.said("the database is back")
            eventually(lambda: counts(server.url)["ea_events"] == 100)
            found = counts(server.url)
            assert (found["ea_reports"], found["ea_model_states"], found["ea_health"]) == (1, 1, 1)
            with running("collect", "--db", server.url, "--broker", mosquitto.url, "--namespace", namespace) as second:
                second.said("another host-tools collect writes to it")
                assert second.process.wait(60) == 2
            assert command.end() == 0
        assert events_of(server.url) == list(range(1, 101))


def test_no_broker_ends_it_at_once(tmp_path: Path) -> None:
    argv = ("--db", str(tmp_path / "h.db"), "--broker", "mqtt://127.0.0.1:9", "--broker-timeout", "0.5")
    with running("collect", *argv) as command:
        command.said("error: broker_unreachable")
        assert command.process.wait(60) == 3


@pytest.mark.parametrize("days", ["nan", "inf", "-1", "36501"])
def test_a_number_of_days_that_is_none_is_no_usage(
    days: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["host-tools", "collect", "--db", str(tmp_path / "h.db"), "--keep-days", days])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "--keep-days" in capsys.readouterr().err
    assert not (tmp_path / "h.db").exists()
