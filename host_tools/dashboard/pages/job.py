"""The page of one job on one device: its stages, then the verdict with all its evidence."""

import time
from functools import lru_cache
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.told_result import told_result
from edge_agent.report.html import cards, histogram
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.report.html.sections import other_warnings, sections
from edge_agent.wire.messages import JobReport
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.dashboard.context import Context, context_of, viewer_of
from host_tools.dashboard.frame import page
from host_tools.dashboard.live.parts import Parts, contents
from host_tools.dashboard.widgets.badge import badge
from host_tools.dashboard.widgets.command import command
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.stages import strip, under_way

_DECIDED = {"succeeded": "accepted"}
"""Status → its name on a page, where that differs from the status."""


def routes() -> list[BaseRoute]:
    """The page's routes."""
    return [Route("/jobs/{device}/{job}", job)]


def job(request: Request) -> Response:
    """The page, or the report as JSON."""
    context, now = context_of(request), time.time()
    device, name = request.path_params["device"], request.path_params["job"]
    report = context.watched.report(device, name)
    if report is None:
        raise HTTPException(404)
    if request.query_params.get("format") == "json":
        return Response(msgspec.json.encode(report), media_type="application/json")
    asked = QueryParams({"view": "job", "device": device, "job": name})
    shown = parts(context, asked, now)
    body = [
        element("nav", _breadcrumbs(report), class_="way", aria_label="Way"),
        element("div", contents(shown["job"]), id="job"),
        element("div", contents(shown["result"]), id="result"),
        element(
            "div",
            element("span", element("a", "JSON", href=f"{request.url.path}?format=json"), class_="formats"),
            command(context.settings, "report", name, "--device", device),
            class_="elsewhere",
        ),
    ]
    return page(
        _title(report),
        *body,
        viewer=viewer_of(request),
        broker=context.watched.broker,
        now=now,
        live=f"/live?{asked}",
    )


def parts(context: Context, given: QueryParams, now: float) -> Parts:
    """The parts of the page that change; none for a job that is no longer known."""
    device = given.get("device", "")
    report = context.watched.report(device, given.get("job", ""))
    if report is None:
        return {}
    online = any(row.online for row in context.watched.rows_of(device, now))
    return parts_of(report, now, online=online)


def parts_of(report: JobReport, now: float, *, online: bool) -> Parts:
    """The parts of a report's page; ``online``: whether its device is online, so that the job makes progress."""
    return {"job": _head(report, now, online=online), "result": _result(msgspec.json.encode(report.results))}


def _head(report: JobReport, now: float, *, online: bool) -> Markup:
    """The state of the job: the verdict once there is one, and the stages."""
    title = _title(report)
    if report.ended:
        decided = _DECIDED.get(report.status, report.status)
        warnings = other_warnings(told_result(report.results))
        top = cards.decision(decided, report.code, report.message, title, warnings)
    else:
        status = "waiting" if report.status == "queued" else "under way"
        cancel = element("a", "Cancel", href=f"/orders/new?action=cancel&device={report.device}&job={report.job}")
        state = [badge(status, "busy"), " ", element("span", cancel, class_="orders")]
        top = element("header", element("p", *state), element("h1", title), under_way(report), class_="verdict busy")
    away = "" if online or report.ended else _away(report, now)
    return join(top, away, strip(report), _facts(report, now))


def _away(report: JobReport, now: float) -> Markup:
    said = moment(parse_rfc3339(report.ts), now)
    text = " is offline: it reported this ", said, ", and continues by itself once it can."
    return element("p", badge("offline", "off"), " ", report.device, *text, class_="offline")


def _facts(report: JobReport, now: float) -> Markup:
    told: dict[str, str] = {
        "started": moment(parse_rfc3339(report.started), now),
        "reported": moment(parse_rfc3339(report.ts), now),
        "job": element("code", report.job),
    }
    if report.release:
        told["release"] = element("code", report.release)
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in told.items()]
    return element("dl", *pairs, class_="facts line")


@lru_cache(maxsize=32)
def _result(encoded: bytes) -> Markup:
    """The known results, drawn again only if they have changed."""
    fields: dict[str, Any] = msgspec.json.decode(encoded)
    result = told_result(fields)
    judged = result.judged or MeasuredModel()
    return join(*sections(result, histogram.of_layers(result), judged.calibration or ""))


def _title(report: JobReport) -> str:
    return f"{report.model} {report.version} on {report.device}"


def _breadcrumbs(report: JobReport) -> Markup:
    device = element("a", report.device, href=f"/devices/{report.device}")
    model = element("a", report.model, href=f"/models/{report.model}")
    return join(device, " · ", model, " · ", element("span", f"version {report.version}"))
