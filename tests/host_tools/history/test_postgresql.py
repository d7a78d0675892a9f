"""What only a PostgreSQL server does to its collector: locks, and databases of other encodings."""

from collections.abc import Iterator

import pytest
from support.fleets import Voice
from support.histories import ask, count, opened
from support.postgresql import PostgreSQL, postgresql

from edge_agent.errors import StoreError
from edge_agent.wire.topics import Topics
from host_tools.fleet.reading import Said, read
from host_tools.history import database as databases
from host_tools.history import engine
from host_tools.history.address import address
from host_tools.history.database import Database
from host_tools.history.rows import Rows

pytestmark = pytest.mark.external
TOPICS = Topics("t/history")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as running:
        yield running


def rows_of(*messages: tuple[str, bytes]) -> Rows:
    rows = Rows()
    for message in messages:
        said = read(TOPICS, *message)
        assert isinstance(said, Said)
        rows.add(said, 1_800_000_000.0)
    return rows


def test_a_table_that_somebody_locked_is_not_waited_for_without_end(
    server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_BUSY_S", 0.2)
    database = Database(address(server.url), "t/history")
    rows = rows_of(Voice("pi-1", TOPICS).health())
    with opened(server.url) as other:
        other.exec_driver_sql("LOCK TABLE ea_health IN ACCESS EXCLUSIVE MODE")
        for _ in range(2):
            with pytest.raises(StoreError, match="lock timeout") as refused:
                database.write(rows)
            assert refused.value.code == "database_unreachable"

    assert database.write(rows) == 0
    assert count(server.url, "ea_health") == 1
    database.close()


def test_whose_place_another_collector_has_taken_ends(server: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Database(address(server.url), "t/history")
    first._drop()
    second = Database(address(server.url), "t/history")
    with pytest.raises(StoreError, match="another host-tools collect writes to it") as refused:
        first.write(Rows())
    assert refused.value.code == "database_unreachable", "as its own lock of before would be"

    monkeypatch.setattr(databases, "_UNUSABLE_S", 0.0)
    with pytest.raises(StoreError, match="another host-tools collect writes to it") as refused:
        first.write(Rows())
    assert refused.value.code == "database_unusable"
    for database in (first, second):
        database.close()


def test_every_statement_has_its_limit(server: PostgreSQL) -> None:
    database = Database(address(server.url), "t/history")
    database.prune(1.0)
    assert database._connection is not None
    limits = [
        database._connection.exec_driver_sql(f"SHOW {name}").scalar_one()
        for name in ("statement_timeout", "lock_timeout", "client_encoding", "tcp_user_timeout")
    ]
    database.close()

    assert limits == ["30s", "10s", "UTF8", "0"]  # the last is the server's own; libpq has set the client's


def make(server: PostgreSQL, encoding: str) -> str:
    name = f"of_{encoding.lower()}"
    with opened(server.url) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
    return server.url.rpartition("/")[0] + "/" + name


def test_a_database_without_an_encoding_takes_every_character(server: PostgreSQL) -> None:
    db = make(server, "SQL_ASCII")
    database = Database(address(db), "t/history")

    assert database.write(rows_of(Voice("pi-1", TOPICS).event(message="läuft … → 漢"))) == 0

    database.close()
    stored = ask(f"{db}?client_encoding=utf8", "SELECT message FROM ea_events")
    assert stored == [("läuft … → 漢",)]


def test_one_that_lacks_characters_is_refused_at_once(server: PostgreSQL) -> None:
    with pytest.raises(StoreError, match="encoding is LATIN1, which lacks characters; give another --db") as refused:
        Database(address(make(server, "LATIN1")), "t/history")

    assert refused.value.code == "database_unusable"
