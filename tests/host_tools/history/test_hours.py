"""Samples by the hour: as they come, and of a database that was made before there were hours."""

import random
import time
from collections.abc import Iterator

from sqlalchemy import select, text
from support.fleets import Voice
from support.histories import ask, count, opened

from edge_agent.wire.topics import Topics
from host_tools.fleet.reading import Said, read
from host_tools.history.address import address
from host_tools.history.database import Database
from host_tools.history.rows import Rows
from host_tools.history.schema import HEALTH_HOURS, NEWEST_STATES, OF_HOURS

TOPICS = Topics("t/history")
RANDOM = random.Random(7)  # noqa: S311  # a test's
HOUR = time.time() // 3600 * 3600 - 48 * 3600


def rows_of(*messages: tuple[str, bytes], at: float) -> Rows:
    rows = Rows()
    for message in messages:
        said = read(TOPICS, *message)
        assert isinstance(said, Said)
        rows.add(said, at)
    return rows


def said(pi: Voice, at: float, **fields: object) -> Rows:
    """A sample of the machine's health and one of serving, at a moment."""
    serving = {key: fields.pop(key) for key in ("inferences", "errors", "p50_ms", "p95_ms", "version") if key in fields}
    return rows_of(pi.health(at=at, **fields), pi.sample(at=at, **serving), at=at)


def hours_of(db: str) -> list[list[tuple[object, ...]]]:
    with opened(db) as connection:
        return [
            [
                tuple(round(value, 6) if isinstance(value, float) else value for value in row)
                for row in connection.execute(table.select().order_by(*table.primary_key))
            ]
            for table in OF_HOURS
        ]


def test_an_hour_has_the_worst_of_its_samples(database: Database, db: str) -> None:
    pi = Voice("pi-1", TOPICS)
    first = said(pi, HOUR + 10, temperature_c=50.0, disk_free_bytes=9, throttled=None, inferences=100, p50_ms=2.0)
    database.write(first)
    database.write(first)  # once more, as after a connection that broke
    database.write(
        said(pi, HOUR + 3599, temperature_c=61.5, disk_free_bytes=None, throttled=True, inferences=300, p50_ms=4.0)
    )
    database.write(said(pi, HOUR + 70, temperature_c=None, disk_free_bytes=8, inferences=0, p50_ms=None, p95_ms=None))
    database.write(said(pi, HOUR + 3600, temperature_c=20.0, version=8))

    with opened(db) as connection:
        columns = [HEALTH_HOURS.c[name] for name in ("at", "samples", "temperature_c", "disk_free_bytes", "throttled")]
        found = [tuple(row) for row in connection.execute(select(*columns).order_by(HEALTH_HOURS.c.at))]
    assert found == [
        (HOUR, 3, 61.5, 8, 1),
        (HOUR + 3600, 1, 20.0, 9_000_000_000, 0),
    ]
    assert ask(
        db, "SELECT version, samples, inferences, errors, p50_ms, p95_ms FROM ea_serving_hours ORDER BY version"
    ) == [
        (7, 3, 400, 9, 3.5, 4.2),
        (8, 1, 1200, 3, 3.1, 4.2),
    ]


def samples() -> Iterator[Rows]:
    """Of some hours, with holes, out of order, one of them twice."""
    for name in ("pi-1", "pi-2"):
        pi = Voice(name, TOPICS)
        for _ in range(60):
            maybe = RANDOM.choice
            yield said(
                pi, HOUR + RANDOM.uniform(0, 5 * 3600), temperature_c=maybe([None, RANDOM.uniform(20, 90)]),
                disk_free_bytes=maybe([None, 5, 6]), throttled=maybe([None, True, False]),
                inferences=maybe([0, 10, 200]), p50_ms=RANDOM.uniform(1, 9), version=maybe([7, 8]),
            )  # fmt: skip


def test_an_older_database_gets_the_hours_of_what_it_has(database: Database, db: str) -> None:
    for rows in samples():
        database.write(rows)
        database.write(rows)
    known = hours_of(db)
    database.close()
    with opened(db) as connection:  # as version 1 made it
        for table in OF_HOURS:
            table.drop(connection)
            if connection.dialect.name == "sqlite":
                connection.execute(text(f"DROP TRIGGER {table.name}_kept"))
        NEWEST_STATES.drop(connection)
        connection.execute(text("UPDATE ea_meta SET value = '1' WHERE key = 'version'"))
        connection.commit()

    again = Database(address(db), "t/history")

    assert hours_of(db) == known
    assert len(known[0]) == 10
    again.write(said(Voice("pi-9", TOPICS), HOUR))
    assert count(db, "ea_health_hours") == 11
    again.close()


def test_hours_are_deleted_with_their_samples(database: Database, db: str) -> None:
    for days in (40, 1):
        database.write(said(Voice(f"of-{days}", TOPICS), HOUR - days * 86_400))

    while database.prune(HOUR - 30 * 86_400):
        pass

    assert ask(db, "SELECT device FROM ea_serving_hours") == ask(db, "SELECT device FROM ea_health") == [("of-1",)]
