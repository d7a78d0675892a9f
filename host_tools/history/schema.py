"""The tables of the history in the newest version; ``migrations`` upgrades older ones.

Names begin with ``ea_``, as a database may contain tables of other programs. Every number keeps its name and unit from
the wire. ``at`` is the device's time of a message if that is plausible, otherwise the time of arrival (``received``).
Times are ``timestamptz`` in PostgreSQL, and seconds since the epoch in SQLite (``datetime(at, 'unixepoch')``).
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Float,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

VERSION = 2
"""Version of these tables; every change adds one, and a step in ``migrations``."""
METADATA = MetaData()


class Moment(TypeDecorator[float]):
    """Seconds since the epoch in Python, in the database's own type."""

    impl = Float
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of the column."""
        kind: TypeEngine[Any] = DateTime(timezone=True) if dialect.name == "postgresql" else Double()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: float | None, dialect: Dialect) -> Any:
        """Convert a value for the database."""
        if value is None or dialect.name != "postgresql":
            return value
        return datetime.fromtimestamp(value, UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> float | None:
        """Convert a value from the database."""
        if value is None or dialect.name != "postgresql":
            return None if value is None else float(value)
        return float(value.timestamp())


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, Text, nullable=False) for name in names]


def _wholes(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger) for name in names]


def _numbers(*names: str) -> list[Column[Any]]:
    return [Column(name, Double) for name in names]


def _flags(*names: str) -> list[Column[Any]]:
    return [Column(name, Boolean) for name in names]


def _moments(*names: str) -> list[Column[Any]]:
    return [Column(name, Moment) for name in names]


def _counts(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


def _said(name: str, *columns: Column[Any], number: str = "seq") -> Table:
    """A table of messages; device, number and boot id identify a message."""
    key: list[Column[Any]] = [
        Column("device", Text, primary_key=True),
        Column(number, BigInteger, primary_key=True, autoincrement=False),
        Column("boot_id", Text, primary_key=True),
    ]
    when = [Column("at", Moment, nullable=False), Column("received", Moment, nullable=False)]
    return Table(name, METADATA, *key, *when, *columns, Index(f"{name}_at", "at"), sqlite_with_rowid=False)


def _by_hour(name: str, key: list[Column[Any]], *columns: Column[Any]) -> Table:
    """A table of hours, each of which begins ``at``; see ``hours``.

    A row changes with each sample of its hour. PostgreSQL writes the new row into the same page if half of each page is
    free, so no index has to be updated.
    """
    hour = [Column("at", Moment, nullable=False), *_counts("samples")]
    primary = PrimaryKeyConstraint(*(column.name for column in key), "at")
    return Table(
        name,
        METADATA,
        *key,
        *hour,
        *columns,
        primary,
        Index(f"{name}_at", "at"),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": 50},
    )


HEALTH = _said(
    "ea_health",
    *_numbers("uptime_s", "cpu_share", "load_1m"),
    *_wholes("memory_available_bytes", "swap_used_bytes", "disk_free_bytes"),
    *_numbers("disk_written_bytes_per_day", "temperature_c", "clock_hz"),
    *_flags("throttled", "throttled_since_boot", "undervoltage", "undervoltage_since_boot", "clock_plausible"),
    *_numbers("agent_uptime_s", "agent_cpu_share"),
    *_wholes("agent_rss_bytes", "reconnects", "dropped_messages"),
)
SERVING = _said(
    "ea_serving",
    *_texts("model"),
    *_wholes("version"),
    *_numbers("interval_s"),
    *_wholes("applications", "inferences", "errors", "dropped"),
    *_numbers("p50_ms", "p95_ms", "p99_ms"),
    *_wholes("rss_bytes"),
    *_texts("runtime"),
    *_flags("stale"),
)
MODEL_STATES = _said(
    "ea_model_states",
    *_texts("model"),
    *_wholes("active_version"),
    *_moments("active_since"),
    *_wholes("previous_version", "newest_version"),
    *_texts("job"),
    *_wholes("job_version"),
    *_texts("stage", "status", "code", "message"),
    *_numbers("progress"),
    *_texts("verdict", "method", "runtime"),
    *_flags("stale"),
    *_wholes("float_bytes", "model_bytes"),
    *_numbers("size_ratio", "float_p50_ms", "float_p95_ms", "float_p99_ms", "p50_ms", "p95_ms", "p99_ms"),
    *_numbers("latency_ratio", "latency_ratio_upper", "agreement", "agreement_lower", "float_accuracy", "accuracy"),
    *_wholes("float_rss_bytes", "rss_bytes"),
)
NEWEST_STATES = Index("ea_model_states_newest", MODEL_STATES.c.device, MODEL_STATES.c.model, MODEL_STATES.c.at)
"""Finds the newest state of each model on each device without reading the others."""
REPORTS = _said(
    "ea_reports",
    *_texts("job", "model"),
    *_wholes("version"),
    *_texts("stage", "status", "code", "message", "detail", "release"),
    *_numbers("progress", "eta_s"),
    *_moments("started"),
    Column("results", Text),  # the result object as JSON, for jobs that have ended
)
EVENTS = _said(
    "ea_events",
    *_texts("kind", "severity", "code", "message", "model", "job"),
    *_wholes("version"),
    number="event_seq",
)
DEVICES = Table(
    "ea_devices",
    METADATA,
    Column("device", Text, primary_key=True),
    Column("first_seen", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
    *_flags("online"),
    Column("board", Text),
    Column("arch", Text),
    Column("agent_version", Text),
    *_wholes("memory_bytes"),
    Column("groups", Text),  # separated by commas
    sqlite_with_rowid=False,
)
HEALTH_HOURS = _by_hour(
    "ea_health_hours",
    _texts("device"),
    *_numbers("cpu_share", "load_1m"),
    *_wholes("memory_available_bytes", "disk_free_bytes"),
    *_numbers("temperature_c"),
    *_counts("throttled", "undervoltage"),
    *_wholes("agent_rss_bytes"),
)
SERVING_HOURS = _by_hour(
    "ea_serving_hours",
    [*_texts("device", "model"), Column("version", BigInteger, nullable=False)],
    Column("interval_s", Double, nullable=False),
    *_counts("inferences", "errors"),
    *_numbers("p50_ms", "p95_ms", "p99_ms"),
    *_wholes("rss_bytes"),
)
META = Table("ea_meta", METADATA, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
OF_MESSAGES = (HEALTH, SERVING, MODEL_STATES, REPORTS, EVENTS)
OF_HOURS = (HEALTH_HOURS, SERVING_HOURS)
