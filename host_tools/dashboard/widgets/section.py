"""Sections of a page, and lists of facts. Pure."""

from collections.abc import Iterable

from edge_agent.report.html.markup import Markup, element, join
from edge_agent.report.html.numbers import UNKNOWN


def section(title: str, *children: str, name: str | None = None) -> Markup:
    """A part of a page with a title; ``name`` is the id of what changes in it."""
    inside = element("div", *children, id=name) if name else join(*children)
    return element("section", element("h2", title), inside)


def facts(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names and values; an empty value is a dash."""
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value or UNKNOWN)) for name, value in pairs),
        class_="facts",
    )  # fmt: skip


def nothing(text: str) -> Markup:
    """A sentence where a table would be empty."""
    return element("p", text, class_="note empty")
