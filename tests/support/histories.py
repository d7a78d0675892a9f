"""Looks into a history's database, as a dashboard does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, text

from host_tools.history.address import address


@contextmanager
def opened(db: str) -> Iterator[Connection]:
    engine = create_engine(address(db))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def ask(db: str, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with opened(db) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def count(db: str, table: str) -> int:
    """The number of rows of a table; 0 where there is none yet."""
    with opened(db) as connection:
        if not connection.dialect.has_table(connection, table):
            return 0
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608  # a test's
