"""Series of what was measured: in memory, and in the database of ``host-tools collect``."""

import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.fleets import Voice
from support.postgresql import postgresql

from edge_agent.errors import StoreError
from edge_agent.wire.topics import Topics
from host_tools.dashboard.history import database as database_module
from host_tools.dashboard.history.database import DatabaseHistory
from host_tools.dashboard.history.memory import MOST, MemoryHistory
from host_tools.dashboard.history.points import MOST_POINTS, WEEK_S
from host_tools.fleet.reading import Said, read
from host_tools.history.address import address
from host_tools.history.database import Database
from host_tools.history.rows import Rows

TOPICS = Topics("t/board")
NOW = 1_800_000_000.0


def said(message: tuple[str, bytes]) -> Said:
    found = read(TOPICS, *message)
    assert isinstance(found, Said)
    return found


def test_memory_keeps_the_newest_points_of_each_series() -> None:
    pi, history = Voice("pi-1", TOPICS), MemoryHistory()
    for number in range(200):
        at = NOW + 60 * number
        history.take(said(pi.health(temperature_c=float(number), cpu_share=None)).message, at)
        history.take(said(pi.sample(p50_ms=float(number))).message, at)

    health = history.health("pi-1", NOW)
    assert [point.temperature_c for point in health] == [float(number) for number in range(200 - MOST, 200)]
    assert health[0].cpu_share is None
    assert len(history.health("pi-1", NOW + 60 * 195)) == 5
    assert history.latency("pi-1", "har", NOW)[-1].p50_ms == 199.0
    assert history.latency("pi-1", "kws", NOW) == history.health("pi-2", NOW) == []


