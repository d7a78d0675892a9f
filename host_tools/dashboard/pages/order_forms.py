"""The forms of an order: targets, action, and the dialog with its effects. Pure."""

import secrets
from collections.abc import Iterable, Sequence

from edge_agent.report.html import numbers
from edge_agent.report.html.cards import table as made_table
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.strict import counted
from host_tools.broker.settings import Settings
from host_tools.dashboard.orders.asking import Asked
from host_tools.dashboard.orders.commander import command_words
from host_tools.dashboard.orders.plans import Line, Release, by_version
from host_tools.dashboard.widgets.badge import badge
from host_tools.dashboard.widgets.command import typed
from host_tools.dashboard.widgets.forms import button, choice, form, hidden

_DOES = {
    "rollback": "Roll back",
    "recalibrate": "Recalibrate",
    "cancel": "Cancel",
    "push": "Push a version",
}
_MEANS = {
    "rollback": "Each device activates its previous release.",
    "recalibrate": "Each device captures new data, quantizes and judges its release again. The active release stays "
    "active until the new one passes.",
    "cancel": "The job ends on each device; the active release stays active.",
}
SHOWN_DEVICES = 200


def choose(asked: Asked, devices: Sequence[str], groups: Sequence[str]) -> Markup:
    """The choice of action and targets."""
    shown, hidden_devices = boxed(asked.devices, devices)
    boxes = [
        element(
            "label",
            element("input", type="checkbox", name="device", value=one, checked="" if one in asked.devices else None),
            " ",
            one,
        )
        for one in shown
    ]
    more = f"{hidden_devices} more: select them on the fleet's page, or choose a group"
    group = [("", "no group"), *((one, one) for one in groups)]
    return element(
        "form",
        choice("What", "action", ((key, text) for key, text in _DOES.items() if key != "cancel"), asked.action or ""),
        choice("Group", "group", group, next(iter(asked.groups), "")),
        element("fieldset", element("legend", "Devices"), *boxes, class_="boxes") if boxes else "",
        element("p", more, class_="note") if hidden_devices else "",
        button("Next", class_="main"),
        action="/orders/new",
        method="get",
        class_="order",
    )


def boxed(chosen: Sequence[str], devices: Iterable[str]) -> tuple[list[str], int]:
    """The devices with a checkbox, the chosen ones first, and the number of the others."""
    every = list(dict.fromkeys([*chosen, *devices]))
    shown = every[: max(SHOWN_DEVICES, len(chosen))]
    return shown, len(every) - len(shown)


def once() -> Markup:
    """The id of this form, so that sending it twice, as by a double click, gives one order."""
    return hidden("once", secrets.token_hex(8))


def choose_model(asked: Asked, models: Iterable[str]) -> Markup:
    """The choice between several models."""
    return element(
        "form",
        *kept(asked),
        choice("Model", "model", ((one, one) for one in models)),
        button("Next", class_="main"),
        action="/orders/new",
        method="get",
        class_="order",
    )


def kept(asked: Asked) -> list[Markup]:
    """The earlier answers as hidden fields for the next question."""
    fields = [*(("device", one) for one in asked.devices), *(("group", one) for one in asked.groups)]
    fields += [("action", asked.action or ""), ("model", asked.model), ("job", asked.job)]
    return [hidden(name, value) for name, value in fields if value]


def dialog(settings: Settings, csrf: str, asked: Asked, lines: Sequence[Line], *, model: str, refused: str) -> Markup:
    """The effects per device, and the button that sends the order; ``refused``: why there is no button."""
    action = asked.action or "rollback"
    ordered, left_out = by_version(lines), [line for line in lines if line.why_not]
    names = [name for several in ordered.values() for name in several]
    about = asked.job or model
    head = element("h2", f"{_DOES[action]} {about} on {counted(len(names), 'device')}?", id="dialog-title")
    typing = [
        typed(command_words(settings, action, several, model=model, version=version, job=asked.job))
        for version, several in ordered.items()
    ]
    sure = join(
        *(hidden("target", f"{version}:{name}") for version, several in ordered.items() for name in several),
        hidden("action", action),
        once(),
        hidden("model", model) if model else "",
        hidden("job", asked.job) if asked.job else "",
    )
    buttons = element(
        "p",
        button(_DOES[action], class_="main danger") if names and not refused else "",
        element("a", "Do nothing", href="/orders", class_="button"),
        class_="buttons",
    )
    return element(
        "section",
        head,
        element("p", _MEANS[action]),
        _table(lines, rolls=action == "rollback") if action != "cancel" else _names(lines),
        element("p", f"{counted(len(left_out), 'device')} left out.", class_="note") if left_out else "",
        element("p", refused, class_="note refused") if refused else "",
        form(csrf, "/orders", sure, buttons),
        *typing,
        class_="dialog",
        role="dialog",
        aria_labelledby="dialog-title",
    )


def _table(lines: Sequence[Line], *, rolls: bool) -> Markup:
    columns = {"device": False, "": False, "now": True, "latency": True, "agreement": True}
    if rolls:
        columns |= {"goes back to": True, "its latency": True, "its agreement": True}
    rows = []
    for line in lines:
        cells = [
            element("th", element("a", line.device, href=f"/devices/{line.device}"), scope="row"),
            element("td", _state(line)),
            *_release(line.now),
        ]
        if rolls:
            cells += _release(line.after)
        rows.append(element("tr", *cells, class_="left" if line.why_not else None))
    return made_table(columns, rows, "plan")


def _names(lines: Sequence[Line]) -> Markup:
    rows = [
        element(
            "tr",
            element("th", line.device, scope="row"),
            element("td", _state(line)),
            class_="left" if line.why_not else None,
        )
        for line in lines
    ]
    return made_table({"device": False, "": False}, rows, "plan")


def _state(line: Line) -> Markup:
    if line.why_not:
        return badge(f"left out: {line.why_not}", "off")
    return badge("online", "good") if line.online else badge("offline: executes it when back within a day", "warn")


def _release(release: Release | None) -> list[Markup]:
    if release is None:
        return [element("td", numbers.UNKNOWN, class_="n") for _ in range(3)]
    return [
        element("td", str(release.version), class_="n"),
        element("td", numbers.known(numbers.milliseconds, release.latency_ms), class_="n"),
        element("td", numbers.known(numbers.share, release.agreement), class_="n"),
    ]
