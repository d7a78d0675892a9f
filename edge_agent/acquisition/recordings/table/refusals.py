"""Why a file is no table of numbers, shown on the line that is in the way. Pure."""

import re
from collections.abc import Sequence

from edge_agent.acquisition.recordings.table.fields import BLANKS, FORMS, SEPARATORS, Dialect
from edge_agent.acquisition.recordings.table.lines import Line
from edge_agent.acquisition.recordings.table.stamps import is_time_name, seconds
from edge_agent.acquisition.shown import shown

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
_UNIT = re.compile(r"[-+]?\d[\d.,]*\s*(%|°?[^\W\d_]{1,3}(/\w{1,3}[²³]?)?)")
"""A short word behind a number, as ``21.5 °C``, ``40 %``, ``9.81 m/s²``."""


def unclear_marks(lines: Sequence[Line], dialect: Dialect) -> str:
    """What to say where ``1,234`` may be a decimal or a thousand and no number shows which; empty if one does.

    Where fields stand apart by semicolons it is a decimal: spreadsheets write them where the comma is taken.
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
        f"{unclear}: whether its comma is a decimal mark or sets thousands apart is not clear; "
        "write numbers with a decimal point and without thousands separators"
    )


def no_rows(lines: Sequence[Line]) -> str:
    """Why a file has no row of numbers, shown on the line that should be the first."""
    table = [line for line in lines if not line.comment]
    if table and table[0].text.lstrip()[:1] in ("{", "["):
        return f"{table[0]} is JSON and no table; write one sample a line, its numbers apart by commas"
    if len(table) < 2:  # noqa: PLR2004  # header and row
        return f"{(table or list(lines))[0]} has no row of numbers under it; record it again"
    header, line = table[0], table[1]
    separator = max(SEPARATORS, key=lambda mark: (line.text.count(mark), -SEPARATORS.index(mark)))
    dialect = Dialect(separator if separator in line.text else BLANKS, ".")
    names, fields = dialect.split(header.text), dialect.split(line.row)
    for place, field in enumerate(fields):
        if field and dialect.number(field) is None and seconds(field) is None:
            word = names[place] if len(names) == len(fields) else ""
            what = f"{line}: field {place + 1}{f' ({shown(word)})' if word else ''} is {shown(field)}"
            if _DATE.search(field) or is_time_name(word):
                return f"{what}, no known time; write 2026-05-01T12:00:00.250"
            if _UNIT.fullmatch(field):
                return f"{what}, a number with its unit; write the unit into the header alone"
            return f"{what}, no number; leave that column out of the file"
    return f"{line} is no row of numbers; write one sample a line, its numbers apart by commas"
