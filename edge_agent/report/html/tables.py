"""The tables of the page: candidates, layers, data, device, and the seconds of each stage."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge_agent.advice.remedy import remedy_for
from edge_agent.jobs.measured_outputs import ClassKept, GroupError, OutputSummary
from edge_agent.jobs.result import LayerLoss, MeasuredModel
from edge_agent.report.html import candidate, numbers
from edge_agent.report.html.cards import table
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.report.html.meter import meter

_CANDIDATES = {
    "no.": False,
    "candidate": False,
    "latency ratio": True,
    "p50": True,
    "agreement": True,
    "SQNR": True,
    "size": True,
    "preference": True,
    "how it ended": False,
}
_LAYERS = {
    "layer": False,
    "SQNR": True,
    "weights": True,
    "activations": True,
    "cause": False,
    "remedy": False,
    "cost in float": True,
}
_OUTPUTS = {"output": False, "kind": False, "agreement": True, "SQNR": True, "note": False}
_FAITHFUL_DB = 40.0
"""A layer's bar is full from this SQNR on."""
_COLOURS = 5


def candidates(models: Sequence[MeasuredModel], chosen: int | None) -> Markup:
    """Every candidate with its number in the plots, and how it ended."""
    return table(
        _CANDIDATES, [_candidate(number, one, chosen) for number, one in enumerate(models)], "wide", "Candidates"
    )


def layers(told: Sequence[LayerLoss]) -> Markup:
    """The worst layers, with cause and remedy."""
    return table(_LAYERS, [_layer(one) for one in told], "wide layers", "Layers")


def outputs(told: Sequence[OutputSummary]) -> Markup:
    """Every output of the model, and its groups of channels where their scales differ."""
    return table(_OUTPUTS, [row for one in told for row in _output(one)], "wide", "Outputs")


def facts(told: Mapping[str, Any]) -> Markup:
    """Names and values; a nested one is named by its path."""
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in _flat(told)]
    return element("dl", *pairs, class_="facts")


def seconds(took: Mapping[str, Any]) -> Markup:
    """The time of each stage, as a bar and in numbers."""
    known = {stage: max(float(one), 0.0) for stage, one in took.items() if isinstance(one, int | float)}
    whole = sum(known.values()) or 1.0
    bar, begin = [], 0.0
    for place, (stage, one) in enumerate(known.items()):
        wide = 100 * one / whole
        part = element(
            "rect", element("title", stage), x=f"{begin:.2f}", width=f"{wide:.2f}", height=14, class_=_part(place)
        )
        bar.append(part)
        begin += wide
    names = [
        element("li", element("i", class_=_part(place)), stage, " ", element("b", numbers.seconds(one)))
        for place, (stage, one) in enumerate(known.items())
    ]
    total = element("li", "in all ", element("b", numbers.seconds(sum(known.values()))))
    picture = element("svg", *bar, viewBox="0 0 100 14", preserveAspectRatio="none", aria_hidden="true", class_="times")
    return join(picture, element("ul", *names, total, class_="times-names"))


def _part(place: int) -> str:
    """The class of a stage's colour."""
    return f"p{place % _COLOURS}"


def _candidate(number: int, model: MeasuredModel, chosen: int | None) -> Markup:
    why = model.message or model.code or ""
    if number == chosen:
        end: str = element("span", "chosen", class_="ok")
    elif why:
        end = why
    else:
        end = "on the front" if model.pareto else ""
    cells = [
        element("th", str(number + 1), scope="row"),
        element("td", candidate.label(model)),
        element("td", numbers.known(numbers.ratio, model.ratio_p50), class_="n"),
        element("td", numbers.known(numbers.milliseconds, model.latency_p50_ms), class_="n"),
        element("td", numbers.known(numbers.share, model.agreement), class_="n"),
        element("td", numbers.known(numbers.decibel, model.sqnr_db), class_="n"),
        element("td", numbers.known(numbers.size, model.disk_bytes), class_="n"),
        element("td", numbers.known(numbers.signed, model.preference), class_="n"),
        element("td", end, class_="note"),
    ]
    return element("tr", *cells, class_="is-chosen" if number == chosen else None)


def _layer(layer: LayerLoss) -> Markup:
    sqnr = layer.sqnr_db
    bar = Markup() if sqnr is None else meter(sqnr / _FAITHFUL_DB)
    cells = [
        element("th", layer.name, element("small", layer.op or ""), scope="row"),
        element("td", numbers.known(numbers.decibel, sqnr), bar, class_="n"),
        element("td", numbers.known(numbers.decibel, layer.weights_sqnr_db), class_="n"),
        element("td", numbers.known(numbers.decibel, layer.activations_sqnr_db), class_="n"),
        element("td", layer.cause or ""),
        element("td", layer.remedy or ""),
        element("td", numbers.known(numbers.milliseconds, layer.float_cost_ms), class_="n"),
    ]
    return element("tr", *cells)


def _output(one: OutputSummary) -> list[Markup]:
    first = element(
        "tr",
        element("th", one.name, scope="row"),
        element("td", one.kind),
        element("td", numbers.known(numbers.share, one.agreement), class_="n"),
        element("td", numbers.known(numbers.decibel, one.sqnr_db), class_="n"),
        element("td", one.message, _to_do(one), class_="note"),
    )
    return [first, *(_group(group) for group in one.groups), *(_kept(kept) for kept in one.lost_classes)]


def _to_do(one: OutputSummary) -> Markup:
    advice = remedy_for(one.code, one.message) if one.code else ""
    return element("p", element("b", "To do: "), advice) if advice else Markup()


def _kept(kept: ClassKept) -> Markup:
    proved = f"of the {kept.windows} windows to which float gives it; at least {numbers.share(kept.recall_lower)}"
    return element(
        "tr",
        element("td", element("small", f"class {kept.label}")),
        element("td", "kept"),
        element("td", numbers.share(kept.recall), class_="n"),
        element("td"),
        element("td", proved, class_="note"),
    )


def _group(group: GroupError) -> Markup:
    why = f"{group.why_not}: not judged" if group.why_not else ""
    return element(
        "tr",
        element("td", element("small", f"channels {group.channels}")),
        element("td", "up to ", numbers.known(numbers.plain, group.peak)),
        element("td"),
        element("td", numbers.known(numbers.decibel, group.sqnr_db), class_="n"),
        element("td", why, class_="note"),
    )


def _flat(told: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, str]]:
    for key, value in told.items():
        name = f"{path}{key.replace('_', ' ')}"
        match value:
            case dict():
                yield from _flat(value, f"{name}, ")
            case None | "" | []:
                continue
            case list():
                yield name, ", ".join(map(str, value))
            case bool() | str():
                yield name, str(value)
            case _ if key.endswith("_bytes"):
                yield name.removesuffix(" bytes"), numbers.size(value)
            case _:
                yield name, numbers.plain(value)
