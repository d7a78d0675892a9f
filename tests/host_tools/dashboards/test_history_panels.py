"""Every query of the dashboards over the history, answered by a real PostgreSQL. Grafana itself is not here."""

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Row
from sqlalchemy.exc import ProgrammingError
from support import grafana
from support.fleets import HOSTILE, Voice
from support.histories import opened

from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Topics
from host_tools.fleet.reading import Said, read
from host_tools.history.address import address
from host_tools.history.database import Database
from host_tools.history.rows import Rows

pytestmark = pytest.mark.external
TOPICS = Topics("t/history")
NOW = time.time()
HOUR_S = 3600.0
RANGES_H = {"an hour, of samples": 1.0, "three days, of hours": 72.0}
DOCS = Path(__file__).parents[3] / "docs" / "integrations.md"
QUERIES = [
    pytest.param(query, id=f"{name}: {query.panel} {query.of.get('refId', '')}")
    for name in ("fleet", "device")
    for query in grafana.queries(grafana.dashboard(name))
]


@pytest.fixture(scope="module")
def history(postgresql_url: str) -> Iterator[Connection]:
    """Three days of two devices, one of which is gone since an hour, as a user that may only read."""
    url = postgresql_url.rpartition("/")[0] + "/panels"
    with opened(postgresql_url) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("CREATE DATABASE panels")
    database = Database(address(url), "t/history")
    for pi in (Voice("pi-1", TOPICS), Voice("pi-2", TOPICS)):
        ends = NOW - 2 * HOUR_S if pi.device == "pi-2" else NOW
        rows = Rows()
        for ago_s in (*range(72 * 3600, 2 * 3600, -1800), *range(2 * 3600, 0, -300)):
            if NOW - ago_s < ends:
                for topic, payload in samples(pi, NOW - ago_s):
                    add(rows, topic, payload, NOW - ago_s)
        for topic, payload in once(pi, ends - 60):
            add(rows, topic, payload, ends - 60)
        database.write(rows)
    database.close()
    with opened(url) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in granted("panels", "ea_reader"):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("SET ROLE ea_reader")
        yield connection


def add(rows: Rows, topic: str, payload: bytes, at: float) -> None:
    said = read(TOPICS, topic, payload)
    assert isinstance(said, Said)
    rows.add(said, at)


def samples(pi: Voice, at: float) -> Iterator[tuple[str, bytes]]:
    yield pi.health(
        at=at, temperature_c=70.0 if pi.device == "pi-1" else 50.0, throttled=pi.device == "pi-1", cpu_share=0.5
    )
    yield pi.sample(at=at, p50_ms=6.0, inferences=600, interval_s=300.0)
    yield pi.event("throttled", at=at, model="har", severity="warning", message=HOSTILE)


def once(pi: Voice, at: float) -> Iterator[tuple[str, bytes]]:
    yield pi.status(online=pi.device == "pi-1")
    yield pi.info()
    started = rfc3339(at - 120)
    yield pi.report("0000000000000001", at=at - 600, status="rejected", code="no_gain", started=rfc3339(at - 660))
    yield pi.report(at=at - 60, status="in_progress", code="", started=started)
    for _ in range(2):  # one that ended, said again
        yield pi.report(at=at, started=started)
    yield pi.model(at=at - 60, active_version=6, status="in_progress")
    yield pi.model(at=at, stale=pi.device == "pi-2")


