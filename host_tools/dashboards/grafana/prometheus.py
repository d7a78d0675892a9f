"""The current state of the fleet, from the metrics of ``host-tools exporter``."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from host_tools.dashboards.grafana import units
from host_tools.dashboards.grafana.panels import bars, lines, number, rows

_SOURCE = DataSourceRef("prometheus", "${datasource}")
_OF = 'device=~"$device"'
_OF_MODEL = f'{_OF}, model=~"$model"'
_QUIET_S = 900


def dashboard() -> Dashboard:
    """The whole dashboard."""
    made = (
        Dashboard("Edge agents: metrics")
        .uid("edge-agent-metrics")
        .description("What Prometheus has scraped from host-tools exporter.")
        .tags(["edge-agent"])
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_variable("device", "Device", "label_values(edge_agent_online, device)"))
        .with_variable(_variable("model", "Model", "label_values(edge_agent_model_active_version, model)"))
    )
    _now(made)
    _models(made)
    _machines(made)
    return made


def _variable(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .query({"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
        .datasource(_SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(text="All", value="$__all"))
    )


def _ask(expr: str, legend: str = "", *, ref_id: str = "A") -> Dataquery:
    query = Dataquery().expr(expr).ref_id(ref_id).datasource(_SOURCE).editor_mode(QueryEditorMode.CODE).range()
    return query.legend_format(legend) if legend else query


def _ask_now(expr: str, legend: str = "", *, ref_id: str = "A") -> Dataquery:
    query = Dataquery().expr(expr).ref_id(ref_id).datasource(_SOURCE).editor_mode(QueryEditorMode.CODE).instant()
    return query.legend_format(legend) if legend else query.format(PromQueryFormat.TABLE)


def _now(made: Dashboard) -> None:
    quiet = f"count(time() - edge_agent_last_seen_timestamp_seconds{{{_OF}}} > {_QUIET_S}) or vector(0)"
    counts = (
        ("Known", f"count(edge_agent_online{{{_OF}}})", "Devices that the exporter knows.", None),
        ("Online", f"sum(edge_agent_online{{{_OF}}})", "Connected to the broker.", None),
        ("Gone quiet", quiet, "Not heard for 15 minutes.", 1),
        ("Throttled", f"sum(edge_agent_throttled{{{_OF}}}) or vector(0)", "Slowed down now.", 1),
        ("Undervoltage", f"sum(edge_agent_undervoltage{{{_OF}}}) or vector(0)", "With too little power now.", 1),
        ("Stale", f"sum(edge_agent_model_stale{{{_OF_MODEL}}}) or vector(0)", "Releases to be recalibrated.", 1),
    )
    for title, expr, text, bad_from in counts:
        made.with_panel(number(title, _SOURCE, _ask_now(expr, title), text=text, bad_from=bad_from))


def _models(made: Dashboard) -> None:
    made.with_row(Row("Models and jobs"))
    made.with_panel(
        bars(
            "Jobs by code", _SOURCE,
            _ask_now('sum by (status, code) (edge_agent_jobs{model=~"$model"})', "{{status}} {{code}}"),
            text="Of all devices, as far as the broker holds their reports.", a_row=False,
        )
    )  # fmt: skip
    made.with_panel(
        bars(
            "Versions of models", _SOURCE,
            _ask_now(f"count by (model, version) (edge_agent_model_info{{{_OF_MODEL}}})", "{{model}} {{version}}"),
            text="Devices on which a version is active.", a_row=False,
        )
    )  # fmt: skip
    made.with_panel(
        bars(
            "Newest verdicts", _SOURCE,
            _ask_now(
                f"count by (model, verdict, code) (edge_agent_model_verdict_info{{{_OF_MODEL}}})",
                "{{model}} {{verdict}} {{code}}",
            ),
            text="How the newest job of each model ended.", a_row=False,
        )
    )  # fmt: skip
    over = (
        f'edge_agent_inference_latency_seconds{{{_OF_MODEL}, quantile="0.5"}} / on (device, model)'
        f' edge_agent_model_latency_seconds{{{_OF_MODEL}, precision="active", quantile="0.5"}}'
    )
    made.with_panel(
        lines(
            "Latency over the verdict's", _SOURCE,
            [_ask(f"quantile(0.5, {over})", "median device"), _ask(f"max({over})", "slowest device", ref_id="B")],
            text="Median time of a call over what the verdict of the active release measured: 1 is as promised.",
            line_at=1.2,
        )
    )  # fmt: skip
    rate = f"sum by (model) (rate(edge_agent_inferences_total{{{_OF_MODEL}}}[$__rate_interval]))"
    made.with_panel(
        lines(
            "Inferences a second", _SOURCE, [_ask(rate, "{{model}}")], text="Of all devices.", unit=units.PER_SECOND
        )
    )  # fmt: skip
    failed = f"sum by (model) (rate(edge_agent_inference_errors_total{{{_OF_MODEL}}}[$__rate_interval]))"
    made.with_panel(
        lines(
            "Inferences that failed, a second", _SOURCE, [_ask(failed, "{{model}}")], text="Of all devices.",
            unit=units.PER_SECOND,
        )
    )  # fmt: skip
    columns = {
        "version": f"edge_agent_model_active_version{{{_OF_MODEL}}}",
        "agreement, proved": f"edge_agent_model_agreement_lower_ratio{{{_OF_MODEL}}}",
        "time of float's": f"edge_agent_model_latency_ratio{{{_OF_MODEL}}}",
        "size of float's": f"edge_agent_model_size_ratio{{{_OF_MODEL}}}",
        "judged": f'edge_agent_model_latency_seconds{{{_OF_MODEL}, precision="active", quantile="0.5"}}',
        "now": f'edge_agent_inference_latency_seconds{{{_OF_MODEL}, quantile="0.5"}}',
    }
    targets = [
        _ask_now(f"max by (device, model) ({expr})", ref_id=chr(ord("A") + number))
        for number, expr in enumerate(columns.values())
    ]
    table = rows(
        "Verdicts, and the latency now", _SOURCE, targets,
        text="What the verdict of each active release proved, and the latency now.",
        units={"agreement, proved": units.SHARE, "judged": units.SECONDS, "now": units.SECONDS},
    )  # fmt: skip
    names = {f"Value #{target.build().ref_id}": name for target, name in zip(targets, columns, strict=True)}
    made.with_panel(
        table.with_transformation(DataTransformerConfig("merge", options={})).with_transformation(
            DataTransformerConfig("organize", options={"excludeByName": {"Time": True}, "renameByName": names})
        )
    )


def _machines(made: Dashboard) -> None:
    made.with_row(Row("Machines and events"))
    hot = f"edge_agent_temperature_celsius{{{_OF}}}"
    made.with_panel(
        lines(
            "The ten hottest", _SOURCE, [_ask(f"topk(10, {hot})", "{{device}}")], text="Of processors.",
            unit=units.CELSIUS, line_at=80,
        )
    )  # fmt: skip
    made.with_panel(
        lines(
            "The ten with the least free disk", _SOURCE,
            [_ask(f"bottomk(10, edge_agent_disk_free_bytes{{{_OF}}})", "{{device}}")], text="Where the agent keeps its"
            " state.", unit=units.BYTES,
        )
    )  # fmt: skip
    slow = [
        _ask(f"sum(edge_agent_throttled{{{_OF}}})", "throttled"),
        _ask(f"sum(edge_agent_undervoltage{{{_OF}}})", "undervoltage", ref_id="B"),
    ]
    made.with_panel(
        lines("Slowed down, or with too little power", _SOURCE, slow, text="Devices that currently report it.")
    )
    happened = f"sum by (kind) (increase(edge_agent_events_total{{{_OF}}}[$__interval]))"
    made.with_panel(
        lines("Events by kind", _SOURCE, [_ask(happened, "{{kind}}")], text="Number of events.", stacked_bars=True)
    )
    made.with_panel(
        bars(
            "Versions of the agent", _SOURCE,
            _ask_now(f"count by (agent_version) (edge_agent_device_info{{{_OF}}})", "{{agent_version}}"),
            text="As of the last connection.", a_row=False,
        )
    )  # fmt: skip
    heard = [
        _ask("sum(rate(edge_agent_exporter_messages_total[$__rate_interval]))", "messages"),
        _ask("sum(rate(edge_agent_exporter_unreadable_messages_total[$__rate_interval]))", "unreadable", ref_id="B"),
    ]
    made.with_panel(
        lines("Messages at the exporter", _SOURCE, heard, text="Of the whole fleet.", unit=units.PER_SECOND)
    )
