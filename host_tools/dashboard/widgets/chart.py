"""A chart over time: a table of numbers, which a script draws as lines. Pure.

Without the script the table is shown; with it the table is below the lines, for readers who want the numbers.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge_agent.report.html import numbers
from edge_agent.report.html.markup import Markup, element
from host_tools.dashboard.history.points import MOST_POINTS
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import nothing


class Line(NamedTuple):
    """A line of a chart: its title, the index of its value in a point, and the value's format."""

    title: str
    place: int
    form: Callable[[float], str]


def chart(
    title: str, points: Sequence[Sequence[float | None]], lines: Sequence[Line], *, span: float, now: float
) -> Markup:
    """The chart of ``points``, each beginning with its time; a line without any known value is left out.

    Args:
        title: title of the chart.
        points: the points, the oldest first.
        lines: the lines to draw.
        span: length of the time axis in seconds before ``now``.
        now: seconds since the epoch.
    """
    known = [line for line in lines if any(point[line.place] is not None for point in points)]
    if not known:
        return nothing(f"{title}: no data yet.")
    shown = thinned(points)
    heads = [element("th", "When", scope="col"), *(element("th", one.title, scope="col", class_="n") for one in known)]
    rows = [
        element("tr", element("td", moment(point[0], now)), *(_cell(point, line) for line in known)) for point in shown
    ]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="series")
    return element(
        "figure",
        element("figcaption", title),
        element("div", class_="plot", hx_morph_skip="", aria_hidden="true"),
        element("details", element("summary", "The numbers"), element("div", table, class_="scroll")),
        class_="chart",
        data_span=f"{span:.0f}",
    )


def thinned(points: Sequence[Sequence[float | None]]) -> list[Sequence[float | None]]:
    """Evenly chosen points, at most as many as a chart shows, including the newest."""
    step = -(-len(points) // MOST_POINTS) or 1
    return list(points[::-1][::step])[::-1]


def _cell(point: Sequence[float | None], line: Line) -> Markup:
    value = point[line.place]
    return element(
        "td", numbers.known(line.form, value), class_="n", data_value="" if value is None else f"{value:.6g}"
    )
