"""The page of one device: its facts, its health, its models, and their history."""

import time
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edge_agent.report.html.markup import Markup, element, join
from host_tools.dashboard.context import Context, context_of, viewer_of
from host_tools.dashboard.frame import page
from host_tools.dashboard.history.points import SPANS
from host_tools.dashboard.live.parts import Parts, contents
from host_tools.dashboard.pages import device_health, device_jobs, device_models
from host_tools.dashboard.pages.events import table as events_table
from host_tools.dashboard.widgets.badge import badge
from host_tools.dashboard.widgets.command import command
from host_tools.dashboard.widgets.export import export, links
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import section
from host_tools.dashboard.widgets.warnings import warnings
from host_tools.fleet.device_state import DeviceState

_TITLES = {
    "warnings": "",
    "models": "Models",
    "health": "Health",
    "charts": "Over time",
    "sensors": "Sensors",
    "releases": "Releases",
    "jobs": "Jobs",
    "events": "Events",
    "board": "Board",
}
_MOST_EVENTS = 50
_COLUMNS = (
    "device", "online", "board", "model", "version", "status", "code", "latency_ms", "float_ms", "agreement", "seen",
)  # fmt: skip


def routes() -> list[BaseRoute]:
    """The page's routes."""
    return [Route("/devices/{device}", device)]


def device(request: Request) -> Response:
    """The page, or its rows as JSON or CSV (JSON: with the device's info)."""
    context, now, name = context_of(request), time.time(), request.path_params["device"]
    form = request.query_params.get("format", "")
    if (found := context.watched.device(name)) is None:
        raise HTTPException(404)
    if form == "json":
        return Response(msgspec.json.encode(_exported(context, found, now)), media_type="application/json")
    if form == "csv":
        return export(form, _COLUMNS, [msgspec.to_builtins(row) for row in context.watched.rows_of(name, now)])
    given = QueryParams({**request.query_params, "device": name})
    shown = parts(context, given, now)
    here = f"/devices/{name}"
    span = _span(given)
    body = [
        element("h1", name),
        element("div", contents(shown["heading"]), id="heading", class_="heading"),
        *(_section(key, contents(shown[key]), here, span) for key in _TITLES),
        element("div", links(here), command(context.settings, "watch", name), class_="elsewhere"),
    ]
    return page(
        name,
        *body,
        viewer=viewer_of(request),
        broker=context.watched.broker,
        now=now,
        live=f"/live?view=device&device={name}&span={span}",
        charts=True,
    )


def parts(context: Context, given: QueryParams, now: float) -> Parts:
    """The parts of the page that change."""
    watched, name = context.watched, given.get("device", "")
    found = watched.device(name)
    if found is None:
        return {}
    info = watched.info(name)
    return {
        "heading": _heading(found, now),
        "warnings": warnings(found, now),
        "models": device_models.table(found, now),
        "health": device_health.now(found, now),
        "charts": device_health.charts(context.history, found, SPANS[_span(given)], now),
        "sensors": device_health.sensors(info),
        "releases": device_models.releases(found, now),
        "jobs": device_jobs.table(watched.reports(name), now),
        "events": events_table(context.history.events(name)[:_MOST_EVENTS], now, own=True),
        "board": device_health.board(found, info),
    }


def _section(key: str, content: Markup, here: str, span: str) -> Markup:
    if not _TITLES[key]:
        return element("div", content, id=key)
    if key == "charts":
        return section(_TITLES[key], _spans(here, span), element("div", content, id=key))
    return section(_TITLES[key], content, name=key)


def _spans(here: str, chosen: str) -> Markup:
    shown = [
        element("a", name, href=f"{here}?span={name}", aria_current="true" if name == chosen else None)
        for name in SPANS
    ]
    return element("p", *shown, class_="spans")


def _span(given: QueryParams) -> str:
    span = given.get("span", "")
    return span if span in SPANS else "hour"


def _heading(found: DeviceState, now: float) -> Markup:
    board = found.board
    groups = [badge(f"group {one}", "plain") for one in board.groups] if board else []
    return join(
        badge("online", "good") if found.online else badge("offline", "off"),
        *groups,
        element("span", "last heard ", moment(found.seen or None, now), class_="note"),
        element("span", board.board, class_="note") if board and board.board else "",
    )


def _exported(context: Context, found: DeviceState, now: float) -> dict[str, Any]:
    return {
        "rows": context.watched.rows_of(found.id, now),
        "info": context.watched.info(found.id),
        "health": found.health.sample if found.health else None,
        "models": found.models,
        "jobs": [_without_results(one) for one in context.watched.reports(found.id)],
    }


def _without_results(report: Any) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(report)
    del told["results"]
    return told
