"""What Grafana does to a dashboard's queries before it sends them, as its documentation says. Grafana is not here.

Variables and their formats, the global variables, and the macros of its PostgreSQL data source.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILES = Path(__file__).parents[2] / "host_tools" / "dashboards" / "grafana"
STEPS_S = (60, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_MACRO = re.compile(r"\$(__\w+)\(([^)]*)\)")


@dataclass(frozen=True)
class Query:
    """A query of a dashboard; ``panel`` is its title, or the name of a variable or annotation."""

    panel: str
    kind: str
    text: str
    over_time: bool
    least_s: int = 60
    points: int = 100
    of: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)


@dataclass(frozen=True)
class Asked:
    """A time range (epoch seconds), and what is chosen for each variable."""

    since: float
    until: float
    chosen: Mapping[str, str | Sequence[str]]

    def step_s(self, query: Query) -> int:
        """Seconds of ``$__interval``: range over points, rounded, at least what the panel wants."""
        wanted = max((self.until - self.since) / query.points, query.least_s)
        return min(STEPS_S, key=lambda step: abs(step - wanted))


def dashboard(name: str) -> dict[str, Any]:
    return dict(json.loads((FILES / f"{name}.json").read_text(encoding="utf-8")))


def panels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All that are no rows."""
    return [one for panel in document["panels"] for one in (panel, *panel.get("panels", [])) if one["type"] != "row"]


def queries(document: Mapping[str, Any]) -> Iterator[Query]:
    """Every query of a dashboard, of SQL or of Prometheus."""
    for panel in panels(document):
        least, points = _seconds(panel.get("interval", "1m")), int(panel.get("maxDataPoints", 100))
        for target in panel["targets"]:
            text = target.get("rawSql") or target["expr"]
            over_time = target.get("format") == "time_series" or bool(target.get("range"))
            yield Query(panel["title"], panel["type"], text, over_time, least, points, target)
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]
            text, of = (query, {}) if isinstance(query, str) else (query["query"], query)
            yield Query(variable["name"], "variable", text, over_time=False, of=of)
    for annotation in document["annotations"].get("list", []):
        if "target" in annotation and "rawSql" in annotation["target"]:
            yield Query(annotation["name"], "annotation", annotation["target"]["rawSql"], over_time=False)


def sql(query: Query, asked: Asked) -> str:
    """A query as PostgreSQL gets it."""
    return _MACRO.sub(lambda found: _macro(found[1], found[2], asked), _interpolated(query, asked))


def promql(query: Query, asked: Asked, scrape_s: int) -> str:
    """An expression as Prometheus gets it."""
    step = asked.step_s(query)
    known = {"__rate_interval": f"{max(step + scrape_s, 4 * scrape_s)}s", "__interval": f"{step}s"}
    return _VARIABLE.sub(
        lambda found: known.get(found[1] or found[3]) or str(asked.chosen[found[1] or found[3]]), query.text
    )


def _interpolated(query: Query, asked: Asked) -> str:
    step = asked.step_s(query)
    known = {"__interval": f"{step}s", "__interval_ms": str(step * 1000)}

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        if name.startswith("__"):
            return known.get(name, found[0])  # else it is a macro
        chosen = asked.chosen[name]
        if found[2] == "sqlstring":
            several = [chosen] if isinstance(chosen, str) else chosen
            return ",".join("'" + one.replace("'", "''") + "'" for one in several)
        assert isinstance(chosen, str)
        return chosen

    return _VARIABLE.sub(value, query.text)


def _macro(name: str, arguments: str, asked: Asked) -> str:
    column, *more = (one.strip().strip("'") for one in arguments.split(","))
    since, until = (f"'{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%fZ}'" for at in (asked.since, asked.until))
    match name:
        case "__timeFilter":
            return f"{column} BETWEEN {since} AND {until}"
        case "__timeFrom":
            return since
        case "__timeTo":
            return until
        case "__timeGroup" | "__timeGroupAlias":
            step = _seconds(more[0])
            alias = ' AS "time"' if name.endswith("Alias") else ""
            return f"floor(extract(epoch from {column})/{step})*{step}{alias}"
    raise AssertionError(f"no such macro: {name}")


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[text[-1]]
