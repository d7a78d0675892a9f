"""The heads of a table's columns, which sort it. Pure."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from edge_agent.report.html.markup import Markup, element


class Head(NamedTuple):
    """A column: its title, whether it holds numbers, and whether a click sorts by it."""

    title: str
    numeric: bool = False
    sorts: bool = True


def heads(columns: Mapping[str, Head], sort: str, address: Callable[[str], str]) -> Markup:
    """The row of heads; ``address`` returns the link for a click on a column."""
    return element("tr", *(_head(name, one, sort, address) for name, one in columns.items()))


def _head(name: str, head: Head, sort: str, address: Callable[[str], str]) -> Markup:
    order = {name: "ascending", f"-{name}": "descending"}.get(sort)
    mark = {"ascending": " ▲", "descending": " ▼"}.get(order or "", "")
    title: str = element("a", head.title, mark, href=address(name)) if head.sorts else head.title
    return element("th", title, scope="col", class_="n" if head.numeric else None, aria_sort=order)
