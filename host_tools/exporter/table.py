"""The table of metrics: the source of each number, its name, its meaning, and its conversion to a base unit. Pure.

Names and units follow Prometheus' conventions: seconds, bytes, hertz, degrees Celsius, ratios from 0 to 1, ``_total``
for counters. A number that a device cannot measure is left out.
"""

from collections.abc import Callable
from typing import NamedTuple

from edge_agent.wire.telemetry import Health, ModelSample, ModelState
from edge_agent.wire.timestamps import parse_rfc3339

MS = 1e-3
MOST_MODEL_LABELS = 1000
"""Model names that are distinguished in counts over the whole fleet."""


class HealthMetric(NamedTuple):
    """A number of a machine's health."""

    name: str
    text: str
    of: Callable[[Health], float | None]
    rises: bool = False


class ModelMetric(NamedTuple):
    """A number of a model's state."""

    name: str
    text: str
    of: Callable[[ModelState], float | None]


HEALTH = (
    HealthMetric("uptime_seconds", "Time since the machine's boot.", lambda health: health.uptime_s),
    HealthMetric("cpu_usage_ratio", "Used share of all processors.", lambda health: health.cpu_share),
    HealthMetric("load1", "Load average of one minute.", lambda health: health.load_1m),
    HealthMetric("memory_available_bytes", "Available memory.", lambda health: health.memory_available_bytes),
    HealthMetric("swap_used_bytes", "Used swap.", lambda health: health.swap_used_bytes),
    HealthMetric(
        "disk_free_bytes", "Free space on the file system of state_dir.", lambda health: health.disk_free_bytes
    ),
    HealthMetric(
        "disk_written_per_day_bytes",
        "Bytes written to the disk per day, since boot.",
        lambda health: health.disk_written_bytes_per_day,
    ),
    HealthMetric("temperature_celsius", "Temperature of the processor.", lambda health: health.temperature_c),
    HealthMetric("clock_hertz", "Clock rate of the slowest active processor.", lambda health: health.clock_hz),
    HealthMetric("throttled", "1: the processor is slowed down now.", lambda health: health.throttled),
    HealthMetric(
        "throttled_since_boot", "1: it was slowed down since boot.", lambda health: health.throttled_since_boot
    ),
    HealthMetric("undervoltage", "1: the supply voltage is too low now.", lambda health: health.undervoltage),
    HealthMetric(
        "undervoltage_since_boot",
        "1: the supply voltage was too low since boot.",
        lambda health: health.undervoltage_since_boot,
    ),
    HealthMetric("clock_plausible", "0: the system clock was never set.", lambda health: health.clock_plausible),
    HealthMetric("agent_uptime_seconds", "Time since the agent's start.", lambda health: health.agent_uptime_s),
    HealthMetric("agent_resident_memory_bytes", "Memory of the agent.", lambda health: health.agent_rss_bytes),
    HealthMetric("agent_cpu_usage_ratio", "The agent's share of one processor.", lambda health: health.agent_cpu_share),
    HealthMetric(
        "reconnects",
        "Connections of the agent to the broker after its first.",
        lambda health: health.reconnects,
        rises=True,
    ),
    HealthMetric(
        "dropped_messages",
        "Incoming messages that the agent had no room for.",
        lambda health: health.dropped_messages,
        rises=True,
    ),
)

MODEL = (
    ModelMetric("active_version", "Active version; 0: none.", lambda state: state.active_version),
    ModelMetric("newest_version", "Highest version that was ordered.", lambda state: state.newest_version),
    ModelMetric(
        "active_since_timestamp_seconds",
        "Time of the active release's activation.",
        lambda state: parse_rfc3339(state.active_since),
    ),
    ModelMetric("stale", "1: served on another runtime than the one that judged it.", lambda state: state.stale),
    ModelMetric("job_progress_ratio", "Progress of the newest job.", lambda state: state.progress),
    ModelMetric("float_size_bytes", "Size of the float model.", lambda state: state.float_bytes),
    ModelMetric("size_bytes", "Size of the active release.", lambda state: state.model_bytes),
    ModelMetric("size_ratio", "Size of the active release over float's.", lambda state: state.size_ratio),
    ModelMetric("latency_ratio", "Median time of the active release over float's.", lambda state: state.latency_ratio),
    ModelMetric(
        "latency_upper_ratio", "Proved upper bound of the latency ratio.", lambda state: state.latency_ratio_upper
    ),
    ModelMetric("agreement_ratio", "Share of windows on which it agrees with float.", lambda state: state.agreement),
    ModelMetric("agreement_lower_ratio", "Proved lower bound of the agreement.", lambda state: state.agreement_lower),
    ModelMetric(
        "float_accuracy_ratio", "Accuracy of float, where there are labels.", lambda state: state.float_accuracy
    ),
    ModelMetric(
        "accuracy_ratio", "Accuracy of the active release, where there are labels.", lambda state: state.accuracy
    ),
    ModelMetric(
        "float_memory_bytes", "Memory that the float model adds to a runtime.", lambda state: state.float_rss_bytes
    ),
    ModelMetric("memory_bytes", "Memory that the active release adds to a runtime.", lambda state: state.rss_bytes),
)


def judged_latency(state: ModelState) -> dict[tuple[str, str], float]:
    """(precision, quantile) → seconds, as measured for the verdict."""
    found = {
        ("float", "0.5"): state.float_p50_ms,
        ("float", "0.95"): state.float_p95_ms,
        ("float", "0.99"): state.float_p99_ms,
        ("active", "0.5"): state.p50_ms,
        ("active", "0.95"): state.p95_ms,
        ("active", "0.99"): state.p99_ms,
    }
    return {key: value * MS for key, value in found.items() if value is not None}


def served_latency(sample: ModelSample) -> dict[str, float]:
    """Quantile → seconds, in the newest interval."""
    found = {"0.5": sample.p50_ms, "0.95": sample.p95_ms, "0.99": sample.p99_ms}
    return {key: value * MS for key, value in found.items() if value is not None}
