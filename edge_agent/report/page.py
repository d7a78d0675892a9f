"""The page as a whole: which parts there are, and in which order."""

from collections.abc import Mapping

import msgspec

from edge_agent import __version__
from edge_agent.backends import Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.summary import worst
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.report.html import candidate, cards, histogram, pareto, tables
from edge_agent.report.html.labelled import labelled
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.report.html.style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Whatever a name in the page may try, a browser that heeds this loads and runs nothing."""
_DEFAULT_RANGES = "minmax"
_ELSEWHERE = frozenset(
    {"classes", "detections", "outputs", "output_options", "enough", "eval", "findings", "kept", "warnings"}
)
"""What the page says of the data in other places than the list of facts."""


def render(
    result: Result,
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
    reference, target = result.reference or MeasuredModel(), result.judged or MeasuredModel()
    parts = [
        cards.verdict(result, model),
        cards.figures(reference, target),
        cards.comparison(reference, target, accepted=result.chosen is not None),
        cards.gates(target),
        _outputs(result),
        labelled(result.data.eval),
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
        element("title", f"{model}: {result.verdict}"),
        element("style", STYLE),
    )
    foot = element("footer", f"edge-agent {__version__}. Captured data are not in this page: statistics only.")
    return "<!doctype html>\n" + element("html", head, element("body", element("main", *parts, foot)), lang="en") + "\n"


def _candidates(result: Result, target: MeasuredModel) -> Markup:
    models = result.candidates
    if not models:
        return Markup()
    chosen = candidate.place(result.chosen, models)
    limits = {gate.name: gate.limit for gate in target.gates if gate.limit is not None}
    plots = [
        pareto.plot(models, key, title, chosen=chosen, limits=limits)
        for key, title in (("sqnr_db", "SQNR"), ("agreement", "agreement with float"))
    ]
    judged = any(one.agreement_lower is not None for one in models)
    but = " What was refused by the held-out set shows what that said." if judged else ""
    what = (
        f"Measured on the search set, which the verdict has not seen.{but} Further left is faster, further up is "
        "closer to float; the line joins those that no other beats in both."
    )
    listed = tables.candidates(models, chosen)
    return _section("Candidates", element("p", what, class_="note"), element("div", *plots, class_="pair"), listed)


def _outputs(result: Result) -> Markup:
    outputs = result.told_outputs
    if not outputs:
        return Markup()
    what = "What int8 makes of each output. Channels whose scales differ are judged apart, and the worst group counts."
    return _section("Outputs", element("p", what, class_="note"), tables.outputs(outputs))


def _layers(result: Result) -> Markup:
    layers = result.lossy_layers
    if not layers:
        return Markup()
    what = "Where most signal is lost when a layer becomes int8 by itself, the worst first."
    return _section("Layers", element("p", what, class_="note"), tables.layers(layers))


def _tensors(
    result: Result,
    target: MeasuredModel,
    histograms: Mapping[str, Histogram],
    ranges: Mapping[str, Mapping[str, Range]],
) -> Markup:
    method = target.calibration if target.calibration in ranges else _DEFAULT_RANGES
    shown = histogram.of_layers(result) or worst(histograms, ranges.get(str(method), {}))
    if not shown:
        return Markup()
    what = (
        f"What calibration saw of the tensors that lose most, and the ranges that {method} chose. Counts are on a "
        "logarithmic scale, zeros left out; what a range cuts off is marked. The SQNR is that of 256 even levels."
    )
    return _section("Ranges", element("p", what, class_="note"), histogram.cards(shown))


def _facts(result: Result) -> Markup:
    told = msgspec.to_builtins(result.data)
    data = {key: value for key, value in told.items() if key not in _ELSEWHERE}
    if result.data.kept is not None:
        data["kept"] = result.data.kept.message
    if (boxes := result.data.detections) is not None:
        data["float's boxes that int8 finds"] = f"{boxes.found} of {boxes.reference}"
        data["int8's boxes that float has"] = f"{boxes.confirmed} of {boxes.target}"
    data |= {f"enough, {split}": said["message"] for split, said in told["enough"].items()}
    named = (("Data", tables.facts(data)), ("Device", tables.facts(msgspec.to_builtins(result.device))))
    columns = [element("article", element("h3", name), facts) for name, facts in named if "<dt" in facts]
    parts = [element("div", *columns, class_="pair")] if columns else []
    if result.seconds:
        parts.append(element("article", element("h3", "Seconds"), tables.seconds(result.seconds)))
    return _section("Data, device, time", *parts)


def _whole(result: Result) -> Markup:
    text = msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
    return element("details", element("summary", "Everything, as in report.json"), element("pre", text))


def _section(title: str, *children: str) -> Markup:
    return element("section", element("h2", title), join(*children))
