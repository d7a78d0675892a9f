"""The table of a job's result: float beside int8, the gates, and the remedy. A report in, rich renderables out.

A number that the device did not measure is shown as a dash. A row that is all dashes is left out.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import replace
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edge_agent.advice.remedy import remedy_for
from edge_agent.jobs.data_summary import ClassLoss, Data, LabelledSet
from edge_agent.jobs.digits import gate_numbers
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.measured_outputs import OutputSummary
from edge_agent.jobs.precision import judged_precision
from edge_agent.jobs.result import LayerLoss, MeasuredModel, Result
from edge_agent.jobs.titles import TITLES
from edge_agent.report.html import numbers
from edge_agent.wire.messages import JobReport
from host_tools.display.console import stdout_console

_MIB = 1 << 20
_KIB = 1 << 10
_DASH = "-"
_MAX_LAYERS = 5
_HOW = ("method", "runtime", "threads")
"""Rows about how a model is made and served, no numbers."""
_COLOURS = {"succeeded": "green", "rejected": "yellow", "failed": "red", "canceled": "magenta"}


def comparison(result: Result) -> list[tuple[str, str, str, str]]:
    """Rows of (title, float, int8, note), without the rows that are all dashes."""
    before, after = result.reference or MeasuredModel(), result.judged or MeasuredModel()

    def both(key: str, form: Callable[[Any], str], note: str = "") -> tuple[str, str, str, str]:
        return TITLES[key], form(getattr(before, key)), form(getattr(after, key)), note

    def after_alone(key: str, shown: str, note: str = "") -> tuple[str, str, str, str]:
        return TITLES[key], "", shown, note

    upper, lower = after.ratio_p50_upper, after.agreement_lower
    slowest = "" if upper is None else f"at most {numbers.ratio(upper)} ({numbers.confidence(after.ratio_confidence)})"
    least = "" if lower is None else f"at least {_percent(lower)} ({numbers.confidence(after.confidence)})"
    steady_usual = _usual(result, "steady_rss_bytes", _bytes)
    rows = [
        both("size_bytes", _bytes, _size_note(before, after)),
        *([both("form_bytes", _bytes)] if before.form_bytes or after.form_bytes else []),
        *(both(f"latency_{name}_ms", lambda value: _number(value, " ms")) for name in ("p50", "p95", "p99")),
        after_alone("ratio_p50", _ratio(after.ratio_p50), slowest),
        after_alone("preference", "" if after.preference is None else numbers.signed(after.preference)),
        both("peak_rss_bytes", _bytes, "runtime and model" if after.peak_rss_bytes else ""),
        both("model_rss_bytes", _bytes, "without the runtime" if after.model_rss_bytes else ""),
        both("loaded_rss_bytes", _bytes, _usual(result, "loaded_rss_bytes", _bytes)),
        both("steady_rss_bytes", _bytes, _joined(_part(before, after, "steady_rss_bytes"), steady_usual)),
        *(both(key, _milliseconds, _usual(result, key, _milliseconds)) for key in ("load_ms", "first_ms")),
        after_alone("agreement", _percent(after.agreement), least),
        after_alone("disagreements", _of(after.disagreements, after.windows)),
        after_alone("sqnr_db", _number(after.sqnr_db, " dB")),
        both("accuracy", _percent),
        *_labelled(result.data.eval),
        ("method", _method(before), _method(after), _float_layers(after)),
        ("runtime", _runtime(before), _runtime(after), ""),
        ("threads", _number(before.threads, ""), _number(after.threads, ""), ""),
    ]
    return [row for row in rows if {*row[1:3]} - {"", _DASH} or row[3]]


def _labelled(shown: LabelledSet | None) -> list[tuple[str, str, str, str]]:
    """A row for each metric of the labelled set, and one for its windows; no rows if it was not opened."""
    if shown is None or shown.metrics is None:
        return []
    rows = []
    for metric in shown.metrics:
        form = _percent if metric.name == "accuracy" else _plain
        bound = "" if metric.drop_upper is None else f", at most {form(metric.drop_upper)} (95 %)"
        drop = "" if metric.drop is None else f"drop {form(metric.drop)}{bound}"
        rows.append((f"labelled {metric.name}", form(metric.reference), form(metric.target), drop))
    decides = "" if shown.decides else "does not decide"
    return [*rows, ("labelled windows", "", str(shown.windows), decides)]


def _usual(result: Result, key: str, form: Callable[[Any], str]) -> str:
    """The same number for float as an application usually loads it."""
    value = getattr(result.usual, key, None)
    return "" if value is None else f"float as usual: {form(value)}"


def _milliseconds(value: float | None) -> str:
    return _number(value, " ms")


def gates(result: Result) -> list[tuple[str, str, str, bool]]:
    """Rows of (gate, value, limit, passed) of the judged int8 model."""
    judged = result.judged
    return [
        (
            gate.title + (" (labelled set)" if gate.on == "eval" else ""),
            value,
            limit + (f", {100 * gate.margin:g} % margin" if gate.margin else ""),
            gate.passed,
        )
        for gate in (judged.gates if judged is not None else [])
        for value, limit in [gate_numbers(gate.name, gate.value, gate.limit, _DASH)]
    ]


def headline(report: JobReport) -> Text:
    """One line: the job's state on that device, and its code."""
    parts: list[str | tuple[str, str]] = [
        (report.device, "bold"),
        f"  {report.model} {report.version}  ",
        (report.status.replace("_", " "), _COLOURS.get(report.status, "cyan")),
    ]
    if report.code not in ("", "accepted", report.status):
        parts.append((f" {report.code}", "dim"))
    return Text.assemble(*parts)


