"""How a database is connected to, and what its errors mean.

Nothing may hang without end: a server that lost its power sends no word, and a table may be locked by a forgotten psql.
"""

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError, StatementError

_CONNECT_S = 5
_BUSY_S = 10
_STATEMENT_S = 30
_TO_POSTGRESQL = {
    "connect_timeout": _CONNECT_S,
    "application_name": "host-tools collect",
    "client_encoding": "utf8",  # where the database has none, psycopg would give bytes
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms
}
_OF_VALUES = ("22", "23", "54")
"""Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded."""


def engine_of(url: URL) -> Engine:
    """A pool of one connection to PostgreSQL, or to a file of SQLite."""
    if url.get_backend_name() == "postgresql":
        engine = create_engine(url, connect_args=_TO_POSTGRESQL, pool_size=1, max_overflow=0)
        event.listen(engine, "connect", _limit)
        return engine
    engine = create_engine(url, connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def is_of_a_value(error: SQLAlchemyError) -> bool:
    """Whether an error is about what was to be written, so that it comes again however often that is tried."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, StatementError)  # a value that did not become a parameter
    if error.connection_invalidated:
        return False
    state = getattr(error.orig, "sqlstate", None)
    return state[:2] in _OF_VALUES if state else isinstance(error, DataError | IntegrityError | ProgrammingError)


def _limit(connection: Any, _record: Any) -> None:
    """By statements: a pooler before the server refuses the same as options of the connection."""
    for name, seconds in (("statement_timeout", _STATEMENT_S), ("lock_timeout", _BUSY_S)):
        connection.execute(f"SET {name} = {seconds * 1000}")
    connection.commit()


def _prepare(connection: Any, _record: Any) -> None:
    """Readers do not wait for us nor we for them; what is committed survives a power cut; tables change as one."""
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
