"""Sections of a page, and lists of facts. Pure."""

from collections.abc import Iterable

from edge_agent.report.html.markup import Markup, element, join
from edge_agent.report.html.numbers import UNKNOWN


def section(title: str, *children: str, name: str | None = None) -> Markup:
    """A part of a page with a title; ``name`` is the id of the content that changes."""
    inside = element("div", *children, id=name) if name else join(*children)
    return element("section", element("h2", title), inside)


def facts(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names and values; an empty value becomes a dash."""
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value or UNKNOWN)) for name, value in pairs),
        class_="facts",
    )  # fmt: skip


def nothing(text: str) -> Markup:
    """A sentence in place of an empty table."""
    return element("p", text, class_="note empty")
