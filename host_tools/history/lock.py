"""Ensures one collector per database: by a lock file for SQLite, by an advisory lock in PostgreSQL."""

import fcntl
import os
from pathlib import Path

from sqlalchemy import Connection, text

from edge_agent.errors import StoreError

_KEY = 0x65615F763101
"""The key of this program among PostgreSQL's advisory locks."""


class FileLock:
    """The lock file of an SQLite database, held until the process ends or :meth:`release`.

    Raises:
        StoreError: ``database_unusable``: another collector holds it.
    """

    def __init__(self, database: Path) -> None:
        database = database.resolve()  # the same file by any link
        self._file = os.open(database.with_name(database.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise taken() from None

    def release(self) -> None:
        """Release the lock."""
        os.close(self._file)


def lock_session(connection: Connection) -> None:
    """Take the lock of a PostgreSQL database, which lasts as long as ``connection``.

    Raises:
        StoreError: ``database_unusable``: another collector holds it.
    """
    if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _KEY}).scalar_one():
        raise taken()


def taken() -> StoreError:
    """The error when another collector holds the lock."""
    return StoreError(
        "database_unusable", "another host-tools collect writes to it; stop that one, or give another --db"
    )
