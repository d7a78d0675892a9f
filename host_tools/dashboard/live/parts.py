"""Finds the changes of a page: its parts go in every second, the browser's replacements come out. Pure.

A part is an element with an id. In a part of rows the children also have ids, so that of a hundred rows only the
changed ones are sent. If a row was added, removed or moved, all of them are sent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edge_agent.report.html.markup import Markup, element, join

_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""A valid element id: in a browser's selector, every other character has a meaning."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The children of a part: id → the whole element with that id."""

    of: Mapping[str, Markup]


Parts: TypeAlias = Mapping[str, Markup | Rows]
"""The id of an element → its content."""


def contents(part: Markup | Rows) -> Markup:
    """The content of a part's element."""
    return join(*part.of.values()) if isinstance(part, Rows) else part


class Differ:
    """Remembers the state of one browser's page."""

    def __init__(self) -> None:
        self._known: dict[str, Markup | Rows] = {}

    def changes(self, parts: Parts) -> Markup:
        """Elements that update the browser's page to ``parts``; empty if it is up to date."""
        found = [one for name, part in parts.items() for one in self._of(name, part)]
        self._known = dict(parts)
        return join(*found)

    def _of(self, name: str, part: Markup | Rows) -> Sequence[Markup]:
        known = self._known.get(name)
        match known, part:
            case Rows(), Rows() if list(known.of) == list(part.of):
                return [_partial(key, "outerMorph", row) for key, row in part.of.items() if known.of[key] != row]
            case Markup(), Markup() if known == part:
                return []
        return [_partial(name, "innerMorph", contents(part))]


def _partial(name: str, swap: str, content: Markup) -> Markup:
    if not _ID.fullmatch(name):
        raise ValueError(f"{name!r} can be no element's id")
    return element("hx-partial", content, hx_target=f"#{name}", hx_swap=swap)
