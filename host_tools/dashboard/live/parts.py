"""What of a page has changed: its parts go in each second, what a browser has to replace comes out. Pure.

A part is an element that has an id. A part of rows is one whose children have ids of their own, so that of a hundred
rows only those are sent that differ; where one came, went or moved, all of them are.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edge_agent.report.html.markup import Markup, element, join

_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""What may be an element's id: in a browser's selector, each other character has a meaning."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The children of a part: id → the whole element, which has that id."""

    of: Mapping[str, Markup]


Parts: TypeAlias = Mapping[str, Markup | Rows]
"""The id of an element → what is in it."""


def contents(part: Markup | Rows) -> Markup:
    """What is in the element of a part."""
    return join(*part.of.values()) if isinstance(part, Rows) else part


class Differ:
    """Remembers what one browser has."""

    def __init__(self) -> None:
        self._known: dict[str, Markup | Rows] = {}

    def changes(self, parts: Parts) -> Markup:
        """Elements that make the browser's page show ``parts``; empty: it does."""
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
