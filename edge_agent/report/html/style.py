"""The style sheets: one per part, which a server may link, and all in one for a page that fetches nothing."""

from pathlib import Path
from types import MappingProxyType

from edge_agent.report.html.markup import Markup


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


SHEETS = MappingProxyType({name: _read(name) for name in ("base.css", "verdict.css")})
"""File name → style sheet: colours and elements first, then the parts of a result."""
STYLE = Markup("\n".join((*SHEETS.values(), _read("page.css"))))
"""The style of the page of one result."""
