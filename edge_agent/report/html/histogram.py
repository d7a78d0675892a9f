"""Histograms of the tensors that lose most on their int8 grid, with the chosen ranges. Inline SVG.

A report may contain any numbers that JSON can hold. Numbers that make no picture are left out.
"""

import math
from collections.abc import Mapping

from edge_agent.jobs.result import Result
from edge_agent.jobs.value_histogram import MAX_BINS, MAX_HISTOGRAMS, ValueHistogram
from edge_agent.report.html import numbers
from edge_agent.report.html.cards import table
from edge_agent.report.html.markup import Markup, element

_WIDTH, _HEIGHT, _BASE, _HEAD = 288.0, 110.0, 92.0, 8.0
_ENDS = 0.8
"""Half a line's width, so that lines at the ends are not cut off."""
_BINS = {"from": True, "to": True, "values": True}


def of_layers(result: Result) -> dict[str, ValueHistogram]:
    """Tensor → its histogram, for the worst layers, in their order."""
    found = {layer.tensor: layer.histogram for layer in result.layers if layer.tensor and layer.histogram}
    return dict(list(found.items())[:MAX_HISTOGRAMS])


def cards(told: Mapping[str, ValueHistogram]) -> Markup:
    """One card per tensor."""
    return element("div", *(_card(name, one) for name, one in told.items()), class_="tensors")


def _card(name: str, one: ValueHistogram) -> Markup:
    facts = [
        f"range [{numbers.plain(one.range_low)}, {numbers.plain(one.range_high)}]",
        f"values [{numbers.plain(one.smallest)}, {numbers.plain(one.largest)}]",
        *([f"{numbers.share(one.zeros)} zeros"] if one.zeros else []),
    ]
    lost = "exact" if one.sqnr_db is None else numbers.decibel(one.sqnr_db)
    head = element("h3", element("span", name), element("b", lost))
    note = element("p", " · ".join(facts), class_="note")
    return element("article", head, _picture(name, one), note, _numbers(name, one))


def _numbers(name: str, one: ValueHistogram) -> Markup:
    """The picture as a table, for readers who cannot see it: the bins that hold any values."""
    rows = [
        element(
            "tr",
            element("td", numbers.plain(one.low + place * one.width), class_="n"),
            element("td", numbers.plain(one.low + (place + 1) * one.width), class_="n"),
            element("td", f"{count:,}", class_="n"),
        )
        for place, count in enumerate(one.counts[:MAX_BINS])
        if count > 0
    ]
    if not rows:
        return Markup()
    listed = table(_BINS, rows, "bins", f"Values of {name}")
    return element("details", element("summary", "The numbers"), listed)


def _picture(name: str, one: ValueHistogram) -> Markup:
    """Counts on a logarithmic scale, with values outside the range marked. Empty if the numbers make no picture."""
    counts = [math.log1p(max(count, 0)) for count in one.counts[:MAX_BINS]]
    span = one.width * len(counts)
    if not (0 < span < math.inf and all(map(math.isfinite, (one.low, one.range_low, one.range_high)))):
        return Markup()
    step, tallest = _WIDTH / len(counts), max(counts) or 1.0
    first, last = (_pixel(one, end, span) for end in (one.range_low, one.range_high))
    bars = []
    for index, count in enumerate(counts):
        if count > 0:
            tall = count / tallest * (_BASE - _HEAD)
            inside = first - step <= index * step <= last
            at, top, wide = f"{index * step:.1f}", f"{_BASE - tall:.1f}", f"{step - 0.4:.1f}"
            bars.append(
                element("rect", x=at, y=top, width=wide, height=f"{tall:.1f}", class_="in" if inside else "cut")
            )
    ends = [
        element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=0, y2=_BASE + 4, class_="end")
        for x in (max(first, _ENDS), min(last, _WIDTH - _ENDS))
    ]
    shade = element("rect", x=f"{first:.1f}", y=0, width=f"{max(last - first, 0):.1f}", height=_BASE, class_="range")
    base = element("line", x1=0, x2=_WIDTH, y1=_BASE, y2=_BASE, class_="base")
    zero = min(max(_pixel(one, 0.0, span), 4.0), _WIDTH - 4)
    mark = element("text", "0", x=f"{zero:.1f}", y=_HEIGHT - 4, text_anchor="middle")
    box = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    marks = (shade, *bars, base, *ends, mark)
    return element("svg", *marks, viewBox=box, role="img", aria_label=f"values of {name}", class_="picture")


def _pixel(one: ValueHistogram, value: float, span: float) -> float:
    """The horizontal position of a value; a value beyond the bins is at their end."""
    return min(max((value - one.low) / span, 0.0), 1.0) * _WIDTH
