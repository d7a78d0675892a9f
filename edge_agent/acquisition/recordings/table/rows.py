"""Parses lines to rows of numbers. Pure.

A block of lines is converted at once; only a block with a malformed line is parsed line by line.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.recordings.table.fields import BLANKS, Dialect
from edge_agent.acquisition.recordings.table.lines import COMMENTS, Line
from edge_agent.acquisition.recordings.table.stamps import seconds
from edge_agent.acquisition.shown import shown
from edge_agent.strict import counted

Numbers = NDArray[np.float64]


class Columns(NamedTuple):
    """The columns to read from a row.

    Attributes:
        dialect: separator and decimal mark.
        names: names of all columns, for messages.
        values: positions of the channels.
        time: position of the time; None if there is none.
        scale: seconds per unit of the time; None: it is text.
        period_s: period after which a textual time wraps; 0: it does not.
    """

    dialect: Dialect
    names: list[str]
    values: list[int]
    time: int | None
    scale: float | None
    period_s: float = 0.0


class Block(NamedTuple):
    """Rows ``[n, channels]``, their times in seconds ``[n]`` (empty without a time), and malformed lines."""

    values: Numbers
    times: Numbers
    malformed: list[Line]


def rows_of(lines: Sequence[Line], columns: Columns) -> Block:
    """Parse ``lines``, which must not include comments or blank lines."""
    converted = _at_once(lines, columns)
    malformed: list[Line] = []
    if converted is None:
        rows = [(line, _row(line, columns)) for line in lines]
        malformed = [line for line, row in rows if isinstance(row, str)]
        converted = [row for _, row in rows if not isinstance(row, str)]
    table = np.array(converted, np.float64).reshape(-1, len(columns.values) + (columns.time is not None))
    if columns.time is None:
        return Block(table, np.empty(0), malformed)
    return Block(table[:, 1:], table[:, 0], malformed)


def why_malformed(line: Line, columns: Columns) -> str:
    """Return the fault of a line that is no row."""
    wrong = _row(line, columns)
    return f"{line}: {wrong}"


def _at_once(lines: Sequence[Line], columns: Columns) -> list[list[float]] | None:
    """Convert lines of only plain numbers; None if any line needs a closer look."""
    dialect, width = columns.dialect, len(columns.names)
    text = "\n".join(line.text for line in lines)
    if any(mark in text for mark in COMMENTS):
        text = "\n".join(line.row for line in lines)
    if '"' in text or "_" in text or not text.isascii():  # ``float`` would accept 1_0
        return None
    if dialect.decimal == ",":
        if "." in text or dialect.separator == ",":
            return None
        text = text.replace(",", ".")
    separator = None if dialect.separator == BLANKS else dialect.separator
    fields = [line.split(separator) for line in text.split("\n")]
    if all(len(row) == width + 1 and not row[width].strip() for row in fields):
        fields = [row[:width] for row in fields]  # a separator after the last field
    if any(len(row) != width for row in fields):
        return None
    try:
        if columns.time is None:
            return [[float(row[place]) for place in columns.values] for row in fields]
        times = [_time_at_once(row[columns.time], columns.scale) for row in fields]
        return [
            [time, *(float(row[place]) for place in columns.values)] for time, row in zip(times, fields, strict=True)
        ]
    except ValueError:
        return None


def _time_at_once(field: str, scale: float | None) -> float:
    if scale is not None:
        return float(field) * scale
    time = seconds(field.strip())
    if time is None:
        raise ValueError(field)
    return time


def _row(line: Line, columns: Columns) -> list[float] | str:
    """Return the time, if there is one, and the values; else the fault."""
    fields, width = columns.dialect.split(line.row), len(columns.names)
    if len(fields) > width and not any(fields[width:]):
        fields = fields[:width]
    if len(fields) != width:
        return f"it has {counted(len(fields), 'field')}, not {width}"
    row = [] if columns.time is None else [_time(fields[columns.time], columns)]
    row += [columns.dialect.number(fields[place]) for place in columns.values]
    if None not in row:
        return [value for value in row if value is not None]
    places = columns.values if columns.time is None else [columns.time, *columns.values]
    place = places[row.index(None)]
    name = f" ({shown(columns.names[place])})" if columns.names[place] else ""
    what = (
        f"{shown(fields[place])}, not a {'time' if place == columns.time else 'number'}" if fields[place] else "empty"
    )
    return f"field {place + 1}{name} is {what}"


def _time(field: str, columns: Columns) -> float | None:
    """Return the time in seconds; None if ``field`` is no time."""
    if columns.scale is None:
        return seconds(field)
    number = columns.dialect.number(field)
    return None if number is None else number * columns.scale
