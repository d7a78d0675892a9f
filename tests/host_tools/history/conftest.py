"""A history's database of a test's own: in SQLite, and outside of it in PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from host_tools.history.address import address
from host_tools.history.database import Database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.external)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Its address; it has no tables yet."""
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    make: Callable[[], str] = request.getfixturevalue("new_database")
    return make()


@pytest.fixture
def database(db: str) -> Iterator[Database]:
    """Open, of the namespace ``t/history``."""
    found = Database(address(db), "t/history")
    yield found
    found.close()
