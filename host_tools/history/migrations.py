"""Migrates the tables of a database to this version, in one transaction; the caller holds the collector's lock."""

import secrets
from collections.abc import Callable

from sqlalchemy import Connection, insert, inspect, select, update

from edge_agent.errors import StoreError
from host_tools.history.hours import BY_HOUR, begin
from host_tools.history.schema import DEVICES, META, METADATA, NEWEST_STATES, OF_HOURS, OF_MESSAGES, VERSION

Step = Callable[[Connection], None]


def _first(connection: Connection) -> None:
    METADATA.create_all(connection, [*OF_MESSAGES, DEVICES, META])


def _dashboards(connection: Connection) -> None:
    """Tables and indexes for panels over weeks and over many devices."""
    NEWEST_STATES.create(connection, checkfirst=True)
    METADATA.create_all(connection, OF_HOURS)
    for hours in BY_HOUR.values():
        begin(connection, hours)


STEPS: tuple[Step, ...] = (_first, _dashboards)
"""Step ``n`` migrates to version ``n`` from the previous one. A released step never changes: when tables change, the
first step keeps the tables of its time, and a new step is added."""


def upgrade(connection: Connection, namespace: str) -> str:
    """Migrate the tables to this version; returns the client id of this database's collector at the broker.

    Raises:
        StoreError: ``database_unusable``: a later version made the tables, or they belong to another namespace.
    """
    meta: dict[str, str] = {}
    if inspect(connection).has_table(META.name):
        meta = {row.key: row.value for row in connection.execute(select(META))}
    version = int(meta.get("version", "0"))
    if version > VERSION:
        text = f"its tables have version {version}, and this program supports up to {VERSION}; upgrade this program"
        raise StoreError("database_unusable", text)
    if meta.get("namespace", namespace) != namespace:
        text = f"it contains the history of namespace {meta['namespace']}; give another --db for {namespace}"
        raise StoreError("database_unusable", text)
    for step in STEPS[version:]:
        step(connection)
    if not meta:
        meta = {"version": str(VERSION), "namespace": namespace, "client": f"collect-{secrets.token_hex(6)}"}
        connection.execute(insert(META), [{"key": key, "value": value} for key, value in meta.items()])
    elif version < VERSION:
        connection.execute(update(META).where(META.c.key == "version").values(value=str(VERSION)))
    return meta["client"]
