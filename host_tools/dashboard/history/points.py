"""Points of a series over time. Pure values; moments are seconds since the epoch, what is unknown is None."""

from typing import NamedTuple, Protocol

from edge_agent.wire.telemetry import Event, Health, ModelSample

HOUR_S, DAY_S, WEEK_S = 3600.0, 86_400.0, 604_800.0
SPANS = {"hour": HOUR_S, "day": DAY_S, "week": WEEK_S}
"""How far back a page looks, by the name in its address."""
MOST_POINTS = 240
"""Of a series on a page: no screen shows more beside each other."""
MOST_EVENTS = 2000
"""That a page can look through."""


class HealthPoint(NamedTuple):
    """How a machine was."""

    at: float
    temperature_c: float | None
    cpu_share: float | None
    memory_available_bytes: float | None
    clock_hz: float | None


class LatencyPoint(NamedTuple):
    """How long a model's calls took."""

    at: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class History(Protocol):
    """Where series come from."""

    def health(self, device: str, since: float) -> list[HealthPoint]:
        """The health of a device since a moment, the oldest first."""

    def latency(self, device: str, model: str, since: float) -> list[LatencyPoint]:
        """The latency of a model on a device since a moment, the oldest first."""

    def events(self, device: str = "") -> list[Event]:
        """The newest events of a device or of all, at most :data:`MOST_EVENTS`, the newest first."""


def health_point(health: Health, at: float) -> HealthPoint:
    """What a sample of the health tells."""
    return HealthPoint(at, health.temperature_c, health.cpu_share, health.memory_available_bytes, health.clock_hz)


def latency_point(sample: ModelSample, at: float) -> LatencyPoint:
    """What a sample of serving tells."""
    return LatencyPoint(at, sample.p50_ms, sample.p95_ms, sample.p99_ms)
