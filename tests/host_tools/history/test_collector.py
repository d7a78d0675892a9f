"""What becomes of what is said while the database is away and there is no more room."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.brokers import Broker
from support.fleets import Voice, eventually, speaking
from support.histories import ask, count

from edge_agent.errors import StoreError
from edge_agent.mqtt import Incoming
from edge_agent.wire.topics import Topics
from host_tools.broker.settings import Settings
from host_tools.fleet.reading import Said, read
from host_tools.history import collector as collecting
from host_tools.history import engine as engines
from host_tools.history import waiting
from host_tools.history.address import address
from host_tools.history.collector import Collector
from host_tools.history.database import Database
from host_tools.history.events import EventStream
from host_tools.history.rows import Rows

ROOM = 20


class Rig:
    """A collector in this process, and a program that keeps others from writing to its database."""

    def __init__(self, folder: Path, url: str, namespace: str) -> None:
        self.db = str(folder / "history.db")
        self.said: list[str] = []
        self.topics = Topics(namespace)
        self.database = Database(address(self.db), namespace)
        self.events = EventStream(Settings(url=url, namespace=namespace), self.database.client_id)
        self.collector = Collector(self.topics, self.database, self.events, 365, self.said.append)
        self.other = sqlite3.connect(self.db, isolation_level=None)

    def until(self, holds: Callable[[], bool | None]) -> None:
        """Tick until that holds."""

        def ticks() -> bool:
            self.collector.tick()
            return bool(holds())

        eventually(ticks)

    def close(self) -> None:
        self.other.close()
        self.events.close()
        self.database.close()


@pytest.fixture
def rig(one_broker: Broker, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(waiting, "MOST", ROOM)
    monkeypatch.setattr(waiting, "AFTER_S", 0.0)
    monkeypatch.setattr(engines, "_BUSY_S", 0.0)
    monkeypatch.setattr(collecting, "_AGAIN_S", 0.0)
    made = Rig(tmp_path, one_broker.url, namespace)
    yield made
    made.close()


def test_nothing_is_lost_that_the_broker_holds(rig: Rig, one_broker: Broker, namespace: str) -> None:
    pi = Voice("pi-1", rig.topics)
    with speaking(one_broker.url, namespace) as say:
        first = pi.event()
        rig.until(lambda: say(first) or count(rig.db, "ea_events") == 1)
        rig.other.execute("BEGIN IMMEDIATE")

        samples = [pi.health() for _ in range(2 * ROOM)]
        reports = dict(pi.report(f"{number:016x}") for number in range(2 * ROOM))
        rig.collector.heard(Incoming(*samples[0], retained=False))
        assert "trying again" in rig.said[0]
        for topic, payload in (*samples[1:], *reports.items()):
            rig.collector.heard(Incoming(topic, payload, retained=False))
        say(*(pi.event() for _ in range(50)))
        for _ in range(50):
            rig.collector.tick()
        assert not rig.collector.wants_all  # there is no room yet

        rig.other.execute("ROLLBACK")
        rig.until(lambda: rig.collector.wants_all)
        rig.collector.kept(reports)
        rig.until(lambda: count(rig.db, "ea_events") == 51)

    assert count(rig.db, "ea_reports") == 2 * ROOM
    assert count(rig.db, "ea_health") == ROOM
    assert not rig.collector.wants_all
    assert rig.said[1:] == [f"the database is back; {3 * ROOM} messages were lost meanwhile"]


def test_an_event_of_the_first_moment_is_stored(rig: Rig, one_broker: Broker, namespace: str) -> None:
    with speaking(one_broker.url, namespace) as say:
        say(Voice("pi-1", rig.topics).event())

    rig.until(lambda: count(rig.db, "ea_events") == 1)


def test_an_outage_is_said_once(rig: Rig) -> None:
    pi = Voice("pi-1", rig.topics)
    rig.other.execute("BEGIN IMMEDIATE")
    for _ in range(5):
        rig.collector.heard(Incoming(*pi.health(), retained=False))

    assert len(rig.said) == 1
    assert rig.said[0].endswith("database is locked; see that it runs and lets this user write; trying again")
    rig.other.execute("ROLLBACK")
    rig.collector.finish()
    assert count(rig.db, "ea_health") == 5


def test_what_is_older_than_is_kept_is_deleted(rig: Rig) -> None:
    now = time.time()
    for days in (366, 364):
        at = now - days * 86_400
        old = read(rig.topics, *Voice(f"of-{days}", rig.topics).health(at=at))
        assert isinstance(old, Said)
        rows = Rows()
        rows.add(old, at)
        rig.database.write(rows)

    rig.until(lambda: count(rig.db, "ea_health") == 1)

    assert ask(rig.db, "SELECT device FROM ea_health") == [("of-364",)]
    assert ask(rig.db, "SELECT device FROM ea_devices") == [("of-364",)]


def test_events_that_waited_are_all_stored_and_a_loud_sensor_takes_none_of_their_room(
    rig: Rig, one_broker: Broker, namespace: str
) -> None:
    pi, waited = Voice("pi-1", rig.topics), 700
    with speaking(one_broker.url, namespace) as say:
        first = pi.event()
        rig.until(lambda: say(first) or count(rig.db, "ea_events") == 1)
        for _ in range(600):
            rig.collector.heard(Incoming(*pi.health(), retained=False))
        say(*(pi.event() for _ in range(waited)))
        rig.until(lambda: count(rig.db, "ea_events") == 1 + waited)

    rig.collector.finish()
    assert rig.said[0].startswith("device pi-1 sends more than 20 messages a second; skipped: ")
    told = sum(int(line.split()[-2]) for line in rig.said)
    assert told == 600 - count(rig.db, "ea_health")


def test_a_database_that_only_the_pruning_missed_is_found_again(
    rig: Rig, one_broker: Broker, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prune, failures = rig.database.prune, [StoreError("database_unreachable", "restarted")]

    def fail_once(before: float) -> bool:
        if failures:
            raise failures.pop()
        return prune(before)

    monkeypatch.setattr(rig.database, "prune", fail_once)
    rig.collector.tick()
    assert rig.said == ["restarted; trying again"]

    with speaking(one_broker.url, namespace) as say:
        event = Voice("pi-1", rig.topics).event()
        rig.until(lambda: say(event) or count(rig.db, "ea_events") == 1)
    assert rig.said[1:] == ["the database is back"]


def test_a_clock_that_was_never_set_dates_nothing(rig: Rig) -> None:
    pi = Voice("pi-1", rig.topics)
    behind = time.time() - 86_400
    status_topic, status = pi.status()
    for topic, payload in (
        pi.model(at=behind),
        (status_topic, status.replace(b'"clock_plausible":true', b'"clock_plausible":false')),
        pi.report(),
        pi.model(at=behind),
    ):
        rig.collector.heard(Incoming(topic, payload, retained=False))
    rig.collector.finish()

    first, second = (at for (at,) in ask(rig.db, "SELECT at FROM ea_model_states ORDER BY seq"))
    assert first == pytest.approx(behind, abs=0.01)
    assert second == pytest.approx(time.time(), abs=60)
