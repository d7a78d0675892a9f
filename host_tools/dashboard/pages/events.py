"""The page of all devices' events, the newest first, with a filter by severity and a search."""

import time
from collections.abc import Sequence
from typing import Any, get_args
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edge_agent.advice.remedy import remedy_for
from edge_agent.report.html.cards import table as made_table
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.wire.telemetry import Event, Severity
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.dashboard.context import Context, context_of, viewer_of
from host_tools.dashboard.frame import page
from host_tools.dashboard.live.parts import Parts, contents
from host_tools.dashboard.widgets.badge import Tone, badge
from host_tools.dashboard.widgets.command import command
from host_tools.dashboard.widgets.export import FORMATS, export, links
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import nothing

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_TONES: dict[str, Tone] = {"info": "plain", "warning": "warn", "error": "bad"}
_COLUMNS = {"when": False, "severity": False, "device": False, "what": False, "about": False, "in a sentence": False}
_EXPORTED = ("ts", "device", "severity", "kind", "code", "message", "model", "version", "job")
_MOST = 300
"""Events on a page."""
_MOST_CHARACTERS = 200


def routes() -> list[BaseRoute]:
    """The page's routes."""
    return [Route("/events", events)]


def events(request: Request) -> Response:
    """The page, or the events as JSON or CSV."""
    context, given, now = context_of(request), request.query_params, time.time()
    form = given.get("format", "")
    if form in FORMATS:
        return export(form, _EXPORTED, [_exported(one) for one in _chosen(context, given)])
    shown = parts(context, given, now)
    query = {key: given[key] for key in ("q", "severity") if given.get(key)}
    address = f"/events?{urlencode(query)}" if query else "/events"
    field = element(
        "input", type="search", name="q", id="search", value=given.get("q", "")[:_MOST_CHARACTERS],
        placeholder="Search: a device, model, kind, code", aria_label="Search in all columns", maxlength="200",
    )  # fmt: skip
    kept = element("input", type="hidden", name="severity", value=query["severity"]) if "severity" in query else ""
    body = [
        element("h1", "Events"),
        element("div", contents(shown["severities"]), id="severities", class_="counters"),
        element("form", field, kept, element("button", "Search", type="submit"), action="/events", role="search"),
        element("div", contents(shown["events"]), id="events"),
        element("p", "Events since the start of this dashboard; host-tools collect stores all of them.", class_="note"),
        element("div", links(address), command(context.settings, "watch"), class_="elsewhere"),
    ]
    live = f"/live?{urlencode({'view': 'events', **query})}"
    broker = context.watched.broker
    return page("Events", *body, viewer=viewer_of(request), broker=broker, now=now, live=live, here="/events")


def parts(context: Context, given: QueryParams, now: float) -> Parts:
    """The parts of the page that change."""
    worded = _worded(context, given)
    severity = given.get("severity", "")
    shown = [one for one in worded if severity in ("", one.severity)]
    return {"severities": _severities(worded, given), "events": table(shown[:_MOST], now)}


def table(found: Sequence[Event], now: float, *, own: bool = False) -> Markup:
    """A table of events; ``own``: all of one device, whose column is left out."""
    if not found:
        return nothing("No event has arrived since the start of this dashboard.")
    columns = {name: number for name, number in _COLUMNS.items() if not (own and name == "device")}
    return made_table(columns, [_row(one, now, own=own) for one in found], "events")


def _row(event: Event, now: float, *, own: bool) -> Markup:
    about: str = element("a", event.model, href=f"/models/{event.model}") if event.model else ""
    version = f" {event.version}" if event.version else ""
    job = element("a", "its job", href=f"/jobs/{event.device}/{event.job}") if event.job else ""
    to_do = remedy_for(event.code, event.message) if event.severity != "info" else ""
    advice = element("small", element("b", "To do: "), to_do) if to_do else ""
    cells = [
        element("td", moment(parse_rfc3339(event.ts), now)),
        element("td", badge(event.severity, _TONES.get(event.severity, "plain"))),
        *([] if own else [element("td", element("a", event.device, href=f"/devices/{event.device}"))]),
        element("td", event.kind.replace("_", " ")),
        element("td", about, version, " ", job),
        element("td", event.message, " ", element("code", event.code) if event.code else "", " ", advice),
    ]
    return element("tr", *cells)


def _severities(found: Sequence[Event], given: QueryParams) -> Markup:
    return join(*(_severity(name, found, given) for name in SEVERITIES))


def _severity(name: Severity, found: Sequence[Event], given: QueryParams) -> Markup:
    chosen = given.get("severity") == name
    asked = (("q", given.get("q", "")), ("severity", "" if chosen else name))
    query = urlencode({key: value for key, value in asked if value})
    number = sum(one.severity == name for one in found)
    return element(
        "a",
        element("strong", str(number)),
        f" {name}",
        href=f"/events?{query}" if query else "/events",
        class_=f"counter {name}" + " none" * (not number),
        aria_current="true" if chosen else None,
    )


def _worded(context: Context, given: QueryParams) -> list[Event]:
    words = given.get("q", "")[:_MOST_CHARACTERS].lower().split()
    found = context.history.events()
    return [one for one in found if _has(one, words)] if words else found


def _has(event: Event, words: Sequence[str]) -> bool:
    cells = (event.device, event.severity, event.kind, event.code, event.model, event.message)
    text = "\n".join(cells).lower()
    return all(word in text for word in words)


def _chosen(context: Context, given: QueryParams) -> list[Event]:
    severity = given.get("severity", "")
    return [one for one in _worded(context, given) if severity in ("", one.severity)]


def _exported(event: Event) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(event)
    return told
