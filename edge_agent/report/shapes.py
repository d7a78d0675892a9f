"""Histograms of the tensors that lose most on their int8 grid, with the ranges that were chosen. Inline SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Cells, Histogram
from edge_agent.calibration.mse import expected_error
from edge_agent.jobs.result import LayerLoss
from edge_agent.report.html import numbers
from edge_agent.report.html.markup import Markup, element

SHOWN = 9
_COLUMNS = 96
_WIDTH, _HEIGHT, _BASE = 288.0, 110.0, 92.0
_STEPS = 255


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its values, its range, and the SQNR to expect of it on 256 levels."""

    name: str
    histogram: Histogram
    range: Range
    sqnr_db: float


def worst(
    histograms: Mapping[str, Histogram], ranges: Mapping[str, Range], layers: Sequence[LayerLoss]
) -> list[Tensor]:
    """The tensors that ``layers`` lose most by, in their order; without layers, those with the least SQNR to expect."""
    named = [layer.tensor for layer in layers if layer.tensor]
    tensors = [
        Tensor(name, histograms[name], ranges[name], expected_sqnr_db(histograms[name].cells(), ranges[name]))
        for name in dict.fromkeys(named or histograms)
        if name in histograms and name in ranges and histograms[name].total > histograms[name].zeros
    ]
    return (tensors if named else sorted(tensors, key=lambda one: one.sqnr_db))[:SHOWN]


def expected_sqnr_db(cells: Cells, found: Range) -> float:
    """Power of the values over that of the error of their 256 levels, values taken as even within a cell."""
    middle, width = (cells.low + cells.high) / 2, cells.high - cells.low
    power = float(np.dot(cells.counts, middle * middle + width * width / 12))
    error = expected_error(cells, found.low, found.high, _STEPS)
    return 10 * math.log10(power / error) if power > 0 and error > 0 else math.inf


def cards(tensors: Sequence[Tensor]) -> Markup:
    """One card a tensor."""
    return element("div", *(_card(one) for one in tensors), class_="tensors")


def columns(histogram: Histogram, low: float, high: float, count: int = _COLUMNS) -> NDArray[np.float64]:
    """How many values other than zero lie in each of ``count`` equal parts of [low, high]."""
    cells = histogram.cells()
    ends = np.column_stack((cells.low, np.maximum(cells.high, np.nextafter(cells.low, math.inf)))).ravel()
    sums = np.concatenate(([0.0], np.cumsum(cells.counts)))
    below = np.column_stack((sums[:-1], sums[1:])).ravel()
    edges = np.linspace(low, high, count + 1)
    edges[-1] = math.inf  # the largest value belongs to the last column, whatever rounding did to its edge
    return np.diff(np.interp(edges, ends, below, left=0.0, right=sums[-1]))


def _card(one: Tensor) -> Markup:
    histogram = one.histogram
    low, high = min(histogram.low, one.range.low), max(histogram.high, one.range.high)
    zeros = histogram.zeros / histogram.total
    facts = [
        f"range [{numbers.plain(one.range.low)}, {numbers.plain(one.range.high)}]",
        f"values [{numbers.plain(histogram.low)}, {numbers.plain(histogram.high)}]",
        *([f"{numbers.share(zeros)} zeros"] if zeros else []),
    ]
    lost = "exact" if math.isinf(one.sqnr_db) else numbers.decibel(one.sqnr_db)
    head = element("h3", element("span", one.name), element("b", lost))
    return element("article", head, _picture(one, low, high), element("p", " · ".join(facts), class_="note"))


def _picture(one: Tensor, low: float, high: float) -> Markup:
    """Counts on a logarithmic scale; what the range cuts off is marked."""
    heights = np.log1p(columns(one.histogram, low, high))
    heights *= (_BASE - 8) / max(float(heights.max()), 1e-9)
    step, span = _WIDTH / _COLUMNS, high - low or 1.0
    first, last = ((end - low) / span * _WIDTH for end in (one.range.low, one.range.high))
    bars = []
    for index, height in enumerate(heights):
        if height > 0:
            inside = first - step <= index * step <= last
            at, top, wide = f"{index * step:.1f}", f"{_BASE - height:.1f}", f"{step - 0.4:.1f}"
            bars.append(
                element("rect", x=at, y=top, width=wide, height=f"{height:.1f}", class_="in" if inside else "cut")
            )
    ends = [
        element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=0, y2=_BASE + 4, class_="end")
        for x in (max(first, 0.8), min(last, _WIDTH - 0.8))
    ]
    shade = element("rect", x=f"{first:.1f}", y=0, width=f"{last - first:.1f}", height=_BASE, class_="range")
    base = element("line", x1=0, x2=_WIDTH, y1=_BASE, y2=_BASE, class_="base")
    zero = (0.0 - low) / span * _WIDTH
    mark = element("text", "0", x=f"{min(max(zero, 4), _WIDTH - 4):.1f}", y=_HEIGHT - 4, text_anchor="middle")
    label = f"values of {one.name}"
    return element(
        "svg", shade, *bars, base, *ends, mark, viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}", role="img", aria_label=label
    )
