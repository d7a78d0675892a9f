"""The database of a history: opened by one collector, written in batches, each in a transaction.

Existing rows are skipped, so a batch may be written again after a broken connection.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Insert, bindparam, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from edge_agent.errors import StoreError
from edge_agent.printable import printable
from edge_agent.strict import why
from host_tools.history.engine import engine_of, is_of_a_value
from host_tools.history.hours import BY_HOUR, lists_of, storing
from host_tools.history.lock import FileLock, lock_session
from host_tools.history.migrations import upgrade
from host_tools.history.rows import Rows
from host_tools.history.schema import DEVICES, OF_HOURS, OF_MESSAGES

_SLICE_S = 6 * 3600.0
"""Length of the span that is deleted at once."""
_PRUNE_WITHIN_S = 600
_UNUSABLE_S = 60.0
_ENCODINGS = ("UTF8", "SQL_ASCII")
"""PostgreSQL encodings that keep every character; the second keeps bytes, and the collector writes UTF-8."""
_GONE = update(DEVICES).where(DEVICES.c.device == bindparam("which")).values(online=False)


class Database:
    """Open until :meth:`close`; used by one thread.

    Args:
        url: see :func:`host_tools.history.address.address`.
        namespace: the namespace of the history.

    Attributes:
        name: the address without a password.
        client_id: the collector's client id at the broker.

    Raises:
        StoreError: ``database_unreachable``: a later call may succeed, from every method; ``database_unusable``: it
            will not.
    """

    def __init__(self, url: URL, namespace: str) -> None:
        shown = url.set(query={})  # the query may contain a password, too
        self.name = printable(shown.render_as_string(hide_password=True), 200)
        self._namespace = namespace
        self._engine = engine_of(url)
        postgres = self._engine.dialect.name == "postgresql"
        self._insert = postgresql.insert if postgres else sqlite.insert
        self._statements = {table.name: self._insert(table).on_conflict_do_nothing() for table in OF_MESSAGES}
        self._with_hours = {name: storing(hours) for name, hours in BY_HOUR.items()} if postgres else {}
        self._connection: Connection | None = None
        self._lock: FileLock | None = None
        self._unusable_since: float | None = None
        try:
            if self._engine.dialect.name == "sqlite":
                self._lock = _lock_file(Path(url.database or ""), self.name)
            self._connection, self.client_id = self._open()
        except BaseException:
            self.close()
            raise

    def write(self, rows: Rows) -> int:
        """Store ``rows``; returns the number of rows that the database rejects. On an error none is stored."""
        try:
            self._write(self._connected(), rows)
        except SQLAlchemyError as error:
            if not is_of_a_value(error):
                raise self._failed(error) from None
        except BaseException:  # such as Ctrl-C, which leaves a statement in an unknown state
            self._drop()
            raise
        else:
            return 0
        return self._write_singly(rows)

    def prune(self, before: float) -> bool:
        """Delete some of the rows from before a time; False if there were none."""
        found, before = False, max(before, 0.0)
        try:
            connection = self._connected()
            for table in (*OF_MESSAGES, *OF_HOURS):
                with connection.begin():
                    self._allow(connection, _PRUNE_WITHIN_S)
                    first = connection.execute(select(func.min(table.c.at))).scalar_one()
                    if first is not None and first < before:
                        connection.execute(delete(table).where(table.c.at < min(before, first + _SLICE_S)))
                        found = True
            with connection.begin():
                connection.execute(delete(DEVICES).where(DEVICES.c.last_seen < before))
        except SQLAlchemyError as error:
            raise self._failed(error) from None
        return found

    def close(self) -> None:
        """Close the connection, which also releases the lock."""
        self._drop()
        self._engine.dispose()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _write(self, connection: Connection, rows: Rows) -> None:
        with connection.begin():
            for name, some in rows.of.items():
                if name in self._with_hours:
                    connection.execute(self._with_hours[name], lists_of(BY_HOUR[name], some))
                else:
                    connection.execute(self._statements[name], some)
            if rows.devices:
                connection.execute(self._upsert, list(rows.devices.values()))
            if rows.gone:
                connection.execute(_GONE, [{"which": device} for device in rows.gone])

    def _write_singly(self, rows: Rows) -> int:
        """Store rows one by one, so that a rejected value affects no other row; returns the number of rejected rows."""
        refused = 0
        ones = [Rows(of={name: [row]}) for name, some in rows.of.items() for row in some]
        ones += [Rows(devices={name: row}) for name, row in rows.devices.items()]
        for one in (*ones, Rows(gone=rows.gone)):
            try:
                self._write(self._connected(), one)
            except SQLAlchemyError as error:
                if not is_of_a_value(error):
                    raise self._failed(error) from None
                refused += 1
        return refused

    def _allow(self, connection: Connection, seconds: float) -> None:
        """Set the time limit for the statements of this transaction."""
        if self._engine.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = {seconds * 1000:.0f}"))

    @property
    def _upsert(self) -> Insert:
        new = self._insert(DEVICES)
        latest: dict[str, Any] = {
            "last_seen": func.max(new.excluded.last_seen, DEVICES.c.last_seen),
            "first_seen": func.min(new.excluded.first_seen, DEVICES.c.first_seen),
        }
        if self._engine.dialect.name == "postgresql":
            latest = {
                "last_seen": func.greatest(new.excluded.last_seen, DEVICES.c.last_seen),
                "first_seen": func.least(new.excluded.first_seen, DEVICES.c.first_seen),
            }
        for name in ("online", "board", "arch", "agent_version", "memory_bytes", "groups"):
            latest[name] = func.coalesce(new.excluded[name], DEVICES.c[name])
        return new.on_conflict_do_update(index_elements=["device"], set_=latest)

    def _connected(self) -> Connection:
        if self._connection is None:
            try:
                self._connection, self.client_id = self._open()
            except StoreError as error:
                # A server holds the lock of our former connection until it notices the end of that. If another
                # collector holds it, this one must stop: with one client id at the broker, each would end the other's
                # connection.
                now = time.monotonic()
                self._unusable_since = self._unusable_since or now
                if error.code == "database_unusable" and now - self._unusable_since >= _UNUSABLE_S:
                    raise
                raise StoreError("database_unreachable", error.message) from None
        self._unusable_since = None
        return self._connection

    def _open(self) -> tuple[Connection, str]:
        try:
            connection = self._engine.connect()
            try:
                if self._engine.dialect.name == "postgresql":
                    with connection.begin():
                        lock_session(connection)
                        _check_encoding(connection)
                with connection.begin():
                    self._allow(connection, 0)  # no limit, as tables may have to be made
                    return connection, upgrade(connection, self._namespace)
            except BaseException:
                _end(connection)
                raise
        except SQLAlchemyError as error:
            raise self._failed(error) from None
        except StoreError as error:
            raise StoreError(error.code, f"{self.name}: {error.message}") from None

    def _failed(self, error: SQLAlchemyError) -> StoreError:
        """The error to raise; the next call connects again."""
        self._drop()
        cause = getattr(error, "orig", None) if isinstance(error, DBAPIError) else None
        words = printable(" ".join(why(cause or error).split()), 300)
        return StoreError("database_unreachable", f"{self.name}: {words}; see that it runs and lets this user write")

    def _drop(self) -> None:
        if self._connection is not None:
            _end(self._connection)
            self._connection = None


def _end(connection: Connection) -> None:
    with suppress(SQLAlchemyError):
        connection.invalidate()
        connection.close()


def _check_encoding(connection: Connection) -> None:
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding not in _ENCODINGS:
        lacks = f"its encoding is {printable(str(encoding), 40)}, which lacks characters"
        words = f"{lacks}; give another --db, of createdb -T template0 -E UTF8"
        raise StoreError("database_unusable", words)


def _lock_file(path: Path, name: str) -> FileLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)
    except OSError as error:
        raise StoreError("database_unreachable", f"{name}: {why(error)}; see that this user may write there") from None
