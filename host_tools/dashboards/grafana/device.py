"""One device over time, from the history in PostgreSQL."""

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery, Dashboard, Row
from grafana_foundation_sdk.models.dashboard import AnnotationQuery as AnnotationModel
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

from host_tools.dashboards.grafana import jobs, units
from host_tools.dashboards.grafana.history import (
    DEVICE,
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
from host_tools.dashboards.grafana.panels import YES_NO, lines, number, rows

_WHERE = f"{DEVICE.devices} AND {DEVICE.models}"
_MODELS = f"{MODELS}\nSELECT model FROM names WHERE {DEVICE.devices}"
_EVENTS = f"ea_events WHERE $__timeFilter(at) AND {DEVICE.devices}"


def dashboard() -> Dashboard:
    """The whole dashboard."""
    made = (
        Dashboard("Edge agents: one device")
        .uid("edge-agent-device")
        .description("What host-tools collect has stored in PostgreSQL of one device.")
        .tags(["edge-agent"])
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(source_variable())
        .with_variable(variable("device", "Device", "SELECT device FROM ea_devices ORDER BY device"))
        .with_variable(variable("model", "Model", _MODELS, several=True))
        .annotation(_Happened())
    )
    _now(made)
    _serving(made)
    jobs.add(made, DEVICE, {})
    _machine(made)
    events = Sql(f"SELECT at, severity, kind, model, version, code, message\nFROM {_EVENTS} ORDER BY at DESC LIMIT 500")
    made.with_panel(rows("Events", SOURCE, events, text="The newest first.", words={"severity": units.SEVERITIES}))
    return made


class _Happened(AnnotationQuery):
    """A mark in every panel where something happened to a model; the SDK has no annotation by SQL."""

    def build(self) -> AnnotationModel:
        return _Marks("Events", SOURCE, enable=True, icon_color="blue")


class _Marks(AnnotationModel):
    def to_json(self) -> dict[str, object]:
        text = (
            "SELECT at AS \"time\", concat_ws(' ', kind, model, nullif(version, 0), message) AS text, kind AS tags\n"
            f"FROM {_EVENTS} AND model <> '' ORDER BY at DESC LIMIT 200"
        )
        return super().to_json() | {"target": Sql(text, ref_id="Anno")}


def _now(made: Dashboard) -> None:
    made.with_panel(
        rows(
            "Device", SOURCE,
            Sql(
                f"""SELECT online, last_seen, first_seen, board, arch, agent_version, memory_bytes, groups
FROM ea_devices WHERE {DEVICE.devices}"""
            ),
            text="As of the last connection.", words={"online": YES_NO},
            units={"last_seen": units.AGO, "first_seen": units.AGO, "memory_bytes": units.BYTES},
        ).height(4)
    )  # fmt: skip
    numbers = (
        ("Temperature now", "temperature_c", units.CELSIUS, 80.0),
        ("Processor now", "cpu_share", units.SHARE, None),
        ("Free memory now", "memory_available_bytes", units.BYTES, None),
        ("Free disk now", "disk_free_bytes", units.BYTES, None),
        ("Up for", "uptime_s", units.SECONDS, None),
        ("Agent's memory now", "agent_rss_bytes", units.BYTES, None),
    )
    for title, column, unit, bad_from in numbers:
        query = Sql(f"SELECT {column} FROM {newest_health(DEVICE)}")
        made.with_panel(number(title, SOURCE, query, text="In its newest sample.", unit=unit, bad_from=bad_from))


def _serving(made: Dashboard) -> None:
    made.with_row(Row("Serving"))
    served = samples(
        "ea_serving", _WHERE,
        {name: name for name in ("model", "inferences", "errors", "interval_s", "p50_ms", "p95_ms")},
    )  # fmt: skip
    mean = "sum(p50_ms * inferences) / nullif(sum(inferences), 0)"
    now = over_time(f'model, {mean} AS "p50", max(p95_ms) AS "p95"', served)
    now.text = now.text.replace("GROUP BY 1 ", "GROUP BY 1, model ")
    judged = Sql(
        f"""{newest_states(DEVICE)}SELECT ends.at AS "time", model, p50_ms AS "p50 as judged", p95_ms AS "p95 as judged"
FROM states CROSS JOIN (VALUES ($__timeFrom()::timestamptz), ($__timeTo()::timestamptz)) AS ends (at)
WHERE active_version > 0 AND p50_ms IS NOT NULL ORDER BY 1""",
        over_time=True, ref_id="B",
    )  # fmt: skip
    text = "Of a call; beside it what the verdict of the active release measured."
    made.with_panel(lines("Latency", SOURCE, [now, judged], text=text, unit=units.MS, span=12, least="1m"))
    rate = over_time('sum(inferences) / nullif(sum(interval_s), 0) AS "inferences"', served, by="model")
    made.with_panel(
        lines("Inferences a second", SOURCE, [rate], text="By model.", unit=units.PER_SECOND, span=6, least="1m")
    )
    errors = over_time('sum(errors) AS "errors"', served, by="model")
    made.with_panel(lines("Inferences that failed", SOURCE, [errors], text="By model.", span=6, least="1m"))


def _machine(made: Dashboard) -> None:
    made.with_row(Row("Machine"))
    names = ("temperature_c", "cpu_share", "memory_available_bytes", "disk_free_bytes", "agent_rss_bytes", "load_1m")
    flags = {name: f"coalesce({name}, false)::int" for name in ("throttled", "undervoltage")}
    health = samples("ea_health", DEVICE.devices, {name: name for name in names} | {**flags, "samples": "1"})
    panels = (
        ("Temperature", 'max(temperature_c) AS "processor"', units.CELSIUS, "The highest of an interval."),
        ("Slowed down, or with too little power",
         'sum(throttled) / sum(samples) AS "throttled", sum(undervoltage) / sum(samples) AS "undervoltage"',
         units.SHARE, "Share of the samples that report it."),
        ("Processor", 'max(cpu_share) AS "all processors"', units.SHARE, "The most of an interval."),
        ("Memory", 'min(memory_available_bytes) AS "available", max(agent_rss_bytes) AS "agent"', units.BYTES,
         "The least that was available, and what the agent took."),
        ("Free disk", 'min(disk_free_bytes) AS "free"', units.BYTES, "Where the agent keeps its state."),
        ("Load", 'max(load_1m) AS "load"', "none", "Processes that ran or waited."),
    )  # fmt: skip
    for title, values, unit, text in panels:
        made.with_panel(lines(title, SOURCE, [over_time(values, health)], text=text, unit=unit, least="1m"))
