"""Shared parts of the dashboards over PostgreSQL: their data source, and pieces of SQL.

If a point covers an hour or more, a query reads hours instead of samples. ``$__interval_ms`` is a constant when
PostgreSQL plans the query, so it never touches the other table.
"""

from collections.abc import Mapping
from typing import NamedTuple

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableOption, VariableRefresh

PLUGIN = "grafana-postgresql-datasource"
SOURCE = DataSourceRef(PLUGIN, "${datasource}")
LATELY = "at > $__timeTo()::timestamptz - interval '15 minutes' AND at <= $__timeTo()"
"""The last quarter of an hour counts as now: three samples, if they arrive every five minutes."""
_HOUR_MS = 3_600_000


class Sql(Builder[Dataquery], Dataquery):
    """A query of the PostgreSQL data source, for which the SDK has no class."""

    def __init__(self, text: str, *, over_time: bool = False, ref_id: str = "A") -> None:
        self.text = text
        self.over_time = over_time
        self.ref_id = ref_id

    def build(self) -> "Sql":
        """Return the query itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """The query as Grafana's own editor writes it."""
        return {
            "refId": self.ref_id,
            "datasource": SOURCE,
            "editorMode": "code",
            "format": "time_series" if self.over_time else "table",
            "rawQuery": True,
            "rawSql": self.text,
        }


class Scope(NamedTuple):
    """Conditions of a dashboard's queries: the devices, and the models."""

    devices: str
    models: str = "model IN (${model:sqlstring})"


FLEET = Scope(
    "device IN (SELECT device FROM ea_devices"
    " WHERE ${group:sqlstring} = 'all' OR ${group:sqlstring} = ANY (string_to_array(groups, ',')))"
)
DEVICE = Scope("device = ${device:sqlstring}")


def over_time(values: str, source: str, *, by: str = "", ref_id: str = "A") -> Sql:
    """``values`` of each interval over ``source``, which has a column ``at``; with a line for each value of ``by``."""
    metric, keys = (f"{by} AS metric, ", "1, 2") if by else ("", "1")
    text = f"SELECT $__timeGroupAlias(at, $__interval), {metric}{values}\nFROM {source}\nGROUP BY {keys} ORDER BY 1"
    return Sql(text, over_time=True, ref_id=ref_id)


def samples(table: str, where: str, columns: Mapping[str, str], *, name: str = "samples") -> str:
    """Samples, or hours of them; ``columns`` maps a column's name → its expression over samples."""
    of_sample = ", ".join(column if how == column else f"{how} AS {column}" for column, how in columns.items())
    return (
        f"(\n  SELECT at, device, {of_sample} FROM {table}\n"
        f"  WHERE $__interval_ms < {_HOUR_MS} AND $__timeFilter(at) AND {where}\n"
        f"  UNION ALL\n  SELECT at, device, {', '.join(columns)} FROM {table}_hours\n"
        f"  WHERE $__interval_ms >= {_HOUR_MS} AND $__timeFilter(at) AND {where}\n) AS {name}"
    )


def newest_health(scope: Scope) -> str:
    """The newest health sample of each device."""
    return (
        f"(\n  SELECT DISTINCT ON (device) * FROM ea_health\n"
        f"  WHERE {LATELY} AND {scope.devices} ORDER BY device, at DESC\n) AS health"
    )


def jobs(scope: Scope) -> str:
    """Jobs that have ended, each once, by its last report."""
    return (
        "(\n  SELECT DISTINCT ON (device, job) * FROM ea_reports\n"
        f"  WHERE $__timeFilter(at) AND status NOT IN ('queued', 'in_progress')\n"
        f"  AND {scope.devices} AND {scope.models}\n"
        "  ORDER BY device, job, at DESC\n) AS jobs"
    )


MODELS = """WITH RECURSIVE names AS (
  (SELECT device, model FROM ea_model_states ORDER BY device, model LIMIT 1)
  UNION ALL
  SELECT following.device, following.model FROM names CROSS JOIN LATERAL (
    SELECT device, model FROM ea_model_states AS one
    WHERE (one.device, one.model) > (names.device, names.model) ORDER BY device, model LIMIT 1
  ) AS following
)"""
"""The models of each device, as ``names``; takes one index step per model, however many states are stored."""


def newest_states(scope: Scope) -> str:
    """The newest state of each model and device, as ``states``."""
    return f"""{MODELS}, states AS MATERIALIZED (
  SELECT newest.* FROM (SELECT * FROM names WHERE {scope.devices} AND {scope.models}) AS names CROSS JOIN LATERAL (
    SELECT * FROM ea_model_states AS one
    WHERE one.device = names.device AND one.model = names.model AND one.at <= $__timeTo()
    ORDER BY one.at DESC, one.seq DESC LIMIT 1
  ) AS newest
)
"""


def source_variable() -> DatasourceVariable:
    """The variable for Grafana's data source, whatever its name."""
    return DatasourceVariable("datasource").label("Database").type(PLUGIN)


def variable(name: str, label: str, query: str, *, chosen: str = "", several: bool = False) -> QueryVariable:
    """A variable with values from the database; with ``several`` any number can be chosen, initially all."""
    made = QueryVariable(name).label(label).query(query).datasource(SOURCE).refresh(VariableRefresh.ON_DASHBOARD_LOAD)
    if several:
        return made.multi(True).include_all(True).current(VariableOption(text="All", value="$__all"))
    return made.current(VariableOption(text=chosen, value=chosen)) if chosen else made
