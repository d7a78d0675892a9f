"""The table of a job's result: float beside int8, the gates, and what to do. A report in, rich renderables out.

What a device did not measure is shown as a dash, never as a number; a row of nothing but dashes is left out.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from edge_agent.errors import CODES
from edge_agent.jobs.result import lossy
from edge_agent.jobs.titles import TITLES
from edge_agent.wire.messages import JobReport
from host_tools.display.console import stdout_console

_MIB = 1 << 20
_KIB = 1 << 10
_DASH = "-"
_MAX_LAYERS = 5
_SEE_MESSAGE = "see the message"
"""The remedy of codes whose sentence says what to do."""
_COLOURS = {"succeeded": "green", "rejected": "yellow", "failed": "red", "canceled": "magenta"}
Record = Mapping[str, Any]


def judged(results: Mapping[str, Any]) -> Record:
    """The int8 record that the verdict is about: the chosen one, else the candidate that came furthest.

    Furthest: opened the held-out set, else failed with the result's own code, else the first that was tried.
    """
    if results.get("chosen"):
        chosen: Record = results["chosen"]
        return chosen
    candidates: list[Record] = results.get("candidates") or []
    for wanted in (
        lambda record: record.get("agreement_lower") is not None,
        lambda record: record.get("code") == results.get("code"),
        lambda _: True,
    ):
        if found := next((record for record in candidates if wanted(record)), None):
            return found
    return {}


def comparison(results: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Rows of (what, float, int8, what is known of that number), without those that say nothing."""
    before, after = results.get("reference") or {}, judged(results)

    def both(key: str, form: Callable[[Any], str], note: str = "") -> tuple[str, str, str, str]:
        return TITLES[key], form(before.get(key)), form(after.get(key)), note

    def after_alone(key: str, shown: str, note: str = "") -> tuple[str, str, str, str]:
        return TITLES[key], "", shown, note

    upper, lower = after.get("ratio_p50_upper"), after.get("agreement_lower")
    slowest = "" if upper is None else f"at most {_number(upper, '')} (95 %)"
    least = "" if lower is None else f"at least {_percent(lower)} (95 %)"
    rows = [
        both("size_bytes", _bytes, _size_note(before, after)),
        *(both(f"latency_{name}_ms", lambda value: _number(value, " ms")) for name in ("p50", "p95", "p99")),
        after_alone("ratio_p50", _number(after.get("ratio_p50"), ""), slowest),
        *(both(key, _bytes) for key in ("peak_rss_bytes", "model_rss_bytes")),
        after_alone("agreement", _percent(after.get("agreement")), least),
        after_alone("disagreements", _of(after, "disagreements", "windows")),
        after_alone("sqnr_db", _number(after.get("sqnr_db"), " dB")),
        both("accuracy", _percent),
    ]
    rows += _labelled(_evaluation(results))
    rows.append(("method", _method(before), _method(after), _float_layers(after)))
    rows.append(("runtime", _runtime(before), _runtime(after), ""))
    rows.append(("threads", _number(before.get("threads"), ""), _number(after.get("threads"), ""), ""))
    return [row for row in rows if {*row[1:3]} - {"", _DASH} or row[3]]


def _evaluation(results: Mapping[str, Any]) -> Record:
    """What the labelled set that came with the model says; empty: there was none, or it was not opened."""
    shown: Record = (results.get("data") or {}).get("eval") or {}
    return shown


def _labelled(shown: Record) -> list[tuple[str, str, str, str]]:
    """A row for each metric of the labelled set, and one for its windows."""
    rows = []
    for metric in shown.get("metrics") or []:
        name = str(metric.get("name"))
        form = _percent if name == "accuracy" else _plain
        upper = metric.get("drop_upper")
        bound = "" if upper is None else f", at most {form(upper)} (95 %)"
        drop = "" if metric.get("drop") is None else f"drop {form(metric['drop'])}{bound}"
        rows.append((f"labelled {name}", form(metric.get("float")), form(metric.get("int8")), drop))
    if "metrics" in shown:
        decides = "" if shown.get("decides") else "does not decide"
        rows.append(("labelled windows", "", str(shown.get("windows", _DASH)), decides))
    return rows


