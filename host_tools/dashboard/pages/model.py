"""The page of one model across the fleet: the results of each version, and its speed by board."""

import time
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edge_agent.report.html.markup import element
from edge_agent.wire.telemetry import ModelState
from host_tools.dashboard.context import Context, context_of, viewer_of
from host_tools.dashboard.frame import page
from host_tools.dashboard.live.parts import Parts, contents
from host_tools.dashboard.pages import model_tables
from host_tools.dashboard.widgets.command import command
from host_tools.dashboard.widgets.export import FORMATS, export, links
from host_tools.dashboard.widgets.section import section
from host_tools.fleet.device_state import DeviceState

_TITLES = {"versions": "Versions", "boards": "Latency by board", "devices": "Devices"}
_EXPORTED = tuple(
    field.name for field in msgspec.structs.fields(ModelState) if field.name not in ("v", "seq", "boot_id")
)


def routes() -> list[BaseRoute]:
    """The page's routes."""
    return [Route("/models/{model}", model)]


def model(request: Request) -> Response:
    """The page, or the model's state on each device as JSON or CSV."""
    context, now, name = context_of(request), time.time(), request.path_params["model"]
    found = context.watched.model(name)
    if not found:
        raise HTTPException(404)
    form = request.query_params.get("format", "")
    if form in FORMATS:
        return export(form, ("board", *_EXPORTED), [_exported(one, name) for one in found])
    shown = parts(context, QueryParams({"model": name}), now)
    here = f"/models/{name}"
    body = [
        element("h1", name),
        element("div", contents(shown["summary"]), id="summary", class_="summary"),
        *(section(title, contents(shown[key]), name=key) for key, title in _TITLES.items()),
        element("div", links(here), command(context.settings, "report", name), class_="elsewhere"),
    ]
    broker = context.watched.broker
    live = f"/live?view=model&model={name}"
    return page(name, *body, viewer=viewer_of(request), broker=broker, now=now, live=live)


def parts(context: Context, given: QueryParams, now: float) -> Parts:
    """The parts of the page that change."""
    name = given.get("model", "")
    found = context.watched.model(name)
    ends = model_tables.ends_of(name, found)
    return {
        "summary": model_tables.summary(ends, found),
        "versions": model_tables.versions(name, ends, found),
        "boards": model_tables.boards(name, found, now),
        "devices": model_tables.devices(name, found, now),
    }


def _exported(device: DeviceState, name: str) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(device.models[name])
    return {"board": device.board.board if device.board else "", **{key: told[key] for key in _EXPORTED}}
