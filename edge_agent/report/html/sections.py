"""The parts of a result's page below its verdict, and their order. Pure.

The page of one result and the host's page of a job share these parts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from edge_agent.advice.remedy import remedy_for
from edge_agent.errors import CODES
from edge_agent.jobs.precision import judged_precision
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.value_histogram import ValueHistogram
from edge_agent.report.html import candidate, cards, histogram, pareto, tables
from edge_agent.report.html.labelled import labelled
from edge_agent.report.html.markup import Markup, element, join

_ELSEWHERE = frozenset(
    {"classes", "detections", "outputs", "output_options", "enough", "eval", "findings", "kept", "warnings"}
)
"""Keys of ``data`` that other parts show, so the list of facts leaves them out."""
_CODES = {"why": False, "how many": True, "what it means": False, "what to do": False}
_FINDINGS = {"finding": False, "what was seen": False, "what to do": False}


def sections(result: Result, histograms: Mapping[str, ValueHistogram], range_method: str = "") -> list[Markup]:
    """Every part that is not empty.

    Args:
        result: the result object, of any verdict, or of none yet.
        histograms: tensor to its values in calibration.
        range_method: the method that chose their ranges.
    """
    reference, target = result.reference or MeasuredModel(), result.judged or MeasuredModel()
    parts = [
        cards.figures(reference, target),
        cards.gates(target),
        cards.comparison(result, reference, target),
        _outputs(result),
        labelled(result.data.eval, judged_precision(result)),
        _findings(result),
        _candidates(result, target),
        _layers(result),
        _tensors(histograms, range_method),
        _facts(result),
    ]
    return [part for part in parts if part]


def other_warnings(result: Result) -> list[str]:
    """The warnings without the findings about the data, which have a part of their own."""
    found = {one.message for one in result.data.findings}
    return [one for one in result.data.warnings if one not in found]


def _findings(result: Result) -> Markup:
    """The findings about the data, each with its remedy."""
    found = result.data.findings
    if not found:
        return Markup()
    rows = [
        element(
            "tr",
            element("th", element("code", one.code), element("small", " refuses them" * one.refuse), scope="row"),
            element("td", one.message),
            element("td", remedy_for(one.code, one.message)),
        )
        for one in found
    ]
    return _section("Data findings", cards.table(_FINDINGS, rows, "findings", "Data findings"))


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
    but = " Candidates that the held-out set rejected show the numbers of that set." if judged else ""
    what = (
        f"Measured on the search set, which the verdict does not use.{but} Further left is faster, further up is "
        "closer to float. The line joins the candidates that no other beats in both."
    )
    listed = tables.candidates(models, chosen)
    pictures = element("div", *plots, class_="pair")
    return _section("Candidates", element("p", what, class_="note"), pictures, listed, _codes(models))


def _codes(models: Sequence[MeasuredModel]) -> Markup:
    """Each code that dropped candidates, once, with its remedy."""
    found = Counter(one.code for one in models if one.code in CODES)
    if not found:
        return Markup()
    rows = [
        element(
            "tr",
            element("th", element("code", code), scope="row"),
            element("td", str(count), class_="n"),
            element("td", CODES[code].meaning),
            element("td", CODES[code].remedy),
        )
        for code, count in found.most_common()
        if code
    ]
    return join(element("h3", "Why candidates were dropped"), cards.table(_CODES, rows, "codes"))


def _outputs(result: Result) -> Markup:
    outputs = result.told_outputs
    if not outputs:
        return Markup()
    what = (
        f"{judged_precision(result)} against float for each output. Channels of different scales are judged apart, and "
        "the worst group counts."
    )
    return _section("Outputs", element("p", what, class_="note"), tables.outputs(outputs))


def _layers(result: Result) -> Markup:
    layers = result.lossy_layers
    if not layers:
        return Markup()
    what = "The layers that lose most signal when they alone become int8, the worst first."
    return _section("Layers", element("p", what, class_="note"), tables.layers(layers))


def _tensors(histograms: Mapping[str, ValueHistogram], range_method: str) -> Markup:
    if not histograms:
        return Markup()
    chose = f" that {range_method} chose" if range_method else ""
    what = (
        f"Values in calibration of the tensors that lose most, and the ranges{chose}. Counts are on a logarithmic "
        "scale, without zeros. Values outside a range are marked. The SQNR is that of 256 even levels."
    )
    return _section("Ranges", element("p", what, class_="note"), histogram.cards(histograms))


def _facts(result: Result) -> Markup:
    told = msgspec.to_builtins(result.data)
    data: dict[str, Any] = {key: value for key, value in told.items() if key not in _ELSEWHERE}
    if result.data.kept is not None:
        data["kept"] = result.data.kept.message
    if (boxes := result.data.detections) is not None:
        name = judged_precision(result)
        data[f"float's boxes that {name} finds"] = f"{boxes.found} of {boxes.reference}"
        data[f"{name}'s boxes that float has"] = f"{boxes.confirmed} of {boxes.target}"
    data |= {f"enough, {split}": said["message"] for split, said in told["enough"].items() if said}
    named = (("Data", tables.facts(data)), ("Device", tables.facts(msgspec.to_builtins(result.device))))
    columns = [element("article", element("h3", name), facts) for name, facts in named if "<dt" in facts]
    parts = [element("div", *columns, class_="pair")] if columns else []
    if result.seconds:
        parts.append(element("article", element("h3", "Seconds"), tables.seconds(result.seconds)))
    return _section("Data, device, time", *parts) if parts else Markup()


def _section(title: str, *children: str) -> Markup:
    return element("section", element("h2", title), join(*children))
