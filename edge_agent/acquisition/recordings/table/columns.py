"""Selects the channels and the time among a table's columns, and names them. Pure.

The time is a column of dates or times of day, else a column of numbers that never decrease and whose name is that of a
time (``t``, ``Time (s)``, ``timestamp_ms``). It is not a channel. Names do not include units.

In a plain table with a configured rate, every column of numbers stays a channel, named by its full header. The first
version read such tables so, and existing manifests must keep working.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_agent.acquisition.recordings import Unreadable
from edge_agent.acquisition.recordings.naming import Named as Meant
from edge_agent.acquisition.recordings.naming import check_renaming, named_channels
from edge_agent.acquisition.recordings.table.fields import DIALECTS
from edge_agent.acquisition.recordings.table.layout import Layout
from edge_agent.acquisition.recordings.table.lines import Line
from edge_agent.acquisition.recordings.table.rows import Columns
from edge_agent.acquisition.recordings.table.stamps import Times, has_clock, is_time_name, period_of, scale_of, seconds
from edge_agent.acquisition.units import Named, named
from edge_agent.strict import counted


class Chosen(NamedTuple):
    """The columns, the names of the channels, and the name of the time."""

    columns: Columns
    names: list[str]
    time_name: str


class _Time(NamedTuple):
    place: int
    scale: float | None


def choose_columns(table: Layout, head: Sequence[Line], names: Sequence[str], rate_hz: float | None) -> Chosen:
    """Choose the columns of ``table``.

    Args:
        table: the layout of the file.
        head: its first lines, for messages.
        names: the operator's names of all columns, or of the channels; may be empty.
        rate_hz: the operator's samples per second, if configured.

    Raises:
        Unreadable: columns have no names or too few; the unit of the time is unclear; there is only the time.
    """
    texts = [place for place in range(table.width) if _is_text_time(table, place)]
    chooses = _are_the_files(names, table.header)
    renamed = len(names) == table.width and not chooses
    if renamed and table.header:
        check_renaming([named(word).name for word in table.header], names)
    words = _words(table, head, () if chooses else names, len(texts))
    labels = [_label(word, unit) for word, unit in zip(words, table.units, strict=True)]
    counts = {
        place: times for place in range(table.width) if (times := _numeric_times(table, place, labels)) is not None
    }
    as_ever = table.plain and rate_hz is not None
    stay = counts if as_ever else {}
    dropped = {*texts, *counts, *([0] if not as_ever and _is_index(table, words[0]) else [])}
    channels = [place for place in range(table.width) if place in stay or place not in dropped]
    if not channels:
        raise Unreadable(f"{head[0]} begins a table that contains only the time; record it again")
    time = _time(table, texts, labels, counts, rate_hz)
    meant = _meant(words, labels, channels, [] if renamed else names, whole=as_ever)
    channels = [channels[place] for place in meant.places]
    period_s = period_of(_first(table, time.place)) if time and time.scale is None else 0.0
    columns = Columns(
        table.dialect, words, channels, time.place if time else None, time.scale if time else None, period_s
    )
    return Chosen(columns, meant.names, words[time.place] if time else "")


def _are_the_files(names: Sequence[str], header: Sequence[str]) -> bool:
    """Return whether all names are in the header, with or without units, so that they select among its columns."""
    return bool(names) and any(set(names) <= set(own) for own in (header, [named(word).name for word in header]))


def _meant(
    words: Sequence[str], labels: Sequence[Named], channels: Sequence[int], names: Sequence[str], *, whole: bool
) -> Meant:
    """Return the channels that ``names`` refer to, or all; with ``whole`` their own names are the full header."""
    long, short = [words[place] for place in channels], [labels[place].name for place in channels]
    own, other = (long, short) if whole or len(set(short)) < len(short) else (short, long)  # acc [g] beside acc [m/s²]
    if _are_the_files(names, other) and not set(names) <= set(own):
        own = other
    if len(names) == len(words):  # of all columns, the time among them
        beside = {*words, *(label.name for label in labels)} - {*long, *short}
        names = [name for name in names if name not in beside]
    return named_channels(own if any(own) or not names else [], names, len(channels))


def _words(table: Layout, head: Sequence[Line], names: Sequence[str], texts: int) -> list[str]:
    """Return the name of each column: the operator's, or the file's."""
    if len(names) == table.width:
        return list(names)
    if table.header:
        return [*table.header, *[""] * table.width][: table.width]
    if names and len(names) == table.width - texts:
        return [""] * table.width
    row = next(line for line in head if line.number == table.begins)
    other = next((line for line in head if line.number < table.begins and not line.comment), None)
    if other is not None:
        if any(len(dialect.split(other.text)) == table.width > 1 for dialect in DIALECTS):
            raise Unreadable(f"{other} and {row} have different separators; write both with the same")
        count = len(table.dialect.split(other.text))
        raise Unreadable(
            f"{row} has {counted(table.width, 'field')}, {other} above it {count}; "
            "name each column there, or in channels"
        )
    many = f"the {table.width} columns" if table.width > 1 else "the column"
    raise Unreadable(f"{row} is a row of numbers without a header; name {many} in channels of [sources]")


def _label(word: str, unit: str) -> Named:
    found = named(word)
    return Named(found.name, found.unit or unit.strip("[]() "))


def _is_index(table: Layout, word: str) -> bool:
    """Return whether the first column is a row index as pandas writes it: without a name, counting from 0."""
    return (
        not word and table.width > 1 and [row[0] for row in table.rows] == [str(row) for row in range(len(table.rows))]
    )


def _is_text_time(table: Layout, place: int) -> bool:
    fields = [row[place] for row in table.rows if row[place]]
    return bool(fields) and all(table.dialect.number(field) is None and seconds(field) is not None for field in fields)


def _first(table: Layout, place: int) -> str:
    """Return a column's first nonempty field; a logger may start before its clock is set."""
    return next(filter(None, (row[place] for row in table.rows)), "")


def _numeric_times(table: Layout, place: int, labels: Sequence[Named]) -> Times | None:
    """Return the first numbers of a column that is a time by its name and by increasing."""
    if not is_time_name(labels[place].name):
        return None
    numbers = [table.dialect.number(row[place]) for row in table.rows]
    times = np.array([number for number in numbers if number is not None], np.float64)
    steps = np.diff(times)
    rises = len(times) == len(numbers) and bool(np.all(np.isfinite(times)) and np.all(steps >= 0) and np.any(steps > 0))
    return times if rises else None


def _time(
    table: Layout, texts: Sequence[int], labels: Sequence[Named], counts: dict[int, Times], rate_hz: float | None
) -> _Time | None:
    """Return the column of the time: one with a time of day, else any date, else numbers with a known unit."""
    if texts:
        clocks = [place for place in texts if has_clock(_first(table, place))]
        return _Time((clocks or texts)[0], None)
    scales = {place: scale_of(*labels[place], times, rate_hz) for place, times in counts.items()}
    known = {place: scale for place, scale in scales.items() if scale is not None}
    if known:
        place = max(known, key=lambda place: (known[place].said, -place))
        return _Time(place, known[place].seconds)
    if not counts or rate_hz:
        return None
    place, times = next(iter(counts.items()))
    first = ", ".join(f"{time:g}" for time in times[:3])
    name = labels[place].name
    raise Unreadable(
        f"the unit of column {name!r} ({first}) is unclear; write it into the header, as {name} [ms], or set rate_hz"
    )
