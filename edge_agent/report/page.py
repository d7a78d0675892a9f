"""The page as a whole: which parts there are, and in which order."""

import json
from collections.abc import Mapping
from typing import Any

from edge_agent import __version__
from edge_agent.backends import Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.jobs.result import judged, lossy
from edge_agent.report import shapes
from edge_agent.report.html import candidate, cards, pareto, tables
from edge_agent.report.html.labelled import labelled
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.report.html.style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Whatever a name in the page may try, a browser that heeds this loads and runs nothing."""
_DEFAULT_RANGES = "minmax"


def render(
    result: Mapping[str, Any],
    *,
    model: str,
    histograms: Mapping[str, Histogram],
    ranges: Mapping[str, Mapping[str, Range]],
) -> str:
    """The page of one result.

    Args:
        result: the result object, of any verdict.
        model: what the page calls the model, such as its file's name.
        histograms: tensor to histogram, as calibration left them; empty if it did not end.
        ranges: range method to tensor to range, likewise.

    Returns:
        A whole HTML document.
    """
    reference = result["reference"] or {}
    target = result["chosen"] or judged(result) or {}
    parts = [
        cards.verdict(result, model),
        cards.figures(reference, target),
        cards.comparison(reference, target, accepted=result["chosen"] is not None),
        cards.gates(target),
        labelled((result["data"] or {}).get("eval")),
        _candidates(result, target),
        _layers(result),
        _tensors(result, target, histograms, ranges),
        _facts(result),
        _whole(result),
    ]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", f"{model}: {result['verdict']}"),
        element("style", STYLE),
    )
    foot = element("footer", f"edge-agent {__version__}. Captured data are not in this page: statistics only.")
    return "<!doctype html>\n" + element("html", head, element("body", element("main", *parts, foot)), lang="en") + "\n"


def _candidates(result: Mapping[str, Any], target: Mapping[str, Any]) -> Markup:
    records = result["candidates"]
    if not records:
        return Markup()
    chosen = candidate.place(result["chosen"], records)
    limits = {str(gate["name"]): float(gate["limit"]) for gate in target.get("gates") or ()}
    plots = [
        pareto.plot(records, key, title, chosen=chosen, limits=limits)
        for key, title in (("sqnr_db", "SQNR"), ("agreement", "agreement with float"))
    ]
    what = (
        "Measured on the search set, which the verdict has not seen. Further left is faster, further up is closer to "
        "float; the line joins those that no other beats in both."
    )
    listed = tables.candidates(records, chosen)
    return _section("Candidates", element("p", what, class_="note"), element("div", *plots, class_="pair"), listed)


def _layers(result: Mapping[str, Any]) -> Markup:
    layers = lossy(result["layers"])
    if not layers:
        return Markup()
    what = "Where most signal is lost when a layer becomes int8 by itself, the worst first."
    return _section("Layers", element("p", what, class_="note"), tables.layers(layers))


def _tensors(
    result: Mapping[str, Any],
    target: Mapping[str, Any],
    histograms: Mapping[str, Histogram],
    ranges: Mapping[str, Mapping[str, Range]],
) -> Markup:
    method = target.get("calibration") if target.get("calibration") in ranges else _DEFAULT_RANGES
    shown = shapes.worst(histograms, ranges.get(str(method), {}), result["layers"])
    if not shown:
        return Markup()
    what = (
        f"What calibration saw of the tensors that lose most, and the ranges that {method} chose. Counts are on a "
        "logarithmic scale, zeros left out; what a range cuts off is marked. The SQNR is that of 256 even levels."
    )
    return _section("Ranges", element("p", what, class_="note"), shapes.cards(shown))


def _facts(result: Mapping[str, Any]) -> Markup:
    told = result["data"] or {}
    data = {key: value for key, value in told.items() if key not in ("enough", "eval", "findings", "kept", "warnings")}
    if kept := told.get("kept"):
        data["kept"] = kept["message"]
    data |= {f"enough, {split}": said["message"] for split, said in told.get("enough", {}).items()}
    named = (("Data", tables.facts(data)), ("Device", tables.facts(result["device"] or {})))
    columns = [element("article", element("h3", name), facts) for name, facts in named if "<dt" in facts]
    parts = [element("div", *columns, class_="pair")] if columns else []
    if result["seconds"]:
        parts.append(element("article", element("h3", "Seconds"), tables.seconds(result["seconds"])))
    return _section("Data, device, time", *parts)


def _whole(result: Mapping[str, Any]) -> Markup:
    text = json.dumps(result, indent=2, ensure_ascii=False)
    return element("details", element("summary", "Everything, as in report.json"), element("pre", text))


def _section(title: str, *children: str) -> Markup:
    return element("section", element("h2", title), join(*children))