def to_do(end: str, code: str, message: str) -> str:
    """The remedy for an end that is no success.

    Empty where the message has the remedy already, and for the codes of a newer version.
    """
    return remedy_for(code, message) if end in ("rejected", "failed", "refused") else ""


def render(report: JobReport) -> RenderableType:
    """The whole result of an ended job on one device, for a person."""
    parts: list[RenderableType] = [headline(report)]
    if report.message:
        parts.append(f"  {report.message}")
    if beyond := to_do(report.status, report.code, report.message):
        parts.append(f"  to do: {beyond}")
    if report.results:
        parts += [*_results(lenient(report.results, Result), report.status), ""]
    if report.release:
        parts.append(f"  release  {report.release}")
    if report.seconds:
        parts.append("  seconds  " + ", ".join(f"{stage} {took:.1f}" for stage, took in report.seconds.items()))
    return Group(*parts)


def _results(result: Result, status: str) -> list[RenderableType]:
    parts = list[RenderableType]()
    if result.reference is not None and result.judged is not None:
        parts += ["", _comparison_table(result)]
    if result.fp16 is not None:
        parts.append(Text(f"  fp16 was compared on the search set and not judged{_unmet(result.fp16)}"))
    if gates(result):
        parts += ["", _gate_table(result)]
    if outputs := result.told_outputs:
        parts += ["", _output_table(outputs)]
    if result.data.eval is not None and result.data.eval.classes:
        parts += ["", _class_table(result.data.eval.classes, judged_precision(result))]
    if status != "succeeded" and (layers := result.lossy_layers):
        parts += ["", _layer_table(layers)]
    if result.data.kept is not None:
        parts += ["", f"  data     {result.data.kept.message}"]
    return [*parts, *(Text.assemble(("  warning", "yellow"), f" {warning}") for warning in result.data.warnings)]


def _unmet(fp16: MeasuredModel) -> str:
    """What fp16 would be refused for by what the search set shows."""
    return f"; by that it would be refused: {fp16.message}" if fp16.message else ""


def show(reports: Iterable[JobReport]) -> None:
    """Print every report on stdout."""
    console = stdout_console()
    for report in reports:
        console.print(render(report))
        console.print()


