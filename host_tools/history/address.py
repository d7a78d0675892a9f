"""The database address from ``--db``. Opens nothing."""

import os
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from edge_agent.errors import ConfigError

_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")


def default_db() -> str:
    """The default SQLite file (``$XDG_STATE_HOME`` is honoured)."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return str(Path(base).expanduser() / "edge-agent" / "history.db")


def address(text: str) -> URL:
    """The database's address; a path is an SQLite file.

    Raises:
        ConfigError: ``usage``: it is neither SQLite nor PostgreSQL.
    """
    if "://" not in text:
        return _file(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError("usage", "--db is no URL; give sqlite:///FILE or postgresql://USER@HOST/DATABASE") from None
    if url.drivername in _POSTGRESQL:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite":
        return _file(unquote(url.database or ""))
    kind = url.drivername[:40]
    raise ConfigError("usage", f"--db {kind}://…: must be sqlite:///FILE or postgresql://USER@HOST/DATABASE")


def _file(path: str) -> URL:
    if not path or path == ":memory:":
        raise ConfigError("usage", "--db names no file; give sqlite:///FILE")
    return URL.create("sqlite", database=str(Path(path).expanduser().absolute()))
