"""The database of a history: what is stored once, what is deleted, who may write. SQLite here, PostgreSQL outside."""

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from support.fleets import HOSTILE, Voice
from support.histories import ask, count, opened

from edge_agent.errors import ConfigError, StoreError
from edge_agent.wire.topics import Topics
from host_tools.fleet.reading import Said, read
from host_tools.history import migrations
from host_tools.history.address import address, default_db
from host_tools.history.database import Database
from host_tools.history.rows import Rows
from host_tools.history.schema import META, OF_MESSAGES, VERSION

TOPICS = Topics("t/history")
NOW = time.time()
DAY_S = 86_400.0


def rows_of(*messages: tuple[str, bytes], at: float = NOW) -> Rows:
    rows = Rows()
    for message in messages:
        said = read(TOPICS, *message)
        assert isinstance(said, Said)
        rows.add(said, at)
    return rows


def test_each_message_is_stored_once(database: Database, db: str) -> None:
    pi = Voice("pi-1", TOPICS)
    messages = [pi.status(), pi.info(), pi.model(), pi.report(), pi.health(), pi.sample(), pi.event()]

    database.write(rows_of(*messages))
    database.write(rows_of(*messages, *messages))
    database.write(rows_of(Voice("pi-1", TOPICS, boot_id="boot-2", seq=4).health()))

    assert {table.name: count(db, table.name) for table in OF_MESSAGES} == {
        "ea_health": 2, "ea_serving": 1, "ea_model_states": 1, "ea_reports": 1, "ea_events": 1,
    }  # fmt: skip
    assert ask(db, "SELECT device, online, board, groups FROM ea_devices") == [("pi-1", True, "Raspberry Pi 4", "lab")]
    values = ask(db, "SELECT temperature_c, throttled, throttled_since_boot, undervoltage_since_boot FROM ea_health")
    assert values[0] == (51.5, False, True, None)


def test_an_event_has_its_number_over_boots(database: Database, db: str) -> None:
    pi = Voice("pi-1", TOPICS)
    event = pi.event("throttled")
    new_card = Voice("pi-1", TOPICS, boot_id="boot-9").event("started")

    database.write(rows_of(event, new_card))
    database.write(rows_of(event))

    assert ask(db, "SELECT event_seq, kind FROM ea_events ORDER BY kind") == [(1, "started"), (1, "throttled")]


def test_hostile_words_are_words(database: Database, db: str) -> None:
    pi = Voice("pi-1", TOPICS)
    evil = "'); DROP TABLE ea_health; --" + HOSTILE + "\ud800"

    assert database.write(rows_of(pi.event("x" + HOSTILE, message=evil.encode("utf-8", "replace").decode()))) == 0
    assert database.write(rows_of(pi.info(board=HOSTILE, memory_bytes=2**63 - 1), pi.health(clock_hz=-1.7e308))) == 0

    ((message,),) = ask(db, "SELECT message FROM ea_events")
    assert message.startswith("'); DROP TABLE ea_health; --")
    assert message.isprintable()
    assert count(db, "ea_health") == 1


def test_a_value_that_no_column_takes_takes_nothing_else_with_it(database: Database, db: str) -> None:
    pi = Voice("pi-1", TOPICS)
    rows = rows_of(pi.health(), pi.health(), pi.event())
    rows.of["ea_health"][0]["at"] = None

    assert database.write(rows) == 1

    assert (count(db, "ea_health"), count(db, "ea_events")) == (1, 1)


def test_a_statement_that_a_limit_ends_takes_only_its_row_with_it(database: Database, db: str) -> None:
    """Of SQLite no number of characters is too many; PostgreSQL says so by an error that sounds like an outage."""
    rows = rows_of(*(voice.health() for voice in (Voice("good", TOPICS), Voice("evil", TOPICS))))
    rows.of["ea_health"][1]["boot_id"] = "".join(map(chr, range(0x4E00, 0x4E00 + 2000)))
    refused = database.write(rows)

    assert refused == (1 if db.startswith("postgresql") else 0)
    assert ask(db, "SELECT device FROM ea_health ORDER BY device DESC")[0] == ("good",)


def test_a_hostile_boot_id_is_stored_beside_the_others(database: Database, db: str) -> None:
    evil = Voice("evil", TOPICS, boot_id=HOSTILE + "".join(map(chr, range(0x4E00, 0x4E00 + 2000))))
    messages = [evil.health(), evil.model(), evil.report(), evil.event(), evil.sample()]

    assert database.write(rows_of(Voice("good", TOPICS).health(), *messages)) == 0

    assert {table.name: count(db, table.name) for table in OF_MESSAGES} == dict.fromkeys(
        ("ea_serving", "ea_model_states", "ea_reports", "ea_events"), 1
    ) | {"ea_health": 2}


def test_an_error_of_ours_is_not_said_to_be_the_databases_absence(database: Database, db: str) -> None:
    rows = rows_of(Voice("pi-1", TOPICS).health(), Voice("pi-2", TOPICS).health())
    rows.of["ea_health"][0]["temperature_c"] = object()

    assert database.write(rows) == 1
    assert ask(db, "SELECT device FROM ea_health") == [("pi-2",)]
    assert database.prune(-1e12) is False


