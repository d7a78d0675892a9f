"""A result object as text for a person: float beside int8, the gates, and what to do. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from edge_agent.errors import CODES
from edge_agent.jobs.result import judged, lossy
from edge_agent.jobs.titles import TITLES

_UNKNOWN = "-"
_LAYERS_SHOWN = 5


def _number(digits: int, unit: str) -> Callable[[Any], str]:
    return lambda value: f"{value:.{digits}f}{unit}"


def _bytes(value: Any) -> str:
    return f"{value / 1024:,.1f} KiB" if value < 1024 * 1024 else f"{value / 1024 / 1024:,.1f} MiB"


def _percent(value: Any) -> str:
    return f"{value:.2%}"


_ROWS: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("size_bytes", _bytes),
    ("latency_p50_ms", _number(3, " ms")),
    ("latency_p95_ms", _number(3, " ms")),
    ("latency_p99_ms", _number(3, " ms")),
    ("ratio_p50", _number(3, "")),
    ("peak_rss_bytes", _bytes),
    ("model_rss_bytes", _bytes),
    ("accuracy", _percent),
    ("agreement", _percent),
    ("agreement_lower", _percent),
    ("sqnr_db", _number(1, " dB")),
)


def render(result: Mapping[str, Any]) -> str:
    """The result as lines of text, without a trailing newline."""
    target = result["chosen"] or judged(result)
    lines = []
    if target is not None or result["reference"] is not None:
        lines += [*_comparison(result["reference"] or {}, target or {}), ""]
    if shown := _labelled(result["data"].get("eval") or {}):
        lines += [*shown, ""]
    if target is not None and target["gates"]:
        lines += [*_gates(target["gates"]), ""]
    if result["verdict"] == "rejected" and (layers := lossy(result["layers"])):
        lines += [*_layers(layers), ""]
    lines += [f"warning: {warning}" for warning in result["data"]["warnings"]]
    code = "" if result["code"] == result["verdict"] else f" ({result['code']})"
    lines.append(f"{result['verdict']}{code}: {result['message']}")
    if result["verdict"] != "accepted":
        lines.append(f"to do: {CODES[result['code']].remedy}")
    return "\n".join(lines)


def _comparison(reference: Mapping[str, Any], target: Mapping[str, Any]) -> list[str]:
    cells = [("", "float", "int8")]
    for key, form in _ROWS:
        values = [record.get(key) for record in (reference, target)]
        if any(value is not None for value in values):
            left, right = (_UNKNOWN if value is None else form(value) for value in values)
            cells.append((TITLES[key], left, right))
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    return [f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}" for row in cells]


def _gates(gates: list[Mapping[str, Any]]) -> list[str]:
    lines = []
    for gate in gates:
        value = _UNKNOWN if gate["value"] is None else f"{gate['value']:.4g}"
        where = " on the labelled set" if gate.get("on") == "eval" else ""
        lines.append(
            f"{'pass' if gate['passed'] else 'FAIL'}  {gate['name']}{where}: {value} (limit {gate['limit']:g})"
        )
    return lines


def _labelled(shown: Mapping[str, Any]) -> list[str]:
    """What the labelled set says of both, a line a metric."""
    if "metrics" not in shown:
        return []
    decides = "" if shown["decides"] else ", which does not decide"
    lines = [f"labelled set of {shown['windows']} windows{decides}:"]
    for metric in shown["metrics"]:
        before, after, drop, upper = (
            _UNKNOWN if metric[key] is None else f"{metric[key]:.4g}" for key in ("float", "int8", "drop", "drop_upper")
        )
        bound = "" if upper == _UNKNOWN else f", at most {upper} (95 %)"
        lines.append(f"  {metric['name']}: float {before}, int8 {after}; drop {drop}{bound}")
    for loss in shown["classes"][:_LAYERS_SHOWN]:
        right = f"float {loss['float_right']}, int8 {loss['int8_right']}"
        lines.append(f"  class {loss['label']}: of {loss['windows']} windows right: {right}")
    return lines


def _layers(layers: list[Mapping[str, Any]]) -> list[str]:
    lines = ["worst layers:"]
    for layer in layers[:_LAYERS_SHOWN]:
        sqnr = _UNKNOWN if layer["sqnr_db"] is None else f"{layer['sqnr_db']:.1f} dB"
        lines.append(f"  {layer['name']} ({layer['op']}): {sqnr}; {layer['cause']}; {layer['remedy']}")
    return lines