def test_points_that_come_fast_replace_each_other_and_one_without_calls_is_none() -> None:
    pi, history = Voice("pi-1", TOPICS), MemoryHistory()
    for number in range(61):
        history.take(said(pi.health(temperature_c=float(number))).message, NOW + number)
    history.take(said(pi.sample(inferences=0)).message, NOW)

    assert [point.temperature_c for point in history.health("pi-1", 0.0)] == [0.0, 29.0, 58.0, 60.0]
    assert history.latency("pi-1", "har", 0.0) == []


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A database with an hour of one device, and an event."""
    path = str(tmp_path / "history.db")
    now = time.time()
    pi, rows = Voice("pi-1", TOPICS), Rows()
    for minute in range(60, 0, -1):
        at = now - 60 * minute
        rows.add(said(pi.health(at, temperature_c=float(minute))), at)
    rows.add(said(pi.sample(p50_ms=5.0)), now - 30)
    rows.add(said(pi.event("throttled", severity="warning", message="hot")), now - 20)
    with closing(Database(address(path), TOPICS.namespace)) as database:
        database.write(rows)
    return path


def test_a_database_has_what_was_before_and_memory_what_came_since(db: str) -> None:
    now, heard = time.time(), MemoryHistory()
    heard.take(said(Voice("pi-1", TOPICS, seq=500).health(temperature_c=99.0)).message, now)
    heard.take(said(Voice("pi-1", TOPICS, events=5).event("started")).message, now)
    with closing(DatabaseHistory(address(db), TOPICS.namespace, heard, print)) as history:
        health = history.health("pi-1", now - 1000)
        assert [point.temperature_c for point in health] == [*map(float, range(16, 0, -1)), 99.0]
        assert [point.p50_ms for point in history.latency("pi-1", "har", now - 1000)] == [5.0]
        assert [(one.kind, one.severity) for one in history.events()] == [("started", "info"), ("throttled", "warning")]
        assert len(history.events("pi-1")) == 2
        assert history.events("pi-2") == []


def weeks_of(db: str, devices: int) -> None:
    """A week of each of some devices, three samples to a point of a page."""
    now = time.time()
    with closing(Database(address(db), TOPICS.namespace)) as database:
        for number in range(devices):
            pi, rows = Voice(f"pi-{number}", TOPICS), Rows()
            for place in range(3 * MOST_POINTS):
                at = now - WEEK_S / MOST_POINTS * place / 3
                rows.add(said(pi.health(at, temperature_c=50.0 + place % 2, memory_available_bytes=2**31)), at)
                rows.add(said(pi.sample(at=at, p50_ms=3.0 + place % 2)), at)
            database.write(rows)


def is_a_week(history: DatabaseHistory, now: float) -> None:
    """Both series of a device reach back a week, in the means of as many parts as a page shows."""
    health, latency = history.health("pi-0", now - WEEK_S), history.latency("pi-0", "har", now - WEEK_S)
    for points in (health, latency):
        assert MOST_POINTS - 2 <= len(points) <= MOST_POINTS + 1
        moments = [point.at for point in points]
        assert moments == sorted(moments)
        assert (moments[0] - now, moments[-1] - now) == pytest.approx((-WEEK_S, 0.0), abs=2 * WEEK_S / MOST_POINTS)
    middle = health[len(health) // 2]
    assert middle.temperature_c == pytest.approx(50.5, abs=0.2)
    assert (middle.memory_available_bytes, type(middle.memory_available_bytes)) == (2.0**31, float)
    assert latency[len(latency) // 2].p50_ms == pytest.approx(3.5, abs=0.2)


def test_a_week_is_as_many_points_as_a_page_shows(tmp_path: Path) -> None:
    db = str(tmp_path / "history.db")
    weeks_of(db, 1)
    with closing(DatabaseHistory(address(db), TOPICS.namespace, MemoryHistory(), print)) as history:
        is_a_week(history, time.time())


@pytest.mark.external
def test_a_week_of_a_postgresql_is_the_same() -> None:
    with postgresql() as server:
        weeks_of(server.url, 1)
        with closing(DatabaseHistory(address(server.url), TOPICS.namespace, MemoryHistory(), print)) as history:
            is_a_week(history, time.time())


def test_what_is_kept_of_a_database_is_no_more_however_long_or_often_pages_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, moment = str(tmp_path / "history.db"), time.time()
    weeks_of(db, 3)
    clock = SimpleNamespace(time=lambda: moment, monotonic=lambda: moment)
    monkeypatch.setattr(database_module, "time", clock)

    with closing(DatabaseHistory(address(db), TOPICS.namespace, MemoryHistory(), print)) as history:

        def kept() -> int:
            return sum(len(rows) for _, rows in history._known.values())

        for _ in range(10):
            assert len(history.health("pi-0", moment - WEEK_S)) >= MOST_POINTS - 2
            moment += 21.0  # what is known is too old then
        assert kept() <= MOST_POINTS + 1

        monkeypatch.setattr(database_module, "_MOST_KNOWN", 2 * MOST_POINTS + 50)
        for number in range(3):
            assert history.health(f"pi-{number}", moment - WEEK_S)
            assert kept() <= 2 * MOST_POINTS + 50
        assert [device for _, device, *_ in history._known] == ["pi-1", "pi-2"]


def test_an_event_that_is_in_both_is_shown_once(db: str) -> None:
    heard = MemoryHistory()
    heard.take(said(Voice("pi-1", TOPICS).event("throttled", severity="warning", message="hot")).message, time.time())
    with closing(DatabaseHistory(address(db), TOPICS.namespace, heard, print)) as history:
        assert len(history.events()) == 1


def test_a_database_that_is_gone_takes_no_page_with_it(db: str) -> None:
    told: list[str] = []
    heard = MemoryHistory()
    heard.take(said(Voice("pi-1", TOPICS).health(temperature_c=99.0)).message, time.time())
    with closing(DatabaseHistory(address(db), TOPICS.namespace, heard, told.append)) as history:
        history.close()
        Path(db).rename(f"{db}.gone")
        for _ in range(3):
            assert [point.temperature_c for point in history.health("pi-1", 0.0)] == [99.0]
    (once,) = told
    assert "at the start of this dashboard" in once


def test_what_is_no_history_of_this_namespace_is_refused(db: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="namespace t/board") as other:
        DatabaseHistory(address(db), "t/other", MemoryHistory(), print)
    with pytest.raises(StoreError) as missing:
        DatabaseHistory(address(str(tmp_path / "none.db")), "t/board", MemoryHistory(), print)

    assert (other.value.code, missing.value.code) == ("database_unusable", "database_unreachable")
    assert not (tmp_path / "none.db").exists()
