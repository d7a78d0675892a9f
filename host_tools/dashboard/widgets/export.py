"""A table as JSON or CSV, for scripts and spreadsheets."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from edge_agent.report.html.markup import Markup, element

FORMATS = ("json", "csv")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that a spreadsheet would evaluate as a formula."""


def export(form: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Response:
    """``rows`` in a format of :data:`FORMATS`; values are strings, numbers, booleans, None or lists of strings."""
    if form == "json":
        return Response(json.dumps(list(rows), ensure_ascii=False), media_type="application/json")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return Response(text.getvalue(), media_type="text/csv")


def links(address: str) -> Markup:
    """Links to the same page as JSON and CSV."""
    sign = "&" if "?" in address else "?"
    shown = [element("a", form.upper(), href=f"{address}{sign}format={form}") for form in FORMATS]
    return element("span", *shown, class_="formats")


def _cell(value: Any) -> Any:
    match value:
        case list() | tuple():
            return _cell(" ".join(map(str, value)))
        case str() if value.startswith(_FORMULA):
            return f"'{value}"
        case None:
            return ""
    return value
