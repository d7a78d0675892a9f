"""The command line equivalent to a page, to copy."""

from edge_agent.report.html.markup import Markup, element
from host_tools.broker.command_line import command_line
from host_tools.broker.settings import Settings


def command(settings: Settings, *words: str, signed: bool = False) -> Markup:
    """``host-tools`` with ``words``, as typed for this broker."""
    return typed(command_line(settings, "host-tools", *words, signed=signed))


def typed(text: str) -> Markup:
    """A whole command with a copy button."""
    copy = element("button", "Copy", type="button", class_="copy", data_copy=text, hidden="")
    return element(
        "p", element("span", "On the command line: ", class_="note"), element("code", text), copy, class_="cli"
    )
