"""The log of orders, and the page of one order with each device's answer; both are live."""

import time
from collections.abc import Sequence

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edge_agent.advice.remedy import remedy_for
from edge_agent.printable import printable
from edge_agent.report.html.cards import table as made_table
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.strict import counted
from host_tools.broker.commands import Answer
from host_tools.dashboard.access.guard import why_not
from host_tools.dashboard.context import Context, context_of, viewer_of
from host_tools.dashboard.frame import page
from host_tools.dashboard.live.parts import Parts, contents
from host_tools.dashboard.orders.ledger import Entry
from host_tools.dashboard.widgets.badge import badge
from host_tools.dashboard.widgets.command import typed
from host_tools.dashboard.widgets.export import FORMATS, export, links
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import nothing

_COLUMNS = {"when": False, "who": False, "what": False, "for": False, "answers": False}
_EXPORTED = ("id", "at", "who", "action", "about", "whom", "device", "code", "message", "until", "trouble")


def routes() -> list[BaseRoute]:
    """The pages' routes."""
    return [Route("/orders", log, methods=["GET"]), Route("/orders/{order}", one, methods=["GET"])]


def log(request: Request) -> Response:
    """All orders, the newest first; or their answers as JSON or CSV."""
    context, now = context_of(request), time.time()
    form = request.query_params.get("format", "")
    if form in FORMATS:
        return export(form, _EXPORTED, [row for entry in _entries(context) for row in _exported(entry)])
    refused = why_not(viewer_of(request), context.access)
    body = [
        element("h1", "Orders"),
        element("p", element("a", "New order", href="/orders/new", class_="button main")),
        element("p", refused, class_="note refused") if refused else "",
        element("div", contents(parts(context, QueryParams(), now)["orders"]), id="orders"),
        element("div", links("/orders"), class_="elsewhere"),
    ]
    return _page(request, "Orders", body, now, "/live?view=orders")


def one(request: Request) -> Response:
    """The page of one order and its results."""
    context, now, number = context_of(request), time.time(), request.path_params["order"]
    if context.orders is None or (entry := context.orders.ledger.entry(number)) is None:
        raise HTTPException(404)
    body = [
        element("div", contents(parts_of_one(context, QueryParams({"order": number}), now)["order"]), id="order"),
        typed(entry.command) if entry.command else "",
        element("p", element("a", "All orders", href="/orders")),
    ]
    return _page(request, entry.title, body, now, f"/live?view=order&order={number}")


def parts(context: Context, _given: QueryParams, now: float) -> Parts:
    """The parts of the log that change."""
    entries = _entries(context)
    if not entries:
        return {"orders": nothing("No order was sent since the start of this dashboard.")}
    return {"orders": made_table(_COLUMNS, [_row(entry, now) for entry in entries], "orders")}


def parts_of_one(context: Context, given: QueryParams, now: float) -> Parts:
    """The parts of an order's page that change."""
    entry = context.orders.ledger.entry(given.get("order", "")) if context.orders else None
    return {} if entry is None else {"order": _order(entry, now)}


def _entries(context: Context) -> list[Entry]:
    return context.orders.ledger.entries() if context.orders else []


def _row(entry: Entry, now: float) -> Markup:
    return element(
        "tr",
        element("td", moment(entry.at, now)),
        element("td", entry.who),
        element("th", element("a", entry.title, href=f"/orders/{entry.id}"), scope="row"),
        element("td", _whom(entry)),
        element("td", _state(entry)),
    )


def _order(entry: Entry, now: float) -> Markup:
    names = [*entry.devices, *(name for name in entry.answers if name not in entry.devices)]
    rows = [_answer(entry, name) for name in names]
    about = element("p", f"{entry.who} for {_whom(entry)}, ", moment(entry.at, now), " ", _state(entry))
    notes = element("ul", *(element("li", printable(note)) for note in entry.notes), class_="notes")
    return join(
        element("h1", entry.title),
        about,
        element("p", printable(entry.failure), class_="trouble") if entry.trouble else "",
        made_table({"device": False, "answer": False, "": False}, rows, "answers") if rows else "",
        notes if entry.notes else "",
    )


def _answer(entry: Entry, name: str) -> Markup:
    answer = entry.answers.get(name)
    known = name in entry.devices or (answer is not None and name != "broker")
    shown: str = element("a", name, href=f"/devices/{name}") if known else name
    if answer is None:
        return _cells(shown, badge("no answer yet", "busy") if entry.waiting else badge("no answer", "off"), "")
    follow = element("a", "Follow the job", href=f"/jobs/{name}/{entry.job}") if entry.job and known else ""
    to_do = remedy_for(answer.code, answer.message) if answer.code else ""
    advice = element("small", element("b", "To do: "), to_do) if to_do else ""
    return _cells(shown, _badge(answer), join(printable(answer.message), " ", advice, " ", follow))


def _cells(shown: str, answer: str, text: str) -> Markup:
    return element("tr", element("th", shown, scope="row"), element("td", answer), element("td", text))


def _badge(answer: Answer) -> Markup:
    if not answer.code:
        return badge("done", "good")
    return badge("waiting", "busy") if answer.code == "pending" else badge(printable(answer.code, 80), "bad")


def _state(entry: Entry) -> Markup:
    if entry.trouble and not entry.until:
        return badge("not sent", "bad")
    done = sum(not answer.code for name, answer in entry.answers.items() if name != "broker")
    failed = sum(answer.code not in ("", "pending") for name, answer in entry.answers.items() if name != "broker")
    if failed:
        return badge(f"{counted(failed, 'device')} failed", "bad")
    if entry.trouble:
        return badge("sent, answers not received", "warn")
    if entry.waiting:
        return badge("under way", "busy")
    return badge(f"{counted(done, 'device')} done", "good" if done >= len(entry.devices) > 0 else "warn")


def _whom(entry: Entry) -> str:
    names = [word.removeprefix("d/").replace("g/", "group ") for word in entry.whom]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")  # noqa: PLR2004  # a line


def _exported(entry: Entry) -> list[dict[str, object]]:
    common = {name: getattr(entry, name) for name in _EXPORTED if hasattr(entry, name)}
    answers = entry.answers or {"": Answer("", "", 0)}
    return [
        {**common, "device": device, "code": answer.code, "message": answer.message}
        for device, answer in answers.items()
    ]


def _page(request: Request, title: str, body: Sequence[str], now: float, live: str) -> Response:
    broker = context_of(request).watched.broker
    return page(title, *body, viewer=viewer_of(request), broker=broker, now=now, live=live, here="/orders")
