"""The fleet without a terminal: a line on stderr for each change that belongs in a log."""

import sys
from collections.abc import Sequence

from edge_agent.printable import printable
from edge_agent.wire.messages import Message
from edge_agent.wire.telemetry import Event
from host_tools.display.fleet_table import agreement, latency, part, ratio, temperature
from host_tools.fleet.row import Row

_STEP = 0.25
"""The part of a job's progress after which the next line comes."""


class FleetLines:
    """Prints the changes since the last print."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[object, ...]] = {}

    def show(self, rows: Sequence[Row], because: Message | None = None) -> None:
        """Print the ``rows`` that have changed, and the event that caused it."""
        for row in rows:
            step = None if row.progress is None else int(part(row.progress) / _STEP)
            state = (row.online, row.state, step, row.version, row.message if step is None else "", row.throttled)
            if self._last.get((row.device, row.model)) != state:
                self._last[row.device, row.model] = state
                _say(words(row))
        if isinstance(because, Event) and rows:
            what = f" {because.model}" if because.model else ""
            _say(f"{because.device}{what}: {because.severity} {because.kind}: {because.message}")


def words(row: Row) -> str:
    """A row in one line. Pure."""
    what = f" {row.model}" + (f" {row.version}" if row.version else "") if row.model else ""
    done = "" if row.progress is None else f" {part(row.progress):.0%}"
    told = [
        "online" if row.online else "offline",
        *([f"{row.state}{done}"] if row.state else []),
        *(["throttled"] if row.throttled else []),
        *([f"{latency(row)} ({ratio(row)} of float)"] if row.latency_ms is not None else []),
        *([f"agreement {agreement(row)}"] if row.agreement is not None else []),
        *([f"{temperature(row)} °C"] if row.temperature_c is not None else []),
    ]
    message = f": {row.message}" if row.message else ""
    return f"{row.device}{what}: {', '.join(told)}{message}"


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
