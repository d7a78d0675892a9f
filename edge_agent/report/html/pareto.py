"""Candidates as points: latency ratio against closeness to float. Inline SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge_agent.jobs.result import MeasuredModel
from edge_agent.report.html import candidate, numbers
from edge_agent.report.html.markup import Markup, element

_WIDTH, _HEIGHT = 520.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 30.0, 18.0, 46.0
_TICKS = 5
_NEAR = 13.0
"""Points closer than this many pixels share one label."""


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    @property
    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * step / (_TICKS - 1) for step in range(_TICKS)]


def plot(
    candidates: Sequence[MeasuredModel], key: str, title: str, *, chosen: int | None, limits: Mapping[str, float]
) -> Markup:
    """Every candidate that has both values, with its number in the table.

    Args:
        candidates: in the order of the table.
        key: ``agreement`` or ``sqnr_db``, upwards.
        title: the title of the vertical axis.
        chosen: the index of the chosen candidate.
        limits: gate to limit; ``max_latency_ratio`` is drawn.

    Returns:
        Empty markup if all candidates with both values are equally close to float.
    """
    points = [
        (number, model.ratio_p50, float(getattr(model, key)))
        for number, model in enumerate(candidates)
        if model.ratio_p50 is not None and getattr(model, key) is not None
    ]
    if len({y for _, _, y in points}) < 2:  # noqa: PLR2004  # nothing to choose between
        return Markup()
    agreement = key == "agreement"
    across = _axis([x for _, x, _ in points], _LEFT, _WIDTH - _RIGHT, least=0.1)
    upward = _axis(
        [y for _, _, y in points],
        _HEIGHT - _BOTTOM,
        _TOP,
        least=0.01 if agreement else 2.0,
        most=1.0 if agreement else math.inf,
    )
    form = numbers.share if agreement else numbers.decibel
    limit = limits.get("max_latency_ratio") or 1.0
    marks = [*_grid(across, upward, form), _front(candidates, points, across, upward)]
    if across.low <= limit <= across.high:
        marks.append(_limit(across.at(limit), limit))
    placed = [(number, across.at(x), upward.at(y)) for number, x, y in points]
    marks += [_dot(number, candidates[number], x, y, chosen=number == chosen) for number, x, y in placed]
    if chosen is not None and chosen < len(candidates):
        marks += [_dot(number, candidates[number], x, y, chosen=True) for number, x, y in placed if number == chosen]
    marks += _labels(placed, chosen)
    marks.append(_text("latency ratio (p50)", (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "middle", "axis"))
    picture = element(
        "svg",
        *marks,
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        role="img",
        aria_label=f"{title} over time",
        class_="picture",
    )
    return element("figure", element("figcaption", title), picture, class_="pareto")


def _axis(values: list[float], first: float, last: float, *, least: float, most: float = math.inf) -> _Axis:
    """An axis for ``values`` up to ``most``, at least ``least`` long, so that noise does not look like a difference."""
    middle, half = (min(values) + max(values)) / 2, max(max(values) - min(values), least) * 0.58
    return _Axis(middle - half, min(middle + half, most), first, last)


def _grid(across: _Axis, upward: _Axis, form: Callable[[float], str]) -> list[Markup]:
    marks = []
    for tick in upward.ticks:
        y = upward.at(tick)
        marks.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        marks.append(_text(form(tick), _LEFT - 8, y + 4, "end", "tick"))
    marks.extend(
        _text(f"{tick:.2f}", across.at(tick), _HEIGHT - _BOTTOM + 18, "middle", "tick") for tick in across.ticks
    )
    return marks


def _front(
    candidates: Sequence[MeasuredModel], points: list[tuple[int, float, float]], across: _Axis, upward: _Axis
) -> Markup:
    """A line through the candidates of the front, as far as slower ones are closer by this measure."""
    front: list[tuple[float, float]] = []
    for x, y in sorted((x, y) for number, x, y in points if candidates[number].pareto):
        if not front or y >= front[-1][1]:
            front.append((x, y))
    return element(
        "polyline", points=" ".join(f"{across.at(x):.1f},{upward.at(y):.1f}" for x, y in front), class_="front"
    )


def _limit(x: float, limit: float) -> Markup:
    line = element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="gate")
    return element("g", line, _text(f"limit {limit:g}", x - 5, _HEIGHT - _BOTTOM - 6, "end", "tick"))


def _dot(number: int, model: MeasuredModel, x: float, y: float, *, chosen: bool) -> Markup:
    """A point, with its name as a tooltip."""
    kind = "chosen" if chosen else "on" if model.pareto else "dropped" if model.code else "off"
    circle = element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=7 if chosen else 5, class_=kind)
    return element("g", element("title", f"{number + 1}: {candidate.label(model)}"), circle)


def _labels(placed: Sequence[tuple[int, float, float]], chosen: int | None) -> list[Markup]:
    """The numbers beside the points; points that lie together share one label."""
    groups: list[list[tuple[int, float, float]]] = []
    for number, x, y in placed:
        near = [one for one in groups if abs(one[0][1] - x) < _NEAR and abs(one[0][2] - y) < _NEAR]
        if near:
            near[0].append((number, x, y))
        else:
            groups.append([(number, x, y)])
    labels = []
    for group in groups:
        text = ", ".join(str(number + 1) for number, _, _ in sorted(group))
        kind = "number chosen" if chosen in [number for number, _, _ in group] else "number"
        right = max(x for _, x, _ in group)
        if right > _WIDTH * 0.8:
            labels.append(_text(text, min(x for _, x, _ in group) - 8, group[0][2] - 7, "end", kind))
        else:
            labels.append(_text(text, right + 8, group[0][2] - 7, "start", kind))
    return labels


def _text(text: str, x: float, y: float, anchor: str, name: str) -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=name)
