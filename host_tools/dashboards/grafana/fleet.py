"""The fleet over time, from the history in PostgreSQL."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

from host_tools.dashboards.grafana import jobs, units
from host_tools.dashboards.grafana.history import (
    FLEET,
    MODELS,
    SOURCE,
    Sql,
    newest_health,
    newest_states,
    over_time,
    samples,
    source_variable,
    variable,
)
from host_tools.dashboards.grafana.panels import NO_YES, YES_NO, bars, lines, number, rows

_LINKS = {"device": "/d/edge-agent-device?var-device=${__value.text}&${datasource:queryparam}&${__url_time_range}"}
_GROUPS = """SELECT name FROM (
  SELECT 'all' AS name UNION SELECT unnest(string_to_array(groups, ',')) FROM ea_devices
) AS names WHERE name <> '' ORDER BY name <> 'all', name"""
_MODELS = f"{MODELS}\nSELECT DISTINCT model FROM names ORDER BY model"
_DEVICES = f"ea_devices WHERE {FLEET.devices}"


def dashboard() -> Dashboard:
    """The whole dashboard."""
    made = (
        Dashboard("Edge agents: the fleet")
        .uid("edge-agent-fleet")
        .description("What host-tools collect has stored in PostgreSQL.")
        .tags(["edge-agent"])
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(source_variable())
        .with_variable(variable("group", "Group", _GROUPS, chosen="all"))
        .with_variable(variable("model", "Model", _MODELS, several=True))
    )
    _now(made)
    jobs.add(made, FLEET, _LINKS)
    _serving(made)
    _machines(made)
    _events(made)
    return made


def _now(made: Dashboard) -> None:
    states = newest_states(FLEET)
    counts = (
        ("Known", _DEVICES, "Devices that are known.", None),
        ("Online", f"{_DEVICES} AND online", "Connected to the broker now.", None),
        ("Gone quiet", f"{_DEVICES} AND last_seen < now() - interval '15 minutes'", "Not heard for 15 minutes.", 1),
        ("Throttled", f"{newest_health(FLEET)} WHERE throttled", "Slowed down, in their newest sample.", 1),
        ("Jobs under way", "states WHERE status IN ('queued', 'in_progress')", "Jobs that have not ended.", None),
        ("Stale", "states WHERE stale", "Releases on another runtime than judged them: host-tools recalibrate.", 1),
    )
    for title, source, text, bad_from in counts:
        query = Sql(f'{states if source.startswith("states") else ""}SELECT count(*) AS "number" FROM {source}')
        made.with_panel(number(title, SOURCE, query, text=text, bad_from=bad_from))
    table = Sql(
        f"""SELECT known.device, online, last_seen, groups, board, agent_version, temperature_c, throttled,
  undervoltage, cpu_share, memory_available_bytes, disk_free_bytes
FROM (SELECT * FROM {_DEVICES}) AS known LEFT JOIN {newest_health(FLEET)} USING (device)
ORDER BY online, last_seen"""
    )
    made.with_panel(
        rows(
            "Devices", SOURCE, table, text="Those that are offline first, and of them the longest gone.",
            units={
                "last_seen": units.AGO, "temperature_c": units.CELSIUS, "cpu_share": units.SHARE,
                "memory_available_bytes": units.BYTES, "disk_free_bytes": units.BYTES,
            },
            words={"online": YES_NO, "throttled": NO_YES, "undervoltage": NO_YES}, links=_LINKS,
        )
    )  # fmt: skip


def _serving(made: Dashboard) -> None:
    made.with_row(Row("Serving"))
    where = f"{FLEET.devices} AND {FLEET.models}"
    served = samples(
        "ea_serving", where,
        {name: name for name in ("model", "version", "inferences", "errors", "interval_s", "p50_ms")},
    )  # fmt: skip
    each = f"""(
  SELECT $__timeGroup(at, $__interval) AS "time", model, sum(inferences) / nullif(sum(interval_s), 0) AS rate
  FROM {served} GROUP BY 1, device, model, version
) AS each"""
    a_second = f'SELECT "time", model AS metric, sum(rate) AS "inferences" FROM {each} GROUP BY 1, 2 ORDER BY 1'
    text = "Of all devices together."
    made.with_panel(
        lines("Inferences a second", SOURCE, [Sql(a_second, over_time=True)], text=text, unit=units.PER_SECOND)
    )
    worse = f"""{newest_states(FLEET)}SELECT $__timeGroupAlias(samples.at, $__interval),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY samples.p50_ms / states.p50_ms) AS "median device",
  max(samples.p50_ms / states.p50_ms) AS "slowest device"
FROM {served} JOIN states ON samples.device = states.device AND samples.model = states.model
  AND samples.version = states.active_version
WHERE states.p50_ms > 0 GROUP BY 1 ORDER BY 1"""
    text = "Median time of a call over what the verdict of the active release measured: 1 is as promised."
    made.with_panel(lines("Latency over the verdict's", SOURCE, [Sql(worse, over_time=True)], text=text, line_at=1.2))
    errors = over_time('sum(errors) / nullif(sum(inferences + errors), 0) AS "failed"', served)
    made.with_panel(lines("Inferences that failed", SOURCE, [errors], text="Of all.", unit=units.SHARE))


def _machines(made: Dashboard) -> None:
    made.with_row(Row("Machines"))
    health = samples(
        "ea_health", FLEET.devices,
        {"temperature_c": "temperature_c", "throttled": "coalesce(throttled, false)::int",
         "undervoltage": "coalesce(undervoltage, false)::int", "disk_free_bytes": "disk_free_bytes"},
    )  # fmt: skip
    hot = 'max(temperature_c) AS "hottest", percentile_cont(0.5) WITHIN GROUP (ORDER BY temperature_c) AS "median"'
    made.with_panel(
        lines("Temperature", SOURCE, [over_time(hot, health)], text="Of processors.", unit=units.CELSIUS, line_at=80)
    )
    slow = ", ".join(
        f'count(DISTINCT device) FILTER (WHERE {name} > 0) AS "{name}"' for name in ("throttled", "undervoltage")
    )
    text = "Devices that report it in an interval."
    made.with_panel(lines("Slowed down, or with too little power", SOURCE, [over_time(slow, health)], text=text))
    disk = over_time('min(disk_free_bytes) AS "least free"', health)
    made.with_panel(lines("Free disk", SOURCE, [disk], text="Of the device with the least.", unit=units.BYTES))
    heard = over_time('count(DISTINCT device) AS "devices"', health)
    made.with_panel(
        lines("Devices heard", SOURCE, [heard], text="Devices with a health sample in the interval.", span=16)
    )
    agents = Sql(
        f"""SELECT coalesce(agent_version, 'unknown') AS "agent", count(*) AS "devices"
FROM {_DEVICES} GROUP BY 1 ORDER BY 1 DESC"""
    )
    made.with_panel(bars("Versions of the agent", SOURCE, agents, text="As of the last connection."))


def _events(made: Dashboard) -> None:
    made.with_row(Row("Events"))
    happened = f"ea_events WHERE $__timeFilter(at) AND {FLEET.devices}"
    kinds = over_time('count(*) AS "events"', happened, by="kind")
    made.with_panel(
        lines("Events by kind", SOURCE, [kinds], text="Number of events.", least="1h", stacked_bars=True, span=24)
    )
    events = Sql(
        f"SELECT at, device, severity, kind, model, version, code, message\nFROM {happened} ORDER BY at DESC LIMIT 500"
    )
    made.with_panel(
        rows("Events", SOURCE, events, text="The newest first.", words={"severity": units.SEVERITIES}, links=_LINKS)
    )
