"""The live table of a fleet: rows in, a rich renderable out. Pure.

What does not fit the screen is left out, the least interesting rows first, and counted. Nothing of a device is markup.
"""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edge_agent.strict import counted
from host_tools.broker.fleet_view import Concern, Row

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
_WIDEST = {"device": 24, "board": 26, "model": 18, "state": 34}
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def fleet_table(rows: Sequence[Row], *, height: int, now: float) -> RenderableType:
    """The table.

    Args:
        rows: ordered by device and model.
        height: lines of the screen.
        now: seconds since the epoch.
    """
    shown = fitting(rows, max(1, height - _AROUND))
    table = Table(box=None, pad_edge=False, padding=(0, 1), expand=False)
    for heading in ("device", "board", "model", "version", "state"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=_WIDEST.get(heading))
    for heading in ("latency", "of float", "agreement", "°C", "seen"):
        table.add_column(heading, no_wrap=True, justify="right")
    for row in shown:
        table.add_row(*_cells(row, now))
    parts: list[RenderableType] = [headline(rows), table]
    if left := len(rows) - len(shown):
        parts.append(Text(f"… and {counted(left, 'row')} more; --filter WORD shows fewer", "dim"))
    return Group(*parts)


def fitting(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many rows, those of the greatest concern, in their order."""
    if len(rows) <= most:
        return list(rows)
    chosen = sorted(range(len(rows)), key=lambda number: (rows[number].concern, number))[:most]
    return [rows[number] for number in sorted(chosen)]


def headline(rows: Iterable[Row]) -> Text:
    """How many devices there are, and what they do."""
    concerns = [row.concern for row in rows]
    devices = {row.device: row.online for row in rows}
    text = Text(f"{counted(len(devices), 'device')}, {sum(devices.values())} online", "bold")
    names = (("working", Concern.WORKING), ("failed", Concern.FAILED), ("rejected", Concern.REJECTED))
    for name, concern in names:
        if count := concerns.count(concern):
            text.append(f", {count} {name}", _COLOURS[concern])
    return text


def age(seconds: float) -> str:
    """How long ago, in the largest unit that fits."""
    for unit, length in (("d", _DAY_S), ("h", _HOUR_S), ("min", _MINUTE_S)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _cells(row: Row, now: float) -> tuple[Text, ...]:
    colour = _COLOURS[row.concern]
    heat = "yellow" if row.throttled else ""
    dim = "" if row.online else "dim"
    return (
        Text(row.device, "bold" if row.online else "dim"),
        Text(row.board, dim),
        Text(row.model, dim),
        Text(str(row.version) if row.version else _DASH, dim),
        _state(row, colour),
        Text(latency(row), dim),
        Text(ratio(row), "red" if (row.latency_ratio or 0) > 1 else dim),
        Text(agreement(row), dim),
        Text(temperature(row), heat or dim),
        Text(_DASH if row.seen is None else age(now - row.seen), dim),
    )


def _state(row: Row, colour: str) -> Text:
    if row.progress is None:
        state = row.state if row.online else f"offline {row.state}".rstrip()
        if row.throttled and row.online:
            state += " throttled"
        return Text(state + " stale" * row.stale, colour)
    full = round(_BAR * part(row.progress))
    text = Text("" if row.online else "offline ", "dim")
    text.append(_FULL * full, colour).append(_EMPTY * (_BAR - full), "dim")
    return text.append(f" {part(row.progress):4.0%} {row.state}", colour)


def part(progress: float) -> float:
    """``progress``, which others have written, between 0 and 1."""
    return max(0.0, min(progress, 1.0))


def latency(row: Row) -> str:
    """The median time of an inference."""
    return _DASH if row.latency_ms is None else f"{row.latency_ms:.3g} ms"


def ratio(row: Row) -> str:
    """It over what float took."""
    return _DASH if row.latency_ratio is None else f"{row.latency_ratio:.2f}"


def agreement(row: Row) -> str:
    """How often int8 says what float does."""
    return _DASH if row.agreement is None else f"{row.agreement:.1%}".replace("%", " %")


def temperature(row: Row) -> str:
    """Of the processor."""
    return _DASH if row.temperature_c is None else f"{row.temperature_c:.0f}"