def test_who_is_gone_is_offline_and_was_seen_when_it_was(database: Database, db: str) -> None:
    pi = Voice("pi-1", TOPICS)
    database.write(rows_of(pi.status(), pi.info(), at=NOW - DAY_S))
    before = ask(db, "SELECT last_seen FROM ea_devices")

    database.write(rows_of(pi.status(online=False), Voice("nobody", TOPICS).status(online=False)))

    assert ask(db, "SELECT device, online FROM ea_devices") == [("pi-1", False)]
    assert ask(db, "SELECT last_seen FROM ea_devices") == before


def test_what_is_too_old_is_deleted_in_slices(database: Database, db: str) -> None:
    pi = Voice("pi-1", TOPICS)
    for days in (40, 39.9, 35, 31, 29, 1):
        at = NOW - days * DAY_S
        database.write(rows_of(pi.health(at=at), pi.event(), at=at))

    steps = 0
    while database.prune(NOW - 30 * DAY_S):
        steps += 1

    assert steps == 3  # 40 and 39.9 days are one slice
    assert count(db, "ea_health") == 2
    assert count(db, "ea_devices") == 1


def test_a_second_collector_is_refused_and_then_is_not(database: Database, db: str) -> None:
    with pytest.raises(StoreError, match="another host-tools collect writes to it") as refused:
        Database(address(db), "t/history")
    assert refused.value.code == "database_unusable"

    client = database.client_id
    database.close()

    again = Database(address(db), "t/history")
    assert again.client_id == client
    again.close()


def test_tables_of_a_later_version_and_of_another_namespace_are_left_alone(database: Database, db: str) -> None:
    database.close()
    with pytest.raises(StoreError, match="it contains the history of namespace t/history"):
        Database(address(db), "other")
    with opened(db) as connection:
        connection.execute(update(META).where(META.c.key == "version").values(value=str(VERSION + 1)))
        connection.commit()

    with pytest.raises(StoreError, match=f"version {VERSION + 1}, and this program supports up to {VERSION}"):
        Database(address(db), "t/history")


def test_an_older_database_goes_on_with_all_that_it_has(
    database: Database, db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.write(rows_of(Voice("pi-1", TOPICS).health()))
    database.close()

    def widen(connection: Any) -> None:
        connection.exec_driver_sql("ALTER TABLE ea_health ADD COLUMN fan_hz double precision")

    def fail(connection: Any) -> None:
        widen(connection)
        raise OperationalError("power", {}, Exception("cut"))

    monkeypatch.setattr(migrations, "VERSION", VERSION + 1)
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, fail))
    with pytest.raises(StoreError, match="cut"):
        Database(address(db), "t/history")
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS[:-1], widen))
    Database(address(db), "t/history").close()
    Database(address(db), "t/history").close()

    assert ask(db, "SELECT temperature_c, fan_hz FROM ea_health") == [(51.5, None)]
    assert ask(db, "SELECT value FROM ea_meta WHERE key = 'version'") == [(str(VERSION + 1),)]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("mysql://root:secret@host/db", "--db mysql://…: must be sqlite:///FILE or postgresql://"),
        ("sqlite://", "--db names no file"),
        (":memory:", "--db names no file"),
        ("postgresql://h:port/x", "--db is no URL"),
    ],
)
def test_what_is_no_database_is_said_without_its_password(text: str, part: str) -> None:
    with pytest.raises(ConfigError, match="--db") as refused:
        address(text)

    assert part in refused.value.message
    assert "secret" not in refused.value.message


def test_a_path_is_a_file_of_sqlite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert default_db() == f"{tmp_path}/edge-agent/history.db"
    assert address("a b.db").database == address("sqlite:///a b.db").database == f"{tmp_path}/a b.db"
    assert address("postgres://u@h/db").drivername == "postgresql+psycopg"


def test_a_server_that_is_not_there_is_said_without_its_password() -> None:
    with pytest.raises(StoreError) as refused:
        Database(address("postgresql://me:secret@127.0.0.1:9/history"), "t/history")

    assert refused.value.code == "database_unreachable"
    assert "secret" not in refused.value.message
    assert "postgresql+psycopg://me:***@127.0.0.1:9/history" in refused.value.message


def test_a_password_behind_the_question_mark_is_not_said() -> None:
    with pytest.raises(StoreError) as refused:
        Database(address("postgresql://me@127.0.0.1:9/history?password=secret&sslpassword=secret"), "t/history")

    assert "secret" not in refused.value.message


def test_one_file_has_one_collector_by_whichever_name(tmp_path: Path) -> None:
    database = Database(address(str(tmp_path / "history.db")), "t/history")
    (tmp_path / "other.db").symlink_to(tmp_path / "history.db")

    with pytest.raises(StoreError, match="another host-tools collect writes to it"):
        Database(address(str(tmp_path / "other.db")), "t/history")
    database.close()


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="see that this user may write there"):
        Database(address(str(tmp_path / "file" / "history.db")), "t/history")
