"""Forms that change something; each carries its browser's token. Pure."""

from collections.abc import Iterable

from edge_agent.report.html.markup import Markup, element
from host_tools.dashboard.access import forgery


def form(csrf: str, action: str, *children: str, **attributes: object) -> Markup:
    """A form that is posted to ``action``; ``csrf``: ``request.state.csrf``."""
    token = hidden(forgery.FIELD, csrf)
    return element("form", token, *children, action=action, method="post", **attributes)


def hidden(name: str, value: object) -> Markup:
    """A hidden field."""
    return element("input", type="hidden", name=name, value=value)


def field(label: str, name: str, value: str = "", *, note: str = "", **attributes: object) -> Markup:
    """A labelled field, with a note below it."""
    described = f"{name}-note" if note else None
    shown = element(
        "input", **({"type": "text"} | attributes), name=name, id=name, value=value, aria_describedby=described
    )
    below = element("small", note, id=described, class_="note") if note else ""
    return element("p", element("label", label, for_=name), shown, below, class_="field")


def choice(label: str, name: str, options: Iterable[tuple[str, str]], chosen: str = "") -> Markup:
    """A labelled list of options, each with its value and text."""
    shown = [element("option", text, value=value, selected="" if value == chosen else None) for value, text in options]
    return element(
        "p", element("label", label, for_=name), element("select", *shown, name=name, id=name), class_="field"
    )


def button(text: str, **attributes: object) -> Markup:
    """The button that sends the form."""
    return element("button", text, **({"type": "submit"} | attributes))
