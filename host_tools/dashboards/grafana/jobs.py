"""Panels about models and their jobs, the same for the fleet and for one device."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from host_tools.dashboards.grafana import units
from host_tools.dashboards.grafana.history import LATELY, SOURCE, Scope, Sql, jobs, newest_states, over_time
from host_tools.dashboards.grafana.panels import bars, lines, rows

_TOOK = "extract(epoch FROM at - started)"


def add(made: Dashboard, scope: Scope, links: dict[str, str]) -> None:
    """Add panels for active versions, verdicts, ends of jobs and their durations."""
    made.with_row(Row("Models and jobs"))
    ends = over_time('count(*) AS "jobs"', jobs(scope), by="code")
    made.with_panel(
        lines(
            "Ended jobs by code", SOURCE, [ends], text="The codes with which jobs ended.", least="1h", stacked_bars=True
        )
    )
    lasted = f'percentile_cont(0.5) WITHIN GROUP (ORDER BY {_TOOK}) AS "median", max({_TOOK}) AS "longest"'
    text = "From the order to its end."
    lasted_lines = [over_time(lasted, jobs(scope))]
    made.with_panel(lines("How long jobs took", SOURCE, lasted_lines, text=text, unit=units.SECONDS, least="1h"))
    versions = Sql(
        f"""{newest_states(scope)}SELECT model || ' ' || active_version AS "version", count(*) AS "devices"
FROM states WHERE active_version > 0 GROUP BY model, active_version ORDER BY model, active_version DESC"""
    )
    made.with_panel(bars("Versions of models", SOURCE, versions, text="Devices on which a version is active."))
    made.with_panel(
        rows(
            "Verdicts, and the latency now", SOURCE, _verdicts(scope),
            text="What the verdicts proved of each active version, the worst of all devices. Latencies are medians of a"
            " call: of float, as judged, and as served in the last 15 minutes.",
            units={
                **dict.fromkeys(("agreement", "agreement, proved", "accuracy"), units.SHARE),
                **dict.fromkeys(("float", "judged", "now", "slowest now"), units.MS),
            },
        )
    )  # fmt: skip
    newest = Sql(
        f"""SELECT at, device, model, version, status, code, message, started, {_TOOK} AS "took"
FROM {jobs(scope)} ORDER BY at DESC LIMIT 200"""
    )
    text = "Those that have ended, the newest first."
    made.with_panel(rows("Jobs", SOURCE, newest, text=text, units={"took": units.SECONDS}, links=links))


def _verdicts(scope: Scope) -> Sql:
    return Sql(
        f"""{newest_states(scope).rstrip()}, served AS (
  SELECT device, model, version AS active_version, sum(p50_ms * inferences) / nullif(sum(inferences), 0) AS now_ms
  FROM ea_serving WHERE {LATELY} AND {scope.devices} AND {scope.models} GROUP BY device, model, version
)
SELECT model, active_version AS "version", count(*) AS "devices", min(agreement) AS "agreement",
  min(agreement_lower) AS "agreement, proved", min(accuracy) AS "accuracy", max(latency_ratio) AS "time of float's",
  max(latency_ratio_upper) AS "time of float's, proved", max(size_ratio) AS "size of float's",
  avg(float_p50_ms) AS "float", avg(p50_ms) AS "judged", avg(now_ms) AS "now", max(now_ms) AS "slowest now"
FROM states LEFT JOIN served USING (device, model, active_version)
WHERE active_version > 0 GROUP BY model, active_version ORDER BY model, active_version DESC"""
    )