def gates(results: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Rows of (gate, value, limit, passed) of the int8 record."""
    return [
        (
            str(gate.get("name")) + (" (labelled set)" if gate.get("on") == "eval" else ""),
            _gate_number(str(gate.get("name")), gate.get("value")),
            _gate_number(str(gate.get("name")), gate.get("limit")),
            bool(gate.get("passed")),
        )
        for gate in judged(results).get("gates") or []
    ]


def headline(report: JobReport) -> str:
    """One line: where the job stands on that device, and why."""
    colour = _COLOURS.get(report.status, "cyan")
    code = f" [dim]{escape(report.code)}[/]" if report.code not in ("", "accepted", report.status) else ""
    return (
        f"[bold]{escape(report.device)}[/]  {escape(report.model)} {report.version}  [{colour}]{report.status}[/]{code}"
    )


def to_do(end: str, code: str) -> str:
    """What to do about an end that is no success; empty where the message says it all, or the code is a newer one's."""
    remedy = CODES[code].remedy if code in CODES and end in ("rejected", "failed", "refused") else ""
    return "" if remedy == _SEE_MESSAGE else remedy


def render(report: JobReport) -> RenderableType:
    """Everything that a person wants to know of an ended job on one device."""
    parts: list[RenderableType] = [headline(report)]
    if report.message:
        parts.append(f"  {escape(report.message)}")
    if remedy := to_do(report.status, report.code):
        parts.append(f"  to do: {escape(remedy)}")
    if report.results:
        try:
            parts += _results(report)
        except (TypeError, ValueError, AttributeError, KeyError, ArithmeticError) as error:
            parts.append(f"  [red]its results cannot be read by these host tools[/] ({escape(str(error)[:80])})")
        parts.append("")
    if report.release:
        parts.append(f"  release  {escape(report.release)}")
    if report.seconds:
        parts.append("  seconds  " + ", ".join(f"{stage} {took:.1f}" for stage, took in report.seconds.items()))
    return Group(*parts)


def _results(report: JobReport) -> list[RenderableType]:
    results, parts = report.results, list[RenderableType]()
    if results.get("reference") and judged(results):
        parts += ["", _comparison_table(results)]
    if gates(results):
        parts += ["", _gate_table(results)]
    if classes := _evaluation(results).get("classes"):
        parts += ["", _class_table(classes)]
    if report.status != "succeeded" and (layers := lossy(results.get("layers") or [])):
        parts += ["", _layer_table(layers)]
    data: Record = results.get("data") or {}
    if kept := data.get("kept"):
        parts += ["", f"  data     {escape(str(kept['message']))}"]
    warnings = data.get("warnings") or []
    return [*parts, *(f"  [yellow]warning[/] {escape(str(warning))}" for warning in warnings)]


def show(reports: Iterable[JobReport]) -> None:
    """Print every report on stdout."""
    console = stdout_console()
    for report in reports:
        console.print(render(report))
        console.print()


def _comparison_table(results: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("float", justify="right")
    table.add_column("int8", justify="right")
    table.add_column("")
    for row in comparison(results):
        table.add_row(f"  {row[0]}", *(escape(cell) for cell in row[1:]))
    return table


def _gate_table(results: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading, justify in (("  gate", "left"), ("value", "right"), ("limit", "right"), ("", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal that mypy widens to str
    for name, value, limit, passed in gates(results):
        table.add_row(f"  {escape(name)}", value, limit, "[green]pass[/]" if passed else "[red]FAIL[/]")
    return table


def _class_table(classes: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("  classes lost")
    for heading in ("windows", "float right", "int8 right"):
        table.add_column(heading, justify="right")
    for loss in classes[:_MAX_LAYERS]:
        counts = (str(loss.get(key)) for key in ("windows", "float_right", "int8_right"))
        table.add_row(f"  {escape(str(loss.get('label')))}", *map(escape, counts))
    return table


def _layer_table(layers: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("  worst layers", "op", "SQNR", "cause", "remedy"):
        table.add_column(heading)
    for layer in layers[:_MAX_LAYERS]:
        cells = (str(layer.get("op") or _DASH), _number(layer.get("sqnr_db"), " dB"))
        words = (str(layer.get("cause") or _DASH), str(layer.get("remedy") or _DASH))
        table.add_row(f"  {escape(str(layer.get('name')))}", *(escape(cell) for cell in (*cells, *words)))
    return table


def _number(value: Any, unit: str) -> str:
    return _DASH if value is None else f"{value:.3g}{unit}"


def _plain(value: Any) -> str:
    return _DASH if value is None else f"{value:.4g}"


def _percent(value: Any) -> str:
    return _DASH if value is None else f"{value:.1%}".replace("%", " %")


def _bytes(value: Any) -> str:
    match value:
        case None:
            return _DASH
        case _ if value >= _MIB:
            return f"{value / _MIB:.1f} MiB"
        case _ if value >= _KIB:
            return f"{value / _KIB:.1f} KiB"
    return f"{value} B"


def _size_note(before: Record, after: Record) -> str:
    old, new = before.get("size_bytes"), after.get("size_bytes")
    return f"{new / old:.2f} of float" if old and new else ""


def _of(record: Record, part: str, whole: str) -> str:
    if record.get(part) is None or record.get(whole) is None:
        return _DASH
    return f"{record[part]} of {record[whole]}"


def _method(record: Record) -> str:
    return " ".join(str(record[key]) for key in ("method", "calibration") if record.get(key)) or _DASH


def _float_layers(record: Record) -> str:
    names = record.get("float_layers") or []
    return f"layers left float: {len(names)}" if names else ""


def _runtime(record: Record) -> str:
    words = [str(record[key]) for key in ("runtime", "runtime_version") if record.get(key)]
    return " ".join(words) or _DASH


def _gate_number(name: str, value: Any) -> str:
    if value is not None and name.endswith("_bytes"):
        return _bytes(value)
    return _DASH if value is None else f"{value:.4g}"
