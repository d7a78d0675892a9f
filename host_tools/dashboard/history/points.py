"""Points of a time series. Pure values; times are seconds since the epoch, unknown values are None."""

from typing import NamedTuple, Protocol

from edge_agent.wire.telemetry import Event, Health, ModelSample

HOUR_S, DAY_S, WEEK_S = 3600.0, 86_400.0, 604_800.0
SPANS = {"hour": HOUR_S, "day": DAY_S, "week": WEEK_S}
"""Spans that a page can show, by their names in its address."""
MOST_POINTS = 240
"""Points of a series on a page, as many as a screen can show side by side."""
MOST_EVENTS = 2000
"""Events that a page can search."""


class HealthPoint(NamedTuple):
    """A sample of a machine's health."""

    at: float
    temperature_c: float | None
    cpu_share: float | None
    memory_available_bytes: float | None
    clock_hz: float | None


class LatencyPoint(NamedTuple):
    """The duration of a model's calls."""

    at: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class History(Protocol):
    """A source of time series."""

    def health(self, device: str, since: float) -> list[HealthPoint]:
        """A device's health since a time, the oldest sample first."""

    def latency(self, device: str, model: str, since: float) -> list[LatencyPoint]:
        """A model's latency on a device since a time, the oldest sample first."""

    def events(self, device: str = "") -> list[Event]:
        """The newest events of a device or of all, at most :data:`MOST_EVENTS`, the newest first."""


def health_point(health: Health, at: float) -> HealthPoint:
    """The point for a health sample."""
    return HealthPoint(at, health.temperature_c, health.cpu_share, health.memory_available_bytes, health.clock_hz)


def latency_point(sample: ModelSample, at: float) -> LatencyPoint:
    """The point for a serving sample."""
    return LatencyPoint(at, sample.p50_ms, sample.p95_ms, sample.p99_ms)
