"""The forms of the push page. Pure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from edge_agent.advice.remedy import remedy_for
from edge_agent.printable import printable
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.report.html.numbers import size
from edge_agent.strict import counted
from edge_agent.wire.messages import DeviceInfo
from edge_agent.wire.topics import EVERYONE
from host_tools.broker.settings import Settings
from host_tools.dashboard.access import forgery
from host_tools.dashboard.orders.asking import Asked
from host_tools.dashboard.orders.checking import Checked
from host_tools.dashboard.orders.commander import push_words
from host_tools.dashboard.orders.described import KINDS, Described, Source, summary
from host_tools.dashboard.orders.uploads import MOST_BYTES, Upload
from host_tools.dashboard.pages.order_forms import boxed
from host_tools.dashboard.widgets.command import typed
from host_tools.dashboard.widgets.forms import button, choice, field, form, hidden
from host_tools.dashboard.widgets.section import facts

Infos: TypeAlias = Mapping[str, DeviceInfo | None]


def start(settings: Settings, csrf: str, given: QueryParams, refused: str) -> Markup:
    """The upload form."""
    command = typed(push_words(settings, [], Path("MODEL")))
    if refused:
        return join(element("p", refused, class_="note refused"), command)
    chosen = urlencode([("device", name) for name in given.getlist("device")])
    return join(
        element(
            "form",
            hidden(forgery.FIELD, csrf),
            _file("Model", "model", ".onnx,.tflite", f"A float model, *.onnx or *.tflite, {size(MOST_BYTES)} at most."),
            _file("Manifest, if you have one", "manifest", ".toml", "M.toml; without one, a form creates it."),
            button("Next", class_="main"),
            action=f"/push/upload?{chosen}" if chosen else "/push/upload",
            method="post",
            enctype="multipart/form-data",
            class_="push",
        ),
        command,
    )


def describe(
    csrf: str,
    upload: Upload,
    asked: Asked,
    said: Described,
    *,
    devices: Sequence[str],
    groups: Sequence[str],
    known: Sequence[Source],
    text: str,
    by_text: bool,
    checked: Checked | None,
    meant: Sequence[str],
) -> Markup:
    """Targets, needs of the model, TOML, and the result of a check; ``meant``: the chosen devices."""
    return form(
        csrf,
        f"/push/{upload.id}",
        element("p", element("b", upload.shown), f", {size(upload.size)}"),
        _found(checked, meant) if checked else "",
        _whom(asked, devices, groups),
        _fields(said, known),
        _text(text, chosen=by_text),
        element(
            "p",
            button("Make the TOML", name="do", value="make"),
            button("Check", name="do", value="check", class_="main"),
            button("Send", name="do", value="send", class_="main danger") if checked and checked.announced else "",
            button("Drop the model", name="do", value="drop"),
            class_="buttons",
        ),
        class_="push",
    )


def _whom(asked: Asked, devices: Sequence[str], groups: Sequence[str]) -> Markup:
    shown, hidden_devices = boxed(asked.devices, devices)
    boxes = [_box("device", name, name, checked=name in asked.devices) for name in shown]
    choices = [(EVERYONE, f"every device ({len(devices)} now)"), *((name, f"group {name}") for name in groups)]
    several = [_box("group", name, text, checked=name in asked.groups) for name, text in choices]
    more = f"{hidden_devices} more: select them on the fleet's page, or choose a group"
    note = element("p", more, class_="note") if hidden_devices else ""
    return element("fieldset", element("legend", "For"), *several, *boxes, note, class_="boxes")


def _fields(said: Described, known: Sequence[Source]) -> Markup:
    chosen = [("", "choose a source"), *((one.name, printable(one.shown, 200)) for one in known)]
    if said.source and said.source not in {one.name for one in known}:
        chosen.append((said.source, f"{said.source}: none of the chosen devices has it"))
    kinds = [("", "the device finds it"), *((kind, kind) for kind in KINDS)]
    more = element("textarea", said.more, name="more", id="more", rows="4", spellcheck="false")
    return element(
        "fieldset",
        element("legend", "What the model needs"),
        field("Name", "name", said.name, note="Lower-case letters, digits, _ and -.", required=""),
        choice("Source", "source", chosen, said.source),
        field("Channels", "channels", said.channels, note="In the model's order, separated by commas; empty: all."),
        field("Window, samples", "size", said.size, inputmode="numeric"),
        field("Hop, samples", "hop", said.hop, inputmode="numeric", note="Samples between the starts of two windows."),
        field("Rate, Hz", "rate_hz", said.rate_hz, inputmode="decimal", note="Empty: the rate of the source."),
        field("Steps", "steps", said.steps, note="Conversion of a window into the model's input, as in TOML."),
        field("Frame", "frame", said.frame, note="Only for pictures: height, width."),
        choice("Output", "kind", kinds, said.kind),
        element("p", element("label", "More tables: [recipe], [gates], …", for_="more"), more, class_="field"),
    )


def _text(text: str, *, chosen: bool) -> Markup:
    area = element(
        "textarea", text, name="toml", id="toml", rows="14", spellcheck="false", aria_label="The manifest, TOML"
    )
    uses = [
        _radio("use", "form", "Make the TOML from the form", checked=not chosen),
        _radio("use", "text", "Use this TOML as it is", checked=chosen),
    ]
    return element("fieldset", element("legend", "Manifest"), *uses, area)


def _found(checked: Checked, meant: Sequence[str]) -> Markup:
    notes = element("ul", *(element("li", printable(note)) for note in checked.notes)) if checked.notes else ""
    if checked.announced is None:
        to_do = remedy_for(checked.code, checked.trouble)
        advice = element("p", element("b", "To do: "), to_do, class_="todo") if to_do else ""
        said = element("p", element("b", f"{checked.code}: "), printable(checked.trouble))
        return element("div", said, advice, notes, class_="trouble", role="alert")
    head = element("p", element("b", "✓ No problem was found."), " Nothing has been sent yet.")
    devices = f"{counted(len(meant), 'device')} now: {', '.join(meant)}" if meant else "no known device"
    told = [*summary(checked.announced), ("Devices", devices)]
    return element("div", head, facts(told), notes, class_="checked", role="status")


def _file(label: str, name: str, accept: str, note: str) -> Markup:
    required = "" if name == "model" else None
    box = element(
        "input", type="file", name=name, id=name, accept=accept, required=required, aria_describedby=f"{name}-note"
    )
    return element(
        "p", element("label", label, for_=name), box, element("small", note, id=f"{name}-note", class_="note"),
        class_="field",
    )  # fmt: skip


def _box(name: str, value: str, text: str, *, checked: bool) -> Markup:
    box = element("input", type="checkbox", name=name, value=value, checked="" if checked else None)
    return element("label", box, " ", text)


def _radio(name: str, value: str, text: str, *, checked: bool) -> Markup:
    box = element("input", type="radio", name=name, value=value, checked="" if checked else None)
    return element("label", box, " ", text, class_="radio")
