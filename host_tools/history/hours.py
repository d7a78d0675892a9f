"""Samples by the hour, which a panel over weeks reads instead of every sample of every device.

A row contains the worst of its hour: the highest temperature, the least free disk, the number of throttled samples. It
is updated in the transaction that stores the samples, so it never lags behind: in SQLite by a trigger, in PostgreSQL,
which has faster ways for many rows, by the storing statement. Each column has one rule in two forms: how to merge into
a row, and how to make a row from samples.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Insert,
    Integer,
    Select,
    Table,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from host_tools.history.schema import HEALTH, HEALTH_HOURS, SERVING, SERVING_HOURS

HOUR_S = 3600.0


class Rule(StrEnum):
    """The value of an hour for a column of its samples."""

    HIGHEST = "highest"
    LOWEST = "lowest"
    TOTAL = "total"
    TIMES = "times"  # number of samples with a true flag
    MEAN = "mean"  # weighted by inferences


class Hours(NamedTuple):
    """A table of hours, and its source."""

    samples: Table
    table: Table
    rules: Mapping[str, Rule]

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row within an hour."""
        return tuple(column.name for column in self.table.primary_key if column.name != "at")

    @property
    def names(self) -> list[str]:
        """The columns of the table."""
        return [*self.key, "at", "samples", *self.rules]


OF_HEALTH = Hours(
    HEALTH,
    HEALTH_HOURS,
    {
        **dict.fromkeys(("cpu_share", "load_1m", "temperature_c", "agent_rss_bytes"), Rule.HIGHEST),
        **dict.fromkeys(("memory_available_bytes", "disk_free_bytes"), Rule.LOWEST),
        **dict.fromkeys(("throttled", "undervoltage"), Rule.TIMES),
    },
)
OF_SERVING = Hours(
    SERVING,
    SERVING_HOURS,
    {
        **dict.fromkeys(("interval_s", "inferences", "errors"), Rule.TOTAL),
        "p50_ms": Rule.MEAN,
        **dict.fromkeys(("p95_ms", "p99_ms", "rss_bytes"), Rule.HIGHEST),
    },
)
BY_HOUR = {hours.samples.name: hours for hours in (OF_HEALTH, OF_SERVING)}
"""Table of samples → its hours."""


def trigger(hours: Hours) -> str:
    """SQLite's trigger that merges a new sample into its hour; it does not run for a sample that already exists."""
    new: dict[str, Any] = {name: literal_column(f"NEW.{name}") for name in (*hours.key, *hours.rules)}
    counted = (name for name, rule in hours.rules.items() if rule in (Rule.TIMES, Rule.TOTAL))
    new |= {name: func.coalesce(new[name], 0) for name in counted}
    new |= {"at": cast(literal_column("NEW.at") / HOUR_S, Integer) * HOUR_S, "samples": 1}
    adding = _merging(hours, sqlite.insert(hours.table).values(new).inline(), func.max, func.min)
    text = adding.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    return f"CREATE TRIGGER {hours.table.name}_kept AFTER INSERT ON {hours.samples.name} BEGIN {text}; END"


def storing(hours: Hours) -> Insert:
    """PostgreSQL's statement that stores samples and merges the new ones into their hours; see :func:`lists_of`."""
    columns = list(hours.samples.columns)
    lists = [bindparam(f"all_{column.name}", type_=ARRAY(column.type)) for column in columns]
    names = [column.name for column in columns]
    given = func.unnest(*lists).table_valued(*names, name="given").render_derived()
    stored = postgresql.insert(hours.samples).from_select(names, select(*given.columns))
    new = stored.on_conflict_do_nothing().returning(*columns).cte("new")
    made = postgresql.insert(hours.table).from_select(hours.names, _gathered(hours, new.columns, "postgresql"))
    return _merging(hours, made, func.greatest, func.least)


def lists_of(hours: Hours, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows of samples as :func:`storing` needs them: a list for each column."""
    names = (column.name for column in hours.samples.columns)
    return {f"all_{name}": [row.get(name) for row in rows] for name in names}


def begin(connection: Connection, hours: Hours) -> None:
    """Make the hours of all existing samples, and the trigger that keeps them up to date in SQLite."""
    gathered = _gathered(hours, hours.samples.columns, connection.dialect.name)
    connection.execute(insert(hours.table).from_select(hours.names, gathered))
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(trigger(hours))


def _merging(
    hours: Hours, new: postgresql.Insert | sqlite.Insert, highest: Callable[..., Any], lowest: Callable[..., Any]
) -> Insert:
    values: dict[str, ColumnElement[Any]] = {"samples": hours.table.c.samples + new.excluded.samples}
    for name, rule in hours.rules.items():
        old, one = hours.table.c[name], new.excluded[name]
        match rule:
            case Rule.HIGHEST:
                values[name] = func.coalesce(highest(old, one), old, one)
            case Rule.LOWEST:
                values[name] = func.coalesce(lowest(old, one), old, one)
            case Rule.TOTAL | Rule.TIMES:
                values[name] = old + one
            case Rule.MEAN:
                done, more = hours.table.c.inferences, new.excluded.inferences
                values[name] = func.coalesce((old * done + one * more) / func.nullif(done + more, 0), old, one)
    return new.on_conflict_do_update(index_elements=list(hours.table.primary_key), set_=values)


def _gathered(hours: Hours, of: ReadOnlyColumnCollection[str, Any], dialect: str) -> Select[Any]:
    """The hours made from samples with the columns ``of``."""
    key: list[ColumnElement[Any]] = [of[name] for name in hours.key]
    if dialect == "postgresql":
        key.append(func.date_trunc("hour", of["at"], "UTC"))
    else:
        key.append(cast(of["at"] / HOUR_S, Integer) * HOUR_S)
    values: list[ColumnElement[Any]] = [func.count()]
    for name, rule in hours.rules.items():
        column = of[name]
        match rule:
            case Rule.HIGHEST:
                values.append(func.max(column))
            case Rule.LOWEST:
                values.append(func.min(column))
            case Rule.TOTAL:
                values.append(func.coalesce(func.sum(column), 0))
            case Rule.TIMES:
                values.append(func.sum(case((column, 1), else_=0)))
            case Rule.MEAN:
                weight = func.sum(case((column.is_not(None), of["inferences"]), else_=0))
                mean = func.sum(column * of["inferences"]) / func.nullif(weight, 0)
                values.append(func.coalesce(mean, func.avg(column)))
    return select(*key, *values).group_by(*key)
