"""Fixtures of tests of the host's tools: a PostgreSQL for all of them, and a database of its own for each."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from support.histories import opened
from support.postgresql import postgresql

NAMES = itertools.count()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A server, to be asked for databases of other names."""
    with postgresql() as running:
        yield running.url


@pytest.fixture
def new_database(postgresql_url: str) -> Callable[[], str]:
    """Makes an empty database in it, and gives its URL."""

    def make() -> str:
        name = f"history_{next(NAMES)}"
        with opened(postgresql_url) as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(f"CREATE DATABASE {name}")
        return postgresql_url.rpartition("/")[0] + "/" + name

    return make
