"""Reasons why a file is no table of numbers, with the offending line. Pure."""

import re
from collections.abc import Sequence

from edge_agent.acquisition.recordings.table.fields import BLANKS, FORMS, SEPARATORS, Dialect
from edge_agent.acquisition.recordings.table.lines import Line
from edge_agent.acquisition.recordings.table.stamps import is_time_name, seconds
from edge_agent.acquisition.shown import shown
from edge_agent.acquisition.units import is_quantity

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")


def unclear_marks(lines: Sequence[Line], dialect: Dialect) -> str:
    """Return the reason if ``1,234`` may be a decimal or a thousand and no number decides it; empty if one does.

    With semicolons between fields it is a decimal: spreadsheets use them where the comma is the decimal mark.
    """
    if dialect.decimal != "," or dialect.separator == ";":
        return ""
    unclear: Line | None = None
    for line in lines:
        marked = [field for field in dialect.split(line.row) if "," in field and dialect.number(field) is not None]
        if any(not FORMS["."].grouped.fullmatch(field) for field in marked):
            return ""
        unclear = unclear or (line if marked else None)
    if unclear is None:
        return ""
    return (
        f"{unclear}: its comma may be a decimal mark or a thousands separator; "
        "write numbers with a decimal point and without thousands separators"
    )


def no_rows(lines: Sequence[Line]) -> str:
    """Return why a file has no row of numbers, with the line that should be the first one."""
    table = [line for line in lines if not line.comment]
    if table and table[0].text.lstrip()[:1] in ("{", "["):
        return f"{table[0]} is JSON, not a table; write one sample per line, with commas between its numbers"
    if len(table) < 2:  # noqa: PLR2004  # header and row
        return f"{(table or list(lines))[0]} has no row of numbers below it; record it again"
    header, line = table[0], table[1]
    separator = max(SEPARATORS, key=lambda mark: (line.text.count(mark), -SEPARATORS.index(mark)))
    dialect = Dialect(separator if separator in line.text else BLANKS, ".")
    names, fields = dialect.split(header.text), dialect.split(line.row)
    for place, field in enumerate(fields):
        if field and dialect.number(field) is None and seconds(field) is None:
            word = names[place] if len(names) == len(fields) else ""
            what = f"{line}: field {place + 1}{f' ({shown(word)})' if word else ''} is {shown(field)}"
            if _DATE.search(field) or is_time_name(word):
                return f"{what}, not a known time; write 2026-05-01T12:00:00.250"
            if is_quantity(field):
                return f"{what}, a number with its unit; write the unit into the header only"
            return f"{what}, not a number; leave that column out of the file"
    return f"{line} is not a row of numbers; write one sample per line, with commas between its numbers"
