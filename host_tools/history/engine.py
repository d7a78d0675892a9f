"""The connection to a database, and the classification of its errors.

Nothing may hang for ever: a server without power sends no message, and a forgotten psql may have locked a table.
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
    "client_encoding": "utf8",  # with a database that has none, psycopg would return bytes
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms
}
_OF_VALUES = ("22", "23", "54")
"""Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded."""


def engine_of(url: URL) -> Engine:
    """A pool of one connection to PostgreSQL, or to an SQLite file."""
    if url.get_backend_name() == "postgresql":
        engine = create_engine(url, connect_args=_TO_POSTGRESQL, pool_size=1, max_overflow=0)
        event.listen(engine, "connect", _limit)
        return engine
    engine = create_engine(url, connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def is_of_a_value(error: SQLAlchemyError) -> bool:
    """Whether an error is caused by a value, so that a retry fails again."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, StatementError)  # the value could not be converted into a parameter
    if error.connection_invalidated:
        return False
    state = getattr(error.orig, "sqlstate", None)
    return state[:2] in _OF_VALUES if state else isinstance(error, DataError | IntegrityError | ProgrammingError)


def _limit(connection: Any, _record: Any) -> None:
    """Set the limits by statements, as a pooler before the server refuses them as options of the connection."""
    for name, seconds in (("statement_timeout", _STATEMENT_S), ("lock_timeout", _BUSY_S)):
        connection.execute(f"SET {name} = {seconds * 1000}")
    connection.commit()


def _prepare(connection: Any, _record: Any) -> None:
    """Readers and writers do not block each other; commits survive a power cut; tables change in one transaction."""
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
