"""The push of a version at the broker: the available versions, and their expected effect. Reads from the broker."""

import time
from collections.abc import Sequence

import msgspec
from starlette.requests import Request

from edge_agent.errors import ConfigError
from edge_agent.report.html import numbers
from edge_agent.report.html.cards import table as made_table
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.strict import counted
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.broker.session import Session
from host_tools.dashboard.access.guard import why_not
from host_tools.dashboard.context import Context, viewer_of
from host_tools.dashboard.orders.asking import Asked
from host_tools.dashboard.pages.order_forms import choose, kept, once
from host_tools.dashboard.widgets.badge import badge
from host_tools.dashboard.widgets.forms import button, form, hidden
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import nothing
from host_tools.fleet.device_state import DeviceState
from host_tools.push.resend import Offer, foresee, read_offers

_PATIENCE_S = 10.0
"""Short, as a person waits for the page."""


def body(request: Request, context: Context, asked: Asked) -> Markup:
    """The next question, or the dialog; raises the errors of a session."""
    if not asked.scopes:
        return choose(asked, context.watched.devices(), context.watched.groups())
    settings = msgspec.structs.replace(context.settings, broker_timeout_s=_PATIENCE_S)
    with Session(settings, lambda _text: None) as session:
        offers = [one for one in read_offers(session) if asked.model in ("", one.manifest.name)]
        if not asked.job:
            return _choose(asked, offers, time.time())
        offer = next((one for one in offers if one.job == asked.job), None)
        if offer is None:
            raise ConfigError("not_active", f"the broker has no version with job {asked.job}; push its model again")
        said = foresee(session, asked.job, asked.scopes)
    names = dict.fromkeys([*asked.devices, *(one for group in asked.groups for one in context.watched.members(group))])
    found = [device for name in names if (device := context.watched.device(name))]
    refused = why_not(viewer_of(request), context.access)
    return _dialog(request.state.csrf, asked, offer, found, said, refused)


def _choose(asked: Asked, offers: Sequence[Offer], now: float) -> Markup:
    if not offers:
        text = "The broker has no version to push. Send a model on the push page, or with push-model."
        return join(nothing(text), element("p", element("a", "Push a model", href="/push", class_="button")))
    columns = {"": False, "model": False, "version": True, "size": True, "made": False, "sent to": False}
    rows = [_offer(one, now, first=one is offers[0]) for one in offers]
    return element(
        "form",
        *kept(asked),
        made_table(columns, rows, "offers"),
        button("Next", class_="main"),
        action="/orders/new",
        method="get",
        class_="order",
    )


def _offer(offer: Offer, now: float, *, first: bool) -> Markup:
    manifest = offer.manifest
    label = f"{manifest.name} {manifest.version}"
    box = element(
        "input", type="radio", name="job", value=offer.job, aria_label=label,
        checked="" if first and offer.whole else None, disabled=None if offer.whole else "",
    )  # fmt: skip
    places = ", ".join(map(str, offer.places[:5])) + (" …" if len(offer.places) > 5 else "")  # noqa: PLR2004  # a line
    return element(
        "tr",
        element("td", box),
        element("th", manifest.name, scope="row"),
        element("td", str(manifest.version), class_="n"),
        element("td", numbers.size(sum(blob.size for blob in manifest.blobs)), class_="n"),
        element("td", moment(parse_rfc3339(manifest.created), now)),
        element("td", places, "" if offer.whole else badge("incomplete at the broker: push it again", "warn")),
    )


def _dialog(
    csrf: str,
    asked: Asked,
    offer: Offer,
    devices: Sequence[DeviceState],
    said: Sequence[str],
    refused: str,
) -> Markup:
    manifest = offer.manifest
    title = f"Push {manifest.name} {manifest.version} to {', '.join(map(str, asked.scopes[:5]))}"
    title += f" and {len(asked.scopes) - 5} more" if len(asked.scopes) > 5 else ""  # noqa: PLR2004  # a line
    title += f", {counted(len(devices), 'device')} now?" if asked.groups else "?"
    fields = [
        hidden("action", "push"),
        hidden("model", manifest.name),
        hidden("version", manifest.version),
        hidden("job", offer.job),
        *(hidden("device", name) for name in asked.devices),
        *(hidden("group", name) for name in asked.groups),
        once(),
    ]
    buttons = element(
        "p",
        "" if refused else button("Push", class_="main danger"),
        element("a", "Do nothing", href="/orders", class_="button"),
        class_="buttons",
    )
    rows = [_device(one, manifest.name, manifest.version) for one in devices]
    columns = {"device": False, "": False, "now": True, "latency": True, "agreement": True, "then tries": True}
    return element(
        "section",
        element("h2", title, id="dialog-title"),
        element(
            "p",
            "Each device captures data of its own, quantizes and judges this version, and activates it if it passes. "
            "The active release stays active until then.",
        ),
        made_table(columns, rows, "plan") if rows else "",
        element("ul", *(element("li", text) for text in said), class_="findings") if said else "",
        element("p", refused, class_="note refused") if refused else "",
        form(csrf, "/orders", *fields, buttons),
        class_="dialog",
        role="dialog",
        aria_labelledby="dialog-title",
    )


def _device(device: DeviceState, model: str, version: int) -> Markup:
    state = device.models.get(model)
    runs = state is not None and state.active_version
    return element(
        "tr",
        element("th", element("a", device.id, href=f"/devices/{device.id}"), scope="row"),
        element("td", badge("online", "good") if device.online else badge("offline: starts when it is back", "warn")),
        element("td", str(state.active_version) if state and runs else numbers.UNKNOWN, class_="n"),
        element("td", numbers.known(numbers.milliseconds, state.p50_ms if state else None), class_="n"),
        element("td", numbers.known(numbers.share, state.agreement if state else None), class_="n"),
        element("td", str(version), class_="n"),
    )
