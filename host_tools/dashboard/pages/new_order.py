"""The dialog before an order, which names devices, versions and effects; and the sending of the order.

Its address is ``/orders/new?action=…&device=…&group=…&model=…&job=…``; only its form has an effect.
"""

import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.report.html.markup import Markup, element, join
from host_tools.dashboard.access.guard import why_not
from host_tools.dashboard.context import Context, context_of, viewer_of
from host_tools.dashboard.frame import page
from host_tools.dashboard.orders import asking, plans
from host_tools.dashboard.orders.asking import Asked
from host_tools.dashboard.orders.commander import Commander
from host_tools.dashboard.orders.plans import Line
from host_tools.dashboard.pages import order_forms, order_offers
from host_tools.dashboard.threads import in_thread
from host_tools.dashboard.widgets.trouble import trouble
from host_tools.fleet.device_state import DeviceState


def routes() -> list[BaseRoute]:
    """The page's routes."""
    return [Route("/orders/new", ask, methods=["GET"]), Route("/orders", send, methods=["POST"])]


async def ask(request: Request) -> Response:
    """The next question, or the dialog."""
    context = context_of(request)
    try:
        asked = asking.read(request.query_params)
        if asked.action == "push":
            body = await in_thread(order_offers.body, request, context, asked)
        else:
            body = await run_in_threadpool(_body, request, context, asked)  # takes a second for a thousand devices
    except EdgeAgentError as error:
        return _page(request, trouble(error), status=400)
    return _page(request, body)


async def send(request: Request) -> Response:
    """Send the order of a dialog; the guard has checked the person and the form."""
    context, viewer = context_of(request), viewer_of(request)
    form = await request.form(max_fields=asking.MOST_FIELDS)
    try:
        asked, orders = asking.read(form), commander_of(context)
        if asked.action == "push":
            if not (asked.scopes and asked.job):
                raise ConfigError("usage", "there is nothing to push; choose a version, and devices or a group")
            number = orders.resend(viewer.shown, asked.scopes, asked.job, asked.once)
        else:
            number = _command(orders, viewer.shown, asked, asking.targets(form))
    except EdgeAgentError as error:
        return _page(request, trouble(error), status=400)
    return RedirectResponse(f"/orders/{number}", 303)


def commander_of(context: Context) -> Commander:
    """The sender of orders; raises ``ConfigError`` where orders are disabled."""
    if context.orders is None:
        raise ConfigError("usage", "this page is read-only; start host-tools dashboard with --allow-commands")
    return context.orders


def _command(orders: Commander, who: str, asked: Asked, targets: dict[int, list[str]]) -> str:
    """Send one order per version; returns the id of the order, or an empty one for several."""
    if asked.action is None or not targets or not (asked.model or asked.job):
        raise ConfigError("usage", "there is nothing to order; choose an action, and devices")
    if asked.action != "cancel" and 0 in targets:
        raise ConfigError("usage", "a device is ordered without its version; give both, as 3:pi-01")
    numbers = orders.command(who, targets, asked.action, model=asked.model, job=asked.job, once=asked.once)
    return numbers[0] if len(numbers) == 1 else ""


def _body(request: Request, context: Context, asked: Asked) -> Markup:
    devices = chosen(context, asked)
    if asked.action is None or not devices:
        return order_forms.choose(asked, context.watched.devices(), context.watched.groups())
    if asked.action == "cancel":
        if not asked.job:
            raise ConfigError("usage", "no job is named; follow the link Cancel on a job's page")
        lines = plans.cancel(devices, asked.job)
        return _dialog(request, context, asked, lines)
    models = plans.models_of(devices)
    if not asked.model and len(models) > 1:
        return order_forms.choose_model(asked, models)
    model = asked.model or next(iter(models), "")
    if not model:
        raise ConfigError("usage", "none of these devices runs a model; push one first")
    rolls = asked.action == "rollback"
    lines = plans.rollback(devices, model, context.watched.report) if rolls else plans.recalibrate(devices, model)
    return _dialog(request, context, asked, lines, model)


def _dialog(request: Request, context: Context, asked: Asked, lines: list[Line], model: str = "") -> Markup:
    refused = why_not(viewer_of(request), context.access)
    return order_forms.dialog(context.settings, request.state.csrf, asked, lines, model=model, refused=refused)


def chosen(context: Context, asked: Asked) -> list[DeviceState]:
    """The target devices; raises ``ConfigError`` (no_device) for an unknown one."""
    names = dict.fromkeys(asked.devices)
    for group in asked.groups:
        names |= dict.fromkeys(context.watched.members(group))
    found = {name: context.watched.device(name) for name in names}
    if unknown := [name for name, device in found.items() if device is None]:
        raise ConfigError("no_device", f"no device {unknown[0]!r} has ever spoken here; go back and choose others")
    return [device for device in found.values() if device is not None]


def _page(request: Request, *body: str, status: int = 200) -> Response:
    broker = context_of(request).watched.broker
    head = element("h1", "Order")
    return page(
        "Order", join(head, *body), viewer=viewer_of(request), broker=broker, now=time.time(), here="/orders",
        status=status,
    )  # fmt: skip
