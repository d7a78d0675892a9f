"""The page of the fleet: every model on every device, with filters, a search, and a selection for orders."""

import time
from functools import lru_cache
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edge_agent.report.html import numbers
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.strict import counted
from host_tools.dashboard.context import Context, context_of, viewer_of
from host_tools.dashboard.frame import page
from host_tools.dashboard.live.parts import Parts, Rows, contents
from host_tools.dashboard.selection import FILTERS, Query, Selection, all_of, select
from host_tools.dashboard.widgets.command import command
from host_tools.dashboard.widgets.export import FORMATS, export, links
from host_tools.dashboard.widgets.heads import Head, heads
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.state import state_of
from host_tools.fleet.row import Row

_COLUMNS = {
    "select": Head(element("span", "Selected", class_="unseen"), sorts=False),
    "device": Head("Device"),
    "board": Head("Board"),
    "model": Head("Model"),
    "version": Head("Version", numeric=True),
    "state": Head("State"),
    "latency": Head("Latency", numeric=True),
    "ratio": Head("Of float", numeric=True),
    "agreement": Head("Agreement", numeric=True),
    "temperature": Head("°C", numeric=True),
    "seen": Head("Seen"),
}
_EXPORTED = (
    "device", "online", "board", "groups", "model", "version", "stage", "status", "code", "message", "progress",
    "latency_ms", "float_ms", "agreement", "temperature_c", "throttled", "stale", "refused", "outdated", "quiet",
    "seen",
)  # fmt: skip


def routes() -> list[BaseRoute]:
    """The page's routes."""
    return [Route("/", fleet)]


def fleet(request: Request) -> Response:
    """The page, or its rows as JSON or CSV."""
    context, query, now = context_of(request), Query.parse(request.query_params), time.time()
    form = request.query_params.get("format", "")
    if form in FORMATS:
        return export(form, _EXPORTED, [_exported(row) for row in all_of(context.watched.rows(now), query)])
    shown = parts(context, request.query_params, now)
    body = [
        element("h1", "Fleet"),
        element("div", contents(shown["counters"]), id="counters", class_="counters"),
        _search(query),
        _table(shown, query),
        element("nav", contents(shown["pages"]), id="pages", class_="pages", aria_label="Pages of the table"),
        element("div", links(query.address()), command(context.settings, "watch", *_words(query)), class_="elsewhere"),
    ]
    return page(
        "Fleet",
        *body,
        viewer=viewer_of(request),
        broker=context.watched.broker,
        now=now,
        live=_live(query),
        here="/",
    )


def parts(context: Context, given: QueryParams, now: float) -> Parts:
    """The parts of the page that change."""
    query = Query.parse(given)
    found = select(context.watched.rows(now), query)
    return {
        "counters": _counters(found, query),
        "rows": Rows({row_id(row): _row(row, moment(row.seen, now)) for row in found.rows}),
        "pages": _pages(found, query),
    }


def row_id(row: Row) -> str:
    """The id of a row's element; names contain no capital letters, so the ``M`` is unique."""
    return f"row-{row.device}-M-{row.model}"


def _live(query: Query) -> str:
    address = query.address("/live", page=query.page)
    return f"{address}{'&' if '?' in address else '?'}view=fleet"


def _words(query: Query) -> list[str]:
    return [word for one in query.words.split() for word in ("--filter", one)]


def _counters(found: Selection, query: Query) -> Markup:
    shown = []
    for name, one in FILTERS.items():
        chosen = query.state == name
        shown.append(
            element(
                "a",
                element("strong", str(found.counts[name])),
                " ",
                one.title,
                href=query.address(state="" if chosen else name),
                class_=f"counter {name}" + " none" * (not found.counts[name]),
                aria_current="true" if chosen else None,
                title=one.meaning,
            )
        )
    return join(*shown)


def _search(query: Query) -> Markup:
    kept = [
        element("input", type="hidden", name=name, value=value)
        for name, value in (("state", query.state), ("sort", query.sort))
        if value
    ]
    field = element(
        "input",
        type="search",
        name="q",
        id="search",
        value=query.words,
        placeholder="Search: a device, board, group, model, state, code",
        aria_label="Search in all columns",
        autocomplete="off",
        maxlength="200",
    )
    return element("form", field, *kept, element("button", "Search", type="submit"), action="/", role="search")


def _table(shown: Parts, query: Query) -> Markup:
    head = heads(_COLUMNS, query.sort, lambda column: query.address(sort=query.other_way(column)))
    body = element("tbody", contents(shown["rows"]), id="rows")
    table = element("table", element("thead", head), body, class_="fleet")
    chosen = element(
        "p",
        element("button", "Roll back", type="submit", name="action", value="rollback"),
        element("button", "Recalibrate", type="submit", name="action", value="recalibrate"),
        element("button", "Push a version", type="submit", name="action", value="push"),
        class_="bulk",
    )
    scroll = element("div", table, class_="scroll", tabindex="0", role="region", aria_label="Table of the fleet")
    return element("form", chosen, scroll, action="/orders/new", method="get", id="selection")


@lru_cache(maxsize=1024)
def _row(row: Row, seen: Markup) -> Markup:
    here = f"/devices/{row.device}"
    box = element("input", type="checkbox", name="device", value=row.device, aria_label=f"Select {row.device}")
    model: str = element("a", row.model, href=f"/models/{row.model}") if row.model else numbers.UNKNOWN
    too_slow = "n bad" if (row.latency_ratio or 0) > 1 else "n"
    cells = [
        element("td", box),
        element("th", element("a", row.device, href=here), scope="row"),
        element("td", row.board or numbers.UNKNOWN),
        element("td", model),
        element("td", str(row.version) if row.version else numbers.UNKNOWN, class_="n"),
        element("td", state_of(row)),
        element("td", numbers.known(numbers.milliseconds, row.latency_ms), class_="n"),
        element("td", numbers.known(numbers.ratio, row.latency_ratio), class_=too_slow),
        element("td", numbers.known(numbers.share, row.agreement), class_="n"),
        element("td", numbers.known(_whole, row.temperature_c), class_="n"),
        element("td", seen),
    ]
    return element("tr", *cells, id=row_id(row), class_=None if row.online else "offline")


def _pages(found: Selection, query: Query) -> Markup:
    number = min(query.page, found.pages)
    if not found.found:
        wanted = "No device matches." if query.words or query.state else "The broker knows no device yet."
        return element("span", wanted, " ", element("a", "Show all", href="/"))
    told = f"{counted(found.found, 'row')} of {counted(found.devices, 'device')}"
    if found.pages == 1:
        return element("span", told)
    before = element("a", "← Previous", href=query.address(page=number - 1), rel="prev") if number > 1 else ""
    after = element("a", "Next →", href=query.address(page=number + 1), rel="next") if number < found.pages else ""
    return join(before, element("span", f"{told}, page {number} of {found.pages}"), after)


def _whole(value: float) -> str:
    return f"{value:.0f}"


def _exported(row: Row) -> dict[str, Any]:
    about: dict[str, Any] = msgspec.to_builtins(row)
    return about
