"""The fleet as Prometheus metrics, built for each scrape.

A label is a name of the protocol, a word of a closed list, or an untrusted string that was shortened; it is never a
job's id. Counters with known labels start at 0, as an increase to a first value would be invisible.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_agent.wire.telemetry import EVENT_KINDS
from host_tools.exporter import table, words
from host_tools.fleet.device_state import OTHER, DeviceState
from host_tools.fleet.flood import Flood
from host_tools.fleet.reading import Reason
from host_tools.fleet.state import Fleet

PREFIX = "edge_agent_"
_NO_DEVICE = "(none)"
"""Label for topics without a device; no device can have this name."""


@dataclass
class Exported:
    """The exported state; readers and writers hold ``lock``.

    Attributes:
        messages: number of received messages.
        unreadable: reason → number of messages that cannot be used.
        connected: whether the broker is connected.
    """

    fleet: Fleet = field(default_factory=Fleet)
    flood: Flood = field(default_factory=Flood)
    messages: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    connected: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class FleetCollector(Collector):
    """Called by Prometheus' client library at each scrape, from any thread."""

    def __init__(self, exported: Exported, clock: Callable[[], float] = time.time) -> None:
        self._exported = exported
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Return nothing: otherwise the library would collect all metrics once to learn their names."""
        return []

    def collect(self) -> list[Metric]:
        """All current metrics."""
        with self._exported.lock:
            now = self._clock()
            self._exported.fleet.forget(now)
            devices = list(self._exported.fleet.devices.values())
            return [
                *_device_metrics(devices),
                *_health_metrics(devices, now),
                *_model_metrics(devices),
                *_serving_metrics(devices, now),
                *_job_metrics(devices),
                *_own_metrics(self._exported),
            ]


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, labels=labels)


def _device_metrics(devices: Iterable[DeviceState]) -> Iterator[Metric]:
    online = _gauge("online", "1: the device is connected to the broker.", "device")
    seen = _gauge("last_seen_timestamp_seconds", "When the device was last heard.", "device")
    info = _gauge("device_info", "Facts about the device; always 1.", "device", "board", "arch", "agent_version")
    memory = _gauge("memory_bytes", "Memory of the device.", "device")
    group = _gauge("device_group", "A group that the device is in; always 1.", "device", "group")
    refused = _counter("orders_refused", "Wants and commands that were refused.", "device")
    twin = _gauge("twin", "1: another client uses this device's id.", "device")
    events = _counter("events", "Events since the exporter's start.", "device", "kind", "severity")
    for one in devices:
        online.add_metric((one.id,), one.online)
        if one.seen:
            seen.add_metric((one.id,), one.seen)
        if one.online and one.status:  # a will reports 0, and a reset counter would be counted twice
            refused.add_metric((one.id,), max(0, one.status.refused_count))
            twin.add_metric((one.id,), bool(one.status.twin))
        if one.board:
            about = (one.board.board, one.board.arch, one.board.agent_version)
            info.add_metric((one.id, *map(words.short, about)), 1)
            memory.add_metric((one.id,), one.board.memory_bytes)
            for name in dict.fromkeys(map(words.short, one.board.groups)):
                group.add_metric((one.id, name), 1)
        begun = {(kind, meaning.severity): 0 for kind, meaning in EVENT_KINDS.items()}
        for (kind, severity), number in (begun | one.events).items():
            events.add_metric((one.id, kind, severity), number)
    yield from (online, seen, info, memory, group, refused, twin, events)


def _health_metrics(devices: Iterable[DeviceState], now: float) -> Iterator[Metric]:
    fresh = [(one.id, one.health.sample) for one in devices if one.health and one.health.fresh(now)]
    for metric in table.HEALTH:
        family = (_counter if metric.rises else _gauge)(metric.name, metric.text, "device")
        for name, health in fresh:
            value = metric.of(health)
            if value is not None:
                family.add_metric((name,), value)
        yield family


def _model_metrics(devices: Iterable[DeviceState]) -> Iterator[Metric]:
    states = [((one.id, name), state) for one in devices for name, state in one.models.items()]
    info = _gauge(
        "model_info",
        "The active release of a model's name; always 1.",
        "device",
        "model",
        "version",
        "method",
        "runtime",
    )
    verdict = _gauge(
        "model_verdict_info", "How the newest job of a model ended; always 1.",
        "device", "model", "version", "verdict", "code",
    )  # fmt: skip
    latency = Metric(PREFIX + "model_latency_seconds", "Time of an inference, as the verdict measured it.", "summary")
    for key, state in states:
        device, model = key
        if state.active_version:
            about = (words.one_of(state.method, words.METHODS), words.short(state.runtime))
            info.add_metric((*key, str(state.active_version), *about), 1)
        if state.verdict:
            end = (words.one_of(state.verdict, words.VERDICTS), words.code(state.code))
            verdict.add_metric((*key, str(state.job_version), *end), 1)
        for (precision, quantile), seconds in table.judged_latency(state).items():
            labels = {"device": device, "model": model, "precision": precision, "quantile": quantile}
            latency.add_sample(latency.name, labels, seconds)
    yield from (info, verdict, latency)
    for metric in table.MODEL:
        family = _gauge(f"model_{metric.name}", metric.text, "device", "model")
        for key, state in states:
            value = metric.of(state)
            if value is not None:
                family.add_metric(key, value)
        yield family


def _serving_metrics(devices: Iterable[DeviceState], now: float) -> Iterator[Metric]:
    latency = Metric(PREFIX + "inference_latency_seconds", "Time of an inference in the newest interval.", "summary")
    done = _counter("inferences", "Inferences since the exporter's start.", "device", "model")
    errors = _counter("inference_errors", "Failed inferences since the exporter's start.", "device", "model")
    dropped = _counter(
        "inference_datagrams_dropped", "Datagrams of applications that were not counted.", "device", "model"
    )
    applications = _gauge("serving_applications", "Applications that serve the model.", "device", "model")
    memory = _gauge("serving_resident_memory_bytes", "Memory of the largest of them.", "device", "model")
    for one in devices:
        for name, served in one.served.items():
            key, sample = (one.id, name), served.newest.sample
            done.add_metric(key, served.inferences)
            errors.add_metric(key, served.errors)
            dropped.add_metric(key, served.dropped)
            if not served.newest.fresh(now):
                continue
            applications.add_metric(key, sample.applications)
            if sample.rss_bytes is not None:
                memory.add_metric(key, sample.rss_bytes)
            for quantile, seconds in table.served_latency(sample).items():
                latency.add_sample(latency.name, {"device": one.id, "model": name, "quantile": quantile}, seconds)
    yield from (latency, done, errors, dropped, applications, memory)


def _job_metrics(devices: Iterable[DeviceState]) -> Iterator[Metric]:
    counts: Counter[tuple[str, str, str]] = Counter()
    models: set[str] = set()
    for one in devices:
        for job in one.jobs.values():
            if job.model not in models and len(models) < table.MOST_MODEL_LABELS:
                models.add(job.model)
            model = job.model if job.model in models else OTHER
            counts[model, words.one_of(job.status, words.STATUSES), words.code(job.code)] += 1
    jobs = _gauge("jobs", "Jobs whose reports the broker holds.", "model", "status", "code")
    for key, number in counts.items():
        jobs.add_metric(key, number)
    yield jobs


def _own_metrics(exported: Exported) -> Iterator[Metric]:
    connected = _gauge("exporter_broker_connected", "1: the exporter is connected to the broker.")
    connected.add_metric((), exported.connected)
    devices = _gauge("exporter_devices", "Devices that the exporter knows.")
    devices.add_metric((), len(exported.fleet.devices))
    messages = _counter("exporter_messages", "Received messages.")
    messages.add_metric((), exported.messages)
    unreadable = _counter("exporter_unreadable_messages", "Messages that could not be used.", "reason")
    for reason in get_args(Reason):
        unreadable.add_metric((reason,), exported.unreadable[reason])
    limited = _counter("exporter_limited_messages", "Messages left out, as the device sends too many.", "device")
    for name, number in (dict.fromkeys(exported.fleet.devices, 0) | exported.flood.left_out).items():
        limited.add_metric((name or _NO_DEVICE,), number)
    full = _counter("exporter_left_out", "Models and jobs left out, as the device has too many.", "device")
    for one in exported.fleet.devices.values():
        if one.left_out:
            full.add_metric((one.id,), one.left_out)
    others = _counter("exporter_unknown_devices_messages", "Messages left out, as there are too many devices.")
    others.add_metric((), exported.fleet.left_out)
    yield from (connected, devices, messages, unreadable, limited, full, others)
