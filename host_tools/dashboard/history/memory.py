"""Time series since the dashboard's start, in bounded memory: used without a database, and in addition to one.

A series is an array of numbers: as objects, 1,000 devices would take ten times as much memory.
"""

import math
import threading
from array import array
from collections import deque
from collections.abc import Sequence

from edge_agent.wire.messages import Message
from edge_agent.wire.telemetry import Event, Health, ModelSample
from host_tools.dashboard.history.points import (
    MOST_EVENTS,
    HealthPoint,
    LatencyPoint,
    health_point,
    latency_point,
)

MOST = 120
"""Points of a series; one per minute makes two hours."""
_APART_S = 30.0
"""A point that follows sooner than this replaces the previous one."""
MOST_SERIES = 20_000
_UNKNOWN = math.nan


class _Series:
    """Rows of equal length, each beginning with its time."""

    __slots__ = ("_numbers", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._numbers = array("d")

    def add(self, row: Sequence[float | None]) -> None:
        numbers, width = self._numbers, self._width
        values = [_UNKNOWN if one is None else one for one in row]
        if len(numbers) >= 2 * width and values[0] - numbers[-2 * width] < _APART_S:
            del numbers[-width:]
        numbers.extend(values)
        if len(numbers) > MOST * width:
            del numbers[:width]

    def since(self, moment: float) -> list[list[float | None]]:
        numbers, width = self._numbers, self._width
        rows = (numbers[first : first + width] for first in range(0, len(numbers), width))
        return [[None if math.isnan(one) else one for one in row] for row in rows if row[0] >= moment]


class MemoryHistory:
    """Adds samples and events as they arrive, in one thread; other threads read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[tuple[str, str], _Series] = {}
        """(device, model) → latency, (device, "") → health."""
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)

    def take(self, said: Message | None, now: float) -> None:
        """Add a message received at ``now``, if it is a sample or an event."""
        with self._lock:
            match said:
                case Event():
                    self._events.append(said)
                case Health(device=device) as health:
                    self._add(device, "", health_point(health, now))
                case ModelSample(device=device, model=model) as sample if sample.inferences:
                    self._add(device, model, latency_point(sample, now))

    def health(self, device: str, since: float) -> list[HealthPoint]:
        """A device's health since a time, the oldest sample first."""
        return [HealthPoint(*row) for row in self._rows(device, "", since)]  # type: ignore[arg-type]  # a moment is known

    def latency(self, device: str, model: str, since: float) -> list[LatencyPoint]:
        """A model's latency on a device since a time, the oldest sample first."""
        return [LatencyPoint(*row) for row in self._rows(device, model, since)]  # type: ignore[arg-type]  # likewise

    def events(self, device: str = "") -> list[Event]:
        """The newest events of a device or of all, the newest first."""
        with self._lock:
            return [one for one in reversed(self._events) if device in ("", one.device)]

    def _add(self, device: str, model: str, point: HealthPoint | LatencyPoint) -> None:
        series = self._series.get((device, model))
        if series is None:
            if len(self._series) >= MOST_SERIES:
                return
            series = self._series[device, model] = _Series(len(point))
        series.add(point)

    def _rows(self, device: str, model: str, since: float) -> list[list[float | None]]:
        with self._lock:
            series = self._series.get((device, model))
            return series.since(since) if series else []
