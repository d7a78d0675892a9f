"""A result object as text for a person: float beside int8, the gates, and the remedy. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence

from edge_agent.advice.remedy import remedy_for
from edge_agent.jobs.data_summary import LabelledSet
from edge_agent.jobs.digits import gate_numbers
from edge_agent.jobs.measured_outputs import DetectionsKept, OutputSummary
from edge_agent.jobs.precision import judged_precision, precision
from edge_agent.jobs.result import GateResult, LayerLoss, MeasuredModel, Result
from edge_agent.jobs.titles import TITLES
from edge_agent.printable import printable

_UNKNOWN = "-"
_LAYERS_SHOWN = 5
_CLASSES_SHOWN = 3


def _number(digits: int, unit: str) -> Callable[[float], str]:
    return lambda value: f"{value:.{digits}f}{unit}"


def _decibels(value: float) -> str:
    """Decibels; an error without a bound (int8 gives NaN) has no number."""
    return _UNKNOWN if value == -math.inf else f"{value:.1f} dB"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _bytes(value: float) -> str:
    return f"{value / 1024:,.1f} KiB" if value < 1024 * 1024 else f"{value / 1024 / 1024:,.1f} MiB"


def _percent(value: float) -> str:
    return f"{value:.2%}"


_ROWS: tuple[tuple[str, Callable[[float], str]], ...] = (
    ("size_bytes", _bytes),
    ("form_bytes", _bytes),
    ("latency_p50_ms", _number(3, " ms")),
    ("latency_p95_ms", _number(3, " ms")),
    ("latency_p99_ms", _number(3, " ms")),
    ("ratio_p50", _number(3, "")),
    ("ratio_p50_upper", _number(3, "")),
    ("preference", _signed),
    ("peak_rss_bytes", _bytes),
    ("model_rss_bytes", _bytes),
    ("loaded_rss_bytes", _bytes),
    ("steady_rss_bytes", _bytes),
    ("load_ms", _number(1, " ms")),
    ("first_ms", _number(3, " ms")),
    ("accuracy", _percent),
    ("agreement", _percent),
    ("agreement_lower", _percent),
    ("sqnr_db", _decibels),
)


def render(result: Result) -> str:
    """The result as lines of text, without a trailing newline."""
    target = result.judged
    name = judged_precision(result)
    lines = []
    if target is not None or result.reference is not None:
        models = result.reference or MeasuredModel(), target or MeasuredModel()
        lines += [*_comparison(*models, result.fp16), ""]
    if result.fp16 is not None:
        lines += [_not_judged(result.fp16), ""]
    if result.usual is not None:
        known = [(key, form, getattr(result.usual, key)) for key, form in _ROWS]
        shown = [f"{TITLES[key]} {form(value)}" for key, form, value in known if value is not None]
        lines += [f"float as an application usually loads it: {', '.join(shown)}", ""]
    if result.data.eval is not None and (shown := _labelled(result.data.eval, name)):
        lines += [*shown, ""]
    if target is not None and target.gates:
        lines += [*_gates(target.gates), ""]
    if outputs := result.told_outputs:
        lines += [*_outputs(outputs), ""]
    if result.data.detections is not None:
        lines += [*_detections(result.data.detections, name), ""]
    if result.verdict == "rejected" and (layers := result.lossy_layers):
        lines += [*_layers(layers), ""]
    lines += [f"warning: {warning}" for warning in result.data.warnings]
    code = "" if result.code == result.verdict else f" ({result.code})"
    lines.append(f"{result.verdict}{code}: {result.message}")
    if result.verdict != "accepted" and (to_do := remedy_for(result.code, result.message)):
        lines.append(f"to do: {to_do}")
    return "\n".join(map(printable, lines))


def _comparison(reference: MeasuredModel, target: MeasuredModel, fp16: MeasuredModel | None) -> list[str]:
    """A table of float, of what was judged, and of fp16 where it was compared and not judged."""
    models = [reference, target, *([] if fp16 is None else [fp16])]
    cells = [["", "float", precision(target.method), *([] if fp16 is None else ["fp16"])]]
    for key, form in _ROWS:
        values = [getattr(model, key) for model in models]
        if any(value is not None for value in values):
            cells.append([TITLES[key], *(_UNKNOWN if value is None else form(value) for value in values)])
    first, *widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join([f"{row[0]:<{first}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths, strict=True))])
        for row in cells
    ]


def _not_judged(fp16: MeasuredModel) -> str:
    windows = f"{fp16.windows} windows of the search set"
    unmet = f"; by that it would be refused: {fp16.message}" if fp16.message else ""
    return f"fp16 was compared on {windows} and not judged{unmet}"


def _gates(gates: Iterable[GateResult]) -> list[str]:
    lines = []
    for gate in gates:
        value, limit = gate_numbers(gate.name, gate.value, gate.limit, _UNKNOWN)
        where = " on the labelled set" if gate.on == "eval" else ""
        margin = f", a margin of {100 * gate.margin:g} % included" if gate.margin else ""
        lines.append(f"{'pass' if gate.passed else 'FAIL'}  {gate.title}{where}: {value} (limit {limit}{margin})")
    return lines


def _outputs(outputs: Iterable[OutputSummary]) -> list[str]:
    lines = ["outputs:"]
    for one in outputs:
        agreement = _UNKNOWN if one.agreement is None else _percent(one.agreement)
        lines.append(f"  {one.name} ({one.kind}): agreement {agreement}, SQNR {_decibel(one.sqnr_db)}")
        lines += [f"    channels {group.channels}: SQNR {_decibel(group.sqnr_db)}" for group in one.groups]
        lines += [
            f"    class {kept.label}: {_percent(kept.recall)} of {kept.windows} windows kept, at least "
            f"{_percent(kept.recall_lower)}"
            for kept in one.lost_classes[:_CLASSES_SHOWN]
        ]
    return lines


def _detections(kept: DetectionsKept, name: str) -> list[str]:
    parts = (
        (f"float's boxes that {name} finds", kept.found, kept.reference, kept.recall_lower),
        (f"{name}'s boxes that float has", kept.confirmed, kept.target, kept.precision_lower),
    )
    return [
        f"{what}: {part} of {whole}" + ("" if lower is None else f", at least {_percent(lower)}")
        for what, part, whole, lower in parts
    ]


def _decibel(value: float | None) -> str:
    return _UNKNOWN if value is None else _decibels(value)


def _labelled(shown: LabelledSet, name: str) -> list[str]:
    """The labelled set's results for both, a line per metric; no lines if it was not opened."""
    if shown.metrics is None:
        return []
    decides = "" if shown.decides else ", which does not decide"
    lines = [f"labelled set of {shown.windows} windows{decides}:"]
    for metric in shown.metrics:
        before, after, drop, upper = (
            _UNKNOWN if value is None else f"{value:.4g}"
            for value in (metric.reference, metric.target, metric.drop, metric.drop_upper)
        )
        bound = "" if upper == _UNKNOWN else f", at most {upper} (95 %)"
        lines.append(f"  {metric.name}: float {before}, {name} {after}; drop {drop}{bound}")
    for loss in (shown.classes or [])[:_LAYERS_SHOWN]:
        right = f"float {loss.float_right}, {name} {loss.int8_right}"
        lines.append(f"  class {loss.label}: of {loss.windows} windows right: {right}")
    return lines


def _layers(layers: Sequence[LayerLoss]) -> list[str]:
    rows = []
    for one in layers[:_LAYERS_SHOWN]:
        op, cause, remedy = (text or _UNKNOWN for text in (one.op, one.cause, one.remedy))
        rows.append(f"  {one.name} ({op}): {_decibel(one.sqnr_db)}; {cause}; {remedy}")
    return ["worst layers:", *rows]
