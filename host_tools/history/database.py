"""The database of a history: opened by one collector, written to in batches, each a transaction.

What is there already is passed over, so a batch may be written again after a connection broke on its way.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Insert, create_engine, delete, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from edge_agent.errors import StoreError
from edge_agent.printable import printable
from edge_agent.strict import why
from host_tools.history.hours import BY_HOUR, lists_of, storing
from host_tools.history.lock import FileLock, lock_session
from host_tools.history.migrations import upgrade
from host_tools.history.rows import Rows
from host_tools.history.schema import DEVICES, OF_HOURS, OF_MESSAGES

_SLICE_S = 6 * 3600.0
"""Of what is too old, so much is deleted at once."""
_CONNECT_S = 5
_BAD_VALUE = (DataError, IntegrityError)
_BUSY_S = 10


class Database:
    """Open until :meth:`close`; used by one thread.

    Args:
        url: see :func:`host_tools.history.address.address`.
        namespace: whose history it is.

    Attributes:
        name: the address without a password.
        client_id: by which its collector connects to the broker.

    Raises:
        StoreError: ``database_unreachable``: not now, from every method; ``database_unusable``: not ever like this.
    """

    def __init__(self, url: URL, namespace: str) -> None:
        self.name = printable(url.render_as_string(hide_password=True), 200)
        self._namespace = namespace
        self._engine = _engine(url)
        postgres = self._engine.dialect.name == "postgresql"
        self._insert = postgresql.insert if postgres else sqlite.insert
        self._statements = {table.name: self._insert(table).on_conflict_do_nothing() for table in OF_MESSAGES}
        self._with_hours = {name: storing(hours) for name, hours in BY_HOUR.items()} if postgres else {}
        self._connection: Connection | None = None
        self._lock: FileLock | None = None
        try:
            if self._engine.dialect.name == "sqlite":
                self._lock = _lock_file(Path(url.database or ""), self.name)
            self._connection, self.client_id = self._open()
        except BaseException:
            self.close()
            raise

    def write(self, rows: Rows) -> int:
        """Store ``rows``; returns the number of those that the database takes in no way. With an error, none is."""
        try:
            self._write(self._connected(), rows)
        except _BAD_VALUE:
            return self._write_singly(rows)
        except SQLAlchemyError as error:
            raise self._failed(error) from None
        return 0

    def prune(self, before: float) -> bool:
        """Delete some of what was said before a moment; False: there was none."""
        found = False
        try:
            connection = self._connected()
            for table in (*OF_MESSAGES, *OF_HOURS):
                with connection.begin():
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
        """End the connection, and with it the lock."""
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

    def _write_singly(self, rows: Rows) -> int:
        """What is read is of a kind that fits every column; should a value not be, it takes nothing else with it."""
        refused = 0
        ones = [Rows(of={name: [row]}) for name, some in rows.of.items() for row in some]
        for one in (*ones, *(Rows(devices={name: row}) for name, row in rows.devices.items())):
            try:
                self._write(self._connected(), one)
            except _BAD_VALUE:
                refused += 1
            except SQLAlchemyError as error:
                raise self._failed(error) from None
        return refused

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
            except StoreError as error:  # our own lock of before, too, which a server holds until it knows we left
                raise StoreError("database_unreachable", error.message) from None
        return self._connection

    def _open(self) -> tuple[Connection, str]:
        try:
            connection = self._engine.connect()
            try:
                if self._engine.dialect.name == "postgresql":
                    with connection.begin():
                        lock_session(connection)
                with connection.begin():
                    return connection, upgrade(connection, self._namespace)
            except BaseException:
                _end(connection)
                raise
        except SQLAlchemyError as error:
            raise self._failed(error) from None
        except StoreError as error:
            raise StoreError(error.code, f"{self.name}: {error.message}") from None

    def _failed(self, error: SQLAlchemyError) -> StoreError:
        """What to say of an error; the next call connects anew."""
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


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        about = {"connect_timeout": _CONNECT_S, "application_name": "host-tools collect"}
        return create_engine(url, connect_args=about, pool_size=1, max_overflow=0)
    engine = create_engine(url, connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    """Readers do not wait for us nor we for them; what is committed survives a power cut; tables change as one."""
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _lock_file(path: Path, name: str) -> FileLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)
    except OSError as error:
        raise StoreError("database_unreachable", f"{name}: {why(error)}; see that this user may write there") from None
