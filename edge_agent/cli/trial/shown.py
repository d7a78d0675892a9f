"""The printed report of a trial. Pure."""

import re
from collections.abc import Callable, Iterable, Sequence

from edge_agent.advice.remedy import remedy_for
from edge_agent.cli.tables import plain_lines
from edge_agent.cli.trial.measured import Measured
from edge_agent.draft.guess import Stated
from edge_agent.jobs.precision import precision
from edge_agent.jobs.result import MeasuredModel, Result

_UNKNOWN = "-"
_MIB, _KIB = 1024 * 1024, 1024
_COPY = re.compile(r"\bmodel\.(?:onnx|tflite)\b")
"""The engine's name for its copy of the model."""
_SEE_LAYERS, _LAYERS = "see layers", "edge-agent quantize --report PAGE.html shows the layers that lose most"
_OPTIONS_OF_QUANTIZE = (" (--heldout)", " (--calibration)")


def _bytes(value: float) -> str:
    return f"{value / _KIB:,.1f} KiB" if value < _MIB else f"{value / _MIB:,.1f} MiB"


def _milliseconds(value: float) -> str:
    return f"{value:.3f} ms"


_LATENCY, _RATIO = "latency, median", "of float's time"
_ROWS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("size", "size_bytes", _bytes),
    (_LATENCY, "latency_p50_ms", _milliseconds),
    (_RATIO, "ratio_p50", "{:.2f}".format),
    ("memory of the model", "steady_rss_bytes", _bytes),
)


def guesses(stated: Sequence[Stated]) -> list[str]:
    """The guesses, a line each."""
    if not stated:
        return []
    return [
        "guessed from the model file:",
        *(f"  {one.about}: {one.what} ({one.why})" for one in stated),
        "",
    ]


def judged(result: Result, windows: int, model: str) -> list[str]:
    """A table of float, the judged model and compared fp16, and the verdict in a sentence."""
    lines = []
    target = result.judged
    if result.reference is not None and target is not None:
        header, beside = ["", "float", precision(target.method)], [target]
        if result.fp16 is not None:
            header, beside = [*header, "fp16, not judged"], [target, result.fp16]
        rows = _table(header, [result.reference, *beside])
        if target.agreement is not None:
            rows.append(["agreement", _UNKNOWN, *map(_agreement, beside)])
        lines += [*plain_lines(rows), ""]
    lines.append(f"{windows} windows were used; nothing of them is kept")
    lines += [f"warning: {here(warning, model)}" for warning in result.data.warnings]
    code = "" if result.code == result.verdict else f" ({result.code})"
    message = here(result.message, model)
    lines.append(f"{result.verdict}{code}: {message}")
    if result.verdict != "accepted" and (to_do := remedy_for(result.code, message)):
        lines.append(f"  to do: {_LAYERS if _SEE_LAYERS in to_do else to_do}")
    return lines


def unjudged(reference: MeasuredModel | None, found: Sequence[Measured], why: str, model: str) -> list[str]:
    """A table of float and each method's model, and a note that accuracy was not judged."""
    lines = []
    there = [one for one in found if one.record is not None]
    if reference is not None and there:
        header = ["", "float", *(one.method for one in there)]
        records = [one.record or MeasuredModel() for one in there]
        table = [row for row in _table(header, [reference, *records]) if row[0] not in (_LATENCY, _RATIO)]
        ratios = [_UNKNOWN if one.ratio_p50 is None else f"{one.ratio_p50:.2f} of it" for one in records]
        if reference.latency_p50_ms is not None:  # each method was timed beside float at another moment
            table.insert(2, [_LATENCY, _milliseconds(reference.latency_p50_ms), *ratios])
        lines += [*plain_lines(table), ""]
    lines += [f"{one.method}: {here(one.message, model)} ({one.code})" for one in found if one.record is None]
    lines.append(f"speed and size only, not judged: {why}")
    return lines


def here(text: str, model: str) -> str:
    """A sentence of the engine with this command's options and the operator's file name."""
    for option in _OPTIONS_OF_QUANTIZE:
        text = text.replace(option, "")
    return _COPY.sub(model, text)


def _table(header: list[str], models: Iterable[MeasuredModel]) -> list[list[str]]:
    rows = [header]
    told = list(models)
    for title, key, form in _ROWS:
        values = [getattr(one, key) for one in told]
        if any(value is not None for value in values):
            rows.append([title, *(_UNKNOWN if value is None else form(value) for value in values)])
    return rows


def _agreement(target: MeasuredModel) -> str:
    if target.agreement is None:
        return _UNKNOWN
    shown = f"{target.agreement:.1%} of {target.windows} windows"
    return shown if target.agreement_lower is None else f"{shown}, at least {target.agreement_lower:.1%}"
