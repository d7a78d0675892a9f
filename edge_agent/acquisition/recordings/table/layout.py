"""Detects the layout of a text table: separator, decimal mark, header and units. Pure.

Each dialect is tried on the first lines. The best one has the most rows of numbers of one width, below a header of the
same width. A row consists of numbers, times and empty fields, with at least one number. The header is the last line of
another kind before the first row, or a comment there; a row of units may be between them. Lines before the header (a
logger's own text) are ignored.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edge_agent.acquisition.recordings import Unreadable
from edge_agent.acquisition.recordings.table.fields import BLANKS, DIALECTS, FORMS, SEPARATORS, Dialect, trimmed
from edge_agent.acquisition.recordings.table.lines import COMMENTS, Line
from edge_agent.acquisition.recordings.table.refusals import no_rows, unclear_marks
from edge_agent.acquisition.recordings.table.stamps import seconds
from edge_agent.acquisition.units import are_units

_HEADER_WORTH, _FIRST_WORTH = 0.5, 0.25
"""A header scores as much as half of the lines, and more in the first line, so that stray rows do not outvote it."""


class Layout(NamedTuple):
    """A table's layout.

    Attributes:
        dialect: its separator and decimal mark.
        width: number of columns.
        header: the columns' texts; empty if there is no header.
        units: the units, if they have their own row; else empty.
        begins: the number of the first line that may be a row.
        rows: the first rows, as fields.
        plain: whether it has commas, points, and an unquoted header in the first line, which every version reads.
    """

    dialect: Dialect
    width: int
    header: list[str]
    units: list[str]
    begins: int
    rows: list[list[str]]
    plain: bool


def layout_of(lines: Sequence[Line], names: Sequence[str] = ()) -> Layout:
    """Detect the layout of a table that begins with ``lines``.

    Args:
        lines: its first lines, without blank ones.
        names: the operator's names of columns; required without a header.

    Raises:
        Unreadable: it is no table; the message names the offending line, and gives advice.
    """
    if not lines:
        raise Unreadable("it is empty; record it again")
    found = [candidate for dialect in DIALECTS for candidate in _candidates(lines, dialect, len(names))]
    if not found:
        raise Unreadable(no_rows(lines))
    best = max(found, key=lambda candidate: candidate.score)
    if unclear := unclear_marks(lines[best.first :], best.dialect):
        raise Unreadable(unclear)
    return best.layout(lines)


class _Candidate(NamedTuple):
    score: tuple[float, int, int, int]
    dialect: Dialect
    width: int
    first: int
    """The index of the first row."""
    header: int | None
    """The index of the header."""

    def layout(self, lines: Sequence[Line]) -> Layout:
        split = self.dialect.split
        header, units = [] if self.header is None else _header(lines[self.header], self.dialect), []
        between = (
            [] if self.header is None else [line for line in lines[self.header + 1 : self.first] if not line.comment]
        )
        begins = self.first if self.header is None else self.header + 1
        if between and are_units(fields := split(between[0].text)):
            units, begins = fields, begins + 1
        rows = [split(line.row)[: self.width] for line in lines[self.first :] if not line.comment]
        return Layout(
            dialect=self.dialect,
            width=self.width,
            header=header[: self.width],
            units=[*units, *[""] * self.width][: self.width],
            begins=lines[begins].number,
            rows=[row for row in rows if len(row) == self.width and is_row(row, self.dialect)],
            plain=self.dialect == DIALECTS[0] and self.header == 0 and lines[0].number == 1 and _unquoted(lines[0]),
        )


def _candidates(lines: Sequence[Line], dialect: Dialect, named: int) -> Iterator[_Candidate]:
    """Yield the possible layouts in ``dialect``, one for each width of rows."""
    split = [None if line.comment else dialect.split(line.row) for line in lines]
    rows = {index: fields for index, fields in enumerate(split) if fields is not None and is_row(fields, dialect)}
    first_line = next((index for index, fields in enumerate(split) if fields is not None), None)
    if first_line is not None and _counts(trimmed(rows.get(first_line, []))) and len(rows) > 1:
        del rows[first_line]  # pandas' default names of columns: 0, 1, 2
    for width, count in Counter(len(trimmed(fields)) for fields in rows.values()).items():
        own = [index for index, fields in rows.items() if len(trimmed(fields)) == width]
        header = _find_header(lines[: own[0]], dialect, width, rows)
        grouped = sum(dialect.grouped(field) for index in own for field in rows[index])
        worth = len(lines) * (_HEADER_WORTH * (header is not None or width == named) + _FIRST_WORTH * (header == 0))
        if header == 0 and width > 1 and dialect == DIALECTS[0] and _unquoted(lines[0]):
            worth += len(lines)  # commas in the header and rows of the same width are unambiguous
        yield _Candidate((count + worth, width, -grouped, -DIALECTS.index(dialect)), dialect, width, own[0], header)


def is_row(fields: list[str], dialect: Dialect) -> bool:
    """Return whether a line consists of numbers, times and empty fields, with at least one number."""
    numbers = [dialect.number(field) is not None for field in fields if field]
    return any(numbers) and all(
        number or seconds(field) is not None for number, field in zip(numbers, filter(None, fields), strict=True)
    )


def _find_header(before: Sequence[Line], dialect: Dialect, width: int, rows: dict[int, list[str]]) -> int | None:
    """Return the index of the header of a table whose first row follows ``before``."""
    fitting = [index for index, line in enumerate(before) if index not in rows and _names(line, dialect, width)]
    plain = [index for index in fitting if not before[index].comment]
    if len(plain) > 1 and are_units(_header(before[plain[-1]], dialect)):
        return plain[-2]
    return max(plain or fitting, default=None)


def _header(line: Line, dialect: Dialect) -> list[str]:
    text = line.text.strip()
    if line.comment:
        text = text.removeprefix(next(mark for mark in COMMENTS if text.startswith(mark))).strip()
    if dialect.separator == BLANKS:  # join a unit with the name before it
        text = text.replace(" [", "[").replace(" (", "(")
    return dialect.split(text)


def _names(line: Line, dialect: Dialect, width: int) -> bool:
    """Return whether a line may be the header of ``width`` columns: words that contain no other separator.

    Words between commas may contain other separators, for compatibility.
    """
    fields = _header(line, dialect)
    words = [field for field in fields if field]
    if width not in (len(fields), len(trimmed(fields))) or (all(map(_is_number, words)) and not _counts(fields)):
        return False
    others = set(SEPARATORS) - {dialect.separator}
    return "".join(words).isprintable() and (
        '"' in line.text or dialect == DIALECTS[0] or not others & set("".join(words))
    )


def _is_number(word: str) -> bool:
    return any(Dialect(",", mark).number(word) is not None for mark in FORMS)


def _counts(fields: list[str]) -> bool:
    names = fields[1:] if fields[:1] == [""] else fields
    return bool(names) and names == [str(number) for number in range(len(names))]


def _unquoted(line: Line) -> bool:
    return '"' not in line.text and not line.comment
