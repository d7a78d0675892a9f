"""A chart over time: a table of numbers, which a script draws as lines. Pure.

Without the script the table is what there is; with it the table is behind the lines, for who wants the numbers.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge_agent.report.html import numbers
from edge_agent.report.html.markup import Markup, element
from host_tools.dashboard.history.points import MOST_POINTS
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import nothing


class Line(NamedTuple):
    """A line of a chart: its title, the place of its numbers in a point, their unit, and how they are written."""

    title: str
    place: int
    form: Callable[[float], str]


def chart(
    title: str, points: Sequence[Sequence[float | None]], lines: Sequence[Line], *, span: float, now: float
) -> Markup:
    """The chart of ``points``, whose first number is the moment; a line that is nowhere known is left out.

    Args:
        title: what it shows.
        points: the oldest first.
        lines: what is drawn of them.
        span: how many seconds before ``now`` the axis of time begins.
        now: seconds since the epoch.
    """
    known = [line for line in lines if any(point[line.place] is not None for point in points)]
    if not known:
        return nothing(f"{title}: nothing was heard yet.")
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
    """At most so many points as a chart shows, evenly chosen, the newest among them."""
    step = -(-len(points) // MOST_POINTS) or 1
    return list(points[::-1][::step])[::-1]


def _cell(point: Sequence[float | None], line: Line) -> Markup:
    value = point[line.place]
    return element(
        "td", numbers.known(line.form, value), class_="n", data_value="" if value is None else f"{value:.6g}"
    )