def granted(database: str, user: str) -> list[str]:
    """The statements of the docs that make a user who may only read, for this database and user."""
    block = re.search(r"```sql\n(CREATE (?:USER|ROLE) .*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    named = block[1].replace("DATABASE edge_agent", f"DATABASE {database}").replace("grafana", user)
    return [one.strip() for one in named.split(";") if one.strip()]


def asked(hours: float) -> grafana.Asked:
    return grafana.Asked(NOW - hours * HOUR_S, NOW + 1, {"group": "all", "model": ["har"], "device": "pi-1"})


def answer(history: Connection, query: grafana.Query, hours: float) -> list[Row[Any]]:
    return list(history.exec_driver_sql(grafana.sql(query, asked(hours)).replace("%", "%%")).all())


def found(name: str, panel: str) -> grafana.Query:
    queries = grafana.queries(grafana.dashboard(name))
    return next(one for one in queries if one.panel == panel and one.of.get("refId") == "A")


@pytest.mark.parametrize("hours", RANGES_H.values(), ids=list(RANGES_H))
@pytest.mark.parametrize("query", QUERIES)
def test_each_panel_is_answered_as_it_needs(history: Connection, query: grafana.Query, hours: float) -> None:
    rows = answer(history, query, hours)

    assert rows
    names = list(rows[0]._mapping)
    if query.over_time:
        times = [row[0] for row in rows]
        assert names[0] == "time"
        assert times == sorted(times)
        assert "metric" not in names or (names[1], len(names)) == ("metric", 3)
        numbers = [
            row[index] for row in rows for index in range(1, len(names)) if names[index] not in ("metric", "model")
        ]
        assert any(value is not None for value in numbers)
        assert all(value is None or float(value) >= 0 for value in numbers)
    elif query.kind == "stat":
        assert len(rows) == len(rows[0]) == 1
        assert float(rows[0][0]) >= 0
    elif query.kind == "bargauge":
        assert [isinstance(value, str) for value in rows[0]] == [True, False]
    elif query.kind == "annotation":
        assert {"time", "text"} <= set(names)
        assert isinstance(rows[0][0], datetime)
    elif query.kind == "table":
        assert set(overridden(query)) <= set(names)


def overridden(query: grafana.Query) -> list[str]:
    """The columns of a table that its panel has a unit, a word or a link for."""
    for name in ("fleet", "device"):
        for panel in grafana.panels(grafana.dashboard(name)):
            if query.of in panel["targets"]:
                return [one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]]
    raise AssertionError(query.panel)


@pytest.mark.parametrize("hours", RANGES_H.values(), ids=list(RANGES_H))
def test_numbers_are_those_that_were_said(history: Connection, hours: float) -> None:
    def last(name: str, panel: str, key: str = "") -> tuple[Any, ...]:
        rows = [row for row in answer(history, found(name, panel), hours) if not key or row[1] == key]
        return tuple(rows[-1])[1 + bool(key) :]

    assert last("fleet", "Temperature")[0] == 70.0
    assert last("fleet", "Slowed down, or with too little power") == (1, 0)
    assert last("fleet", "Latency over the verdict's") == (2.0, 2.0)
    assert float(last("fleet", "Inferences a second", "har")[0]) == 2.0
    assert last("device", "Inferences a second", "har")[0] == 2.0
    assert last("device", "Latency") == ("har", 6.0, 4.2)


def test_counts_are_of_now(history: Connection) -> None:
    counts = {
        panel: answer(history, found("fleet", panel), 72.0)[0][0]
        for panel in ("Known", "Online", "Gone quiet", "Throttled", "Jobs under way", "Stale")
    }

    assert counts == {"Known": 2, "Online": 1, "Gone quiet": 1, "Throttled": 1, "Jobs under way": 0, "Stale": 1}


def test_a_job_is_counted_once_however_often_it_is_said(history: Connection) -> None:
    by_code: dict[str, int] = {}
    for _, code, number in answer(history, found("fleet", "Ended jobs by code"), 72.0):
        by_code[code] = by_code.get(code, 0) + number

    assert by_code == {"accepted": 2, "no_gain": 2}
    assert [row.took for row in answer(history, found("device", "Jobs"), 72.0)] == [120, 60]


def test_verdicts_stand_beside_what_is_now(history: Connection) -> None:
    (row,) = answer(history, found("fleet", "Verdicts, and the latency now"), 72.0)

    assert (row.version, row.devices, row.judged, row.now) == (7, 2, 3.0, 6.0)
    assert row._mapping["agreement, proved"] == 0.98


def test_a_group_is_a_part_of_the_fleet(history: Connection) -> None:
    query = found("fleet", "Known")

    for group, number in (("all", 2), ("lab", 2), ("no-such", 0), ("x' OR '1' = '1", 0)):
        chosen = grafana.Asked(NOW - HOUR_S, NOW, {"group": group, "model": ["har"]})
        assert history.exec_driver_sql(grafana.sql(query, chosen)).scalar_one() == number


def test_the_user_of_the_docs_may_only_read(history: Connection) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        history.exec_driver_sql("DELETE FROM ea_events")