def _comparison_table(result: Result) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("float", justify="right")
    table.add_column(judged_precision(result), justify="right")
    beside = _fp16(result)
    if beside:
        table.add_column("fp16", justify="right")
    table.add_column("")
    for what, before, after, note in comparison(result):
        table.add_row(f"  {what}", before, after, *([beside.get(what, "")] if beside else []), note)
    return table


def _fp16(result: Result) -> dict[str, str]:
    """What the rows say of fp16 where it was compared and not judged: title → number."""
    if result.fp16 is None:
        return {}
    rows = comparison(replace(result, chosen=result.fp16, data=Data()))
    return {what: shown for what, _, shown, _ in rows if what not in _HOW}


def _gate_table(result: Result) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading, justify in (("  gate", "left"), ("value", "right"), ("limit", "right"), ("", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal that mypy widens to str
    for name, value, limit, passed in gates(result):
        table.add_row(f"  {name}", value, limit, Text("pass", "green") if passed else Text("FAIL", "red"))
    return table


def _output_table(outputs: Sequence[OutputSummary]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading, justify in (("  output", "left"), ("kind", "left"), ("agreement", "right"), ("SQNR", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal that mypy widens to str
    for one in outputs:
        numbers = _percent(one.agreement), _number(one.sqnr_db, " dB")
        table.add_row(f"  {one.name}", one.kind, *numbers)
        for group in one.groups:
            table.add_row(f"    channels {group.channels}", "", "", _number(group.sqnr_db, " dB"))
        for kept in one.lost_classes[:_MAX_LAYERS]:
            windows = f"of {kept.windows} windows"
            table.add_row(f"    class {kept.label!s}", windows, _percent(kept.recall), "")
    return table


def _class_table(classes: Sequence[ClassLoss], name: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("  classes lost")
    for heading in ("windows", "float right", f"{name} right"):
        table.add_column(heading, justify="right")
    for loss in classes[:_MAX_LAYERS]:
        counts = (loss.windows, loss.float_right, loss.int8_right)
        table.add_row(f"  {loss.label!s}", *map(str, counts))
    return table


def _layer_table(layers: Sequence[LayerLoss]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("  worst layers", "op", "SQNR", "cause", "remedy"):
        table.add_column(heading)
    for layer in layers[:_MAX_LAYERS]:
        cells = (layer.op or _DASH, _number(layer.sqnr_db, " dB"), layer.cause or _DASH, layer.remedy or _DASH)
        table.add_row(f"  {layer.name}", *cells)
    return table


def _number(value: Any, unit: str) -> str:
    return _DASH if value is None else f"{value:.3g}{unit}"


def _ratio(value: float | None) -> str:
    return _DASH if value is None else numbers.ratio(value)


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


def _size_note(before: MeasuredModel, after: MeasuredModel) -> str:
    old, new = before.size_bytes, after.disk_bytes
    more = ", the optimised form included" if after.form_bytes else ""
    return f"{new / old:.2f} of float{more}" if old and new else ""


def _part(before: MeasuredModel, after: MeasuredModel, key: str) -> str:
    """The number of int8 as a part of float's."""
    old, new = getattr(before, key), getattr(after, key)
    return f"{new / old:.2f} of float" if old and new else ""


def _joined(*notes: str) -> str:
    return ", ".join(filter(None, notes))


def _of(part: int | None, whole: int | None) -> str:
    return _DASH if part is None or whole is None else f"{part} of {whole}"


def _method(model: MeasuredModel) -> str:
    return " ".join(filter(None, (model.method, model.calibration))) or _DASH


def _float_layers(model: MeasuredModel) -> str:
    return f"layers left float: {len(model.float_layers)}" if model.float_layers else ""


def _runtime(model: MeasuredModel) -> str:
    return " ".join(filter(None, (model.runtime, model.runtime_version))) or _DASH
