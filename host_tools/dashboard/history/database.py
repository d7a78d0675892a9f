"""Time series from the database of ``host-tools collect``, also from before the dashboard's start. Read only.

If the database does not answer, a page does not fail: it shows what this dashboard itself has received.
"""

import threading
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar, get_args

from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Engine,
    Select,
    Table,
    cast,
    create_engine,
    extract,
    func,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from edge_agent.errors import StoreError
from edge_agent.printable import printable
from edge_agent.strict import why
from edge_agent.wire.telemetry import Event, Severity
from edge_agent.wire.timestamps import rfc3339
from host_tools.dashboard.history.points import MOST_EVENTS, MOST_POINTS, HealthPoint, History, LatencyPoint
from host_tools.fleet.names import with_names
from host_tools.history.schema import EVENTS, HEALTH, META, SERVING

_CONNECT_S = 5
_AGAIN_S = 10.0
"""Pause after a failure of the database, as pages ask often."""
_KNOWN_S = 20.0
_MOST_KNOWN = 10_000
"""Cached rows: some megabytes, or ten times as much if every event has the maximum length."""
_MOST_EVENTS_OF_ONE = 200
"""Events of one device, of which a page shows fifty."""
_ALIKE_S = 60.0
"""Spans that differ by less share one result: a page asks every second, each time from a new start."""
_Key: TypeAlias = tuple[str, str, str, int]
"""Table, device, model, and length of the span."""
_EVENT = ("device", "event_seq", "boot_id", "kind", "code", "message", "model", "version", "job")
P = TypeVar("P", HealthPoint, LatencyPoint)


class DatabaseHistory:
    """Time series of a database; where it has none or does not answer, those of ``beside``.

    Args:
        url: see :func:`host_tools.history.address.address`.
        namespace: the namespace that the history must belong to.
        beside: the history that this dashboard itself has received.
        say: receives a sentence when the database stops answering.

    Raises:
        StoreError: ``database_unreachable``, or ``database_unusable``: no history, or one of another namespace.
    """

    def __init__(self, url: URL, namespace: str, beside: History, say: Callable[[str], None]) -> None:
        self._name = printable(url.render_as_string(hide_password=True), 200)
        self._engine = _engine(url)
        self._beside = beside
        self._say = say
        self._lock = threading.Lock()
        self._retry_at = float("-inf")
        self._known: dict[_Key, tuple[float, Sequence[Any]]] = {}
        try:
            self._check(namespace)
        except StoreError:
            self.close()
            raise

    def health(self, device: str, since: float) -> list[HealthPoint]:
        """A device's health since a time, the oldest sample first."""
        found = self._series(HEALTH, HealthPoint, since, device)
        return _joined(found, self._beside.health(device, since))

    def latency(self, device: str, model: str, since: float) -> list[LatencyPoint]:
        """A model's latency on a device since a time, the oldest sample first."""
        mine = SERVING.c.model == model, SERVING.c.inferences > 0
        found = self._series(SERVING, LatencyPoint, since, device, *mine, name=model)
        return _joined(found, self._beside.latency(device, model, since))

    def events(self, device: str = "") -> list[Event]:
        """The newest events of a device or of all, the newest first."""
        asked = select(EVENTS).order_by(EVENTS.c.at.desc()).limit(_MOST_EVENTS_OF_ONE if device else MOST_EVENTS)
        stored = self._read((EVENTS.name, device, "", 0), asked.where(EVENTS.c.device == device) if device else asked)
        heard = self._beside.events(device)
        known = {(one.device, one.boot_id, one.event_seq) for one in heard}
        before = [_event(row) for row in stored if (row.device, row.boot_id, row.event_seq) not in known]
        return sorted((*heard, *before), key=lambda one: one.ts, reverse=True)[:MOST_EVENTS]

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _check(self, namespace: str) -> None:
        try:
            with self._engine.connect() as connection:
                meta = {row.key: row.value for row in connection.execute(select(META))}
        except SQLAlchemyError as error:
            text = f"{self._trouble(error)}; check --db, the database of host-tools collect"
            raise StoreError("database_unreachable", text) from None
        if (holds := meta.get("namespace")) != namespace:
            text = f"{self._name}: it contains the history of namespace {holds}; give another --db for {namespace}"
            raise StoreError("database_unusable", text)

    def _series(
        self, table: Table, kind: type[P], since: float, device: str, *mine: ColumnElement[bool], name: str = ""
    ) -> list[P]:
        """About as many points as a page shows at most, each the mean over a part of the span."""
        span = time.time() - since
        part = cast(self._seconds(table) / max(1.0, span / MOST_POINTS), BigInteger)
        means = [func.avg(table.c[name]) for name in kind._fields[1:]]
        asked = select(func.max(table.c.at), *means).where(table.c.device == device, *mine, table.c.at >= since)
        newest = asked.group_by(part).order_by(part.desc()).limit(MOST_POINTS + 1)
        rows = self._read((table.name, device, name, round(span / _ALIKE_S)), newest)
        points = [kind(row[0], *map(_number, row[1:])) for row in reversed(rows)]
        return [point for point in points if point.at >= since]

    def _seconds(self, table: Table) -> ColumnElement[Any]:
        """The time of a row, in seconds since the epoch."""
        return extract("epoch", table.c.at) if self._engine.dialect.name == "postgresql" else table.c.at

    def _read(self, key: _Key, asked: Select[Any]) -> Sequence[Any]:
        """The rows, at most :data:`_KNOWN_S` old, as a page asks again every second."""
        now = time.monotonic()
        with self._lock:
            read_at, rows = self._known.get(key, (float("-inf"), ()))
            if now - read_at < _KNOWN_S or now < self._retry_at:
                return rows
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(asked).all()
        except SQLAlchemyError as error:
            self._failed(error)
            return rows
        with self._lock:
            self._known.pop(key, None)
            left = _MOST_KNOWN - len(rows)
            while self._known and sum(len(kept) for _, kept in self._known.values()) > left:
                del self._known[next(iter(self._known))]  # the least recently read one
            self._known[key] = now, rows
        return rows

    def _failed(self, error: SQLAlchemyError) -> None:
        with self._lock:
            self._retry_at = time.monotonic() + _AGAIN_S
        self._say(f"{self._trouble(error)}; charts begin at the start of this dashboard")

    def _trouble(self, error: SQLAlchemyError) -> str:
        cause = getattr(error, "orig", None) or error
        return f"{self._name}: {printable(' '.join(why(cause).split()), 300)}"


def _number(mean: float | Decimal | None) -> float | None:
    """A mean as a float; PostgreSQL returns a ``Decimal`` for whole numbers."""
    return None if mean is None else float(mean)


def _joined(stored: list[P], heard: list[P]) -> list[P]:
    """The stored points, then the later received ones."""
    last = stored[-1].at if stored else 0.0
    return stored + [point for point in heard if point.at > last]


def _event(row: Any) -> Event:
    about = {name: getattr(row, name) for name in _EVENT}
    severity: Severity = row.severity if row.severity in get_args(Severity) else "info"
    return with_names(Event(ts=rfc3339(row.at), severity=severity, **about))


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        about = {"connect_timeout": _CONNECT_S, "application_name": "host-tools dashboard"}
        return create_engine(url, connect_args=about, pool_size=2, max_overflow=2, pool_pre_ping=True)
    file = f"file:{url.database}"
    return create_engine(URL.create("sqlite", database=file, query={"mode": "ro", "uri": "true"}))
