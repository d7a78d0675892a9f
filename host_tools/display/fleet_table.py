"""The live table of a fleet: rows in, a rich renderable out. Pure.

Rows that do not fit the screen are left out, the least interesting first, and counted. Device text is never markup.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from edge_agent.strict import counted
from host_tools.fleet.row import Concern, Row

_BAR = 8
_FULL, _EMPTY = "━", "─"
_DASH = "-"
_AROUND = 3
"""Lines of the screen beside the rows: headline, headings, and what was left out."""
_COLOURS = {
    Concern.FAILED: "red",
    Concern.WORKING: "cyan",
    Concern.AILING: "yellow",
    Concern.REJECTED: "yellow",
    Concern.OFFLINE: "dim",
    Concern.NONE: "green",
}
_COLUMNS = {
    "device": (11, 24), "board": (8, 26), "model": (8, 18), "version": (7, 8), "state": (23, 34),
    "latency": (8, 10), "of float": (8, 8), "agreement": (9, 9), "°C": (4, 5), "seen": (6, 7),
}  # fmt: skip
"""Heading → the fewest and the most characters. Long text of one device does not make other columns narrower."""
_NUMBERS = ("latency", "of float", "agreement", "°C", "seen")
_GIVEN_UP = ("board", "agreement", "of float", "°C", "seen", "version")
"""The columns that a narrow screen drops, in this order."""
_SHRINK = ("board", "device", "state", "model")
"""The columns that become narrower first, in this order, before the others."""
_GAP = 2
_LONGEST = 200
"""The most characters of a string that are drawn: thousands of accents on one letter are a single column wide."""
_HUNDRED, _THOUSAND = 100, 1000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def fleet_table(rows: Sequence[Row], *, height: int, now: float) -> RenderableType:
    """The table.

    Args:
        rows: ordered by device and model.
        height: lines of the screen.
        now: seconds since the epoch.
    """
    shown = fitting(rows, max(1, height - _AROUND))
    parts: list[RenderableType] = [headline(rows), _Fitted(shown, now)]
    if left := len(rows) - len(shown):
        parts.append(Text(f"… and {counted(left, 'row')} more; --filter WORD shows fewer", "dim"))
    return Group(*parts)


def columns(width: int) -> list[str]:
    """The headings that fit a screen of ``width`` columns."""
    left = list(_COLUMNS)
    for heading in _GIVEN_UP:
        if sum(_COLUMNS[one][0] + _GAP for one in left) - _GAP <= width:
            break
        left.remove(heading)
    return left


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The rows as a table of the columns that fit the screen."""

    rows: Sequence[Row]
    now: float

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        headings = columns(options.max_width)
        cells = [_cells(row, self.now) for row in self.rows]
        table = Table(box=None, pad_edge=False, padding=(0, 1), expand=False)
        for heading, width in _widths(headings, cells, options.max_width).items():
            justify: JustifyMethod = "right" if heading in _NUMBERS else "left"
            table.add_column(heading, no_wrap=True, overflow="ellipsis", justify=justify, width=width)
        for one in cells:
            table.add_row(*(one[heading] for heading in headings))
        yield table


def _widths(headings: Sequence[str], cells: Sequence[dict[str, Text]], width: int) -> dict[str, int]:
    """Heading → the column's characters: the longest cell, within its bounds and the screen's ``width``."""
    wanted = {
        heading: min(_COLUMNS[heading][1], max(len(heading), *(one[heading].cell_len for one in cells), 0))
        for heading in headings
    }
    excess = sum(wanted.values()) + _GAP * (len(wanted) - 1) - width
    for heading in (*_SHRINK, *headings):
        if heading in wanted and excess > 0:
            less = max(0, min(excess, wanted[heading] - _COLUMNS[heading][0]))
            wanted[heading] -= less
            excess -= less
    return wanted


def fitting(rows: Sequence[Row], most: int) -> list[Row]:
    """The ``most`` rows of the greatest concern, in their order."""
    if len(rows) <= most:
        return list(rows)
    chosen = sorted(range(len(rows)), key=lambda number: (rows[number].concern, number))[:most]
    return [rows[number] for number in sorted(chosen)]


def headline(rows: Iterable[Row]) -> Text:
    """The numbers of devices, of those online, and of those in each state."""
    concerns = [row.concern for row in rows]
    devices = {row.device: row.online for row in rows}
    text = Text(f"{counted(len(devices), 'device')}, {sum(devices.values())} online", "bold")
    names = (("working", Concern.WORKING), ("failed", Concern.FAILED), ("rejected", Concern.REJECTED))
    for name, concern in names:
        if count := concerns.count(concern):
            text.append(f", {count} {name}", _COLOURS[concern])
    return text


def age(seconds: float) -> str:
    """An age in the largest unit that fits."""
    if seconds >= _THOUSAND * _DAY_S:
        return ">999 d"
    for unit, length in (("d", _DAY_S), ("h", _HOUR_S), ("min", _MINUTE_S)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _cells(row: Row, now: float) -> dict[str, Text]:
    colour = _COLOURS[row.concern]
    heat = "yellow" if row.throttled else ""
    dim = "" if row.online else "dim"
    return {
        "device": Text(row.device[:_LONGEST], "bold" if row.online else "dim"),
        "board": Text(row.board[:_LONGEST], dim),
        "model": Text(row.model[:_LONGEST], dim),
        "version": Text(version(row), dim),
        "state": _state(row, colour),
        "latency": Text(latency(row), dim),
        "of float": Text(ratio(row), "red" if (row.latency_ratio or 0) > 1 else dim),
        "agreement": Text(agreement(row), dim),
        "°C": Text(temperature(row), heat or dim),
        "seen": Text(_DASH if row.seen is None else age(now - row.seen), dim),
    }


def _state(row: Row, colour: str) -> Text:
    if row.progress is None:
        state = row.state[:_LONGEST] if row.online else f"offline {row.state[:_LONGEST]}".rstrip()
        if row.throttled and row.online:
            state += " throttled"
        return Text(state + " stale" * row.stale, colour)
    full = round(_BAR * part(row.progress))
    text = Text("" if row.online else "offline ", "dim")
    text.append(_FULL * full, colour).append(_EMPTY * (_BAR - full), "dim")
    return text.append(f" {part(row.progress):4.0%} {row.state[:_LONGEST]}", colour)


def part(progress: float) -> float:
    """``progress``, which comes from a device, limited to 0 to 1."""
    return max(0.0, min(progress, 1.0))


def version(row: Row) -> str:
    """The model's version."""
    return _bounded(row.version or None, "d", 10_000_000)


def latency(row: Row) -> str:
    """The median time of an inference."""
    value = row.latency_ms
    form = ".0f" if value is not None and abs(value) >= _HUNDRED else ".3g"
    return _bounded(None if value is None else round(value, 4), form, 10 * _THOUSAND, " ms")


def ratio(row: Row) -> str:
    """The latency as a part of float's."""
    return _bounded(row.latency_ratio, ".2f", _THOUSAND)


def agreement(row: Row) -> str:
    """The share of windows on which int8 agrees with float."""
    return _bounded(None if row.agreement is None else 100 * row.agreement, ".1f", _THOUSAND, " %")


def temperature(row: Row) -> str:
    """The processor's temperature."""
    return _bounded(row.temperature_c, ".0f", _THOUSAND)


def _bounded(value: float | None, form: str, most: int, unit: str = "") -> str:
    """A number from a device, limited to the width of its column; no honest number is as large."""
    if value is None:
        return _DASH
    if value >= most:
        return f">{most - 1}"
    return f"{value:{form}}{unit}" if value > -most else f"<-{most - 1}"
