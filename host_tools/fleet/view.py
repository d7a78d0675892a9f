"""What a host knows of a fleet now: messages go in, one row a device and model comes out. Pure.

A device of version 0.1 says nothing of its models but its info and its reports; its rows are made of those. Where a
device tells the state of a model, that is what counts.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import Result
from edge_agent.jobs.task import Stage
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, Message
from edge_agent.wire.telemetry import Event, Health, ModelSample, ModelState
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.fleet.reading import Said
from host_tools.fleet.row import Row

_STAGES = [stage.value for stage in Stage]
_MOST_MODELS = 64
"""Of one device, whatever it says."""
_SAMPLE_HOLDS = 3
"""Intervals after which a sample of serving is no news any more."""
_RETAINED = ("status", "info", "model", "job")
_EVENTS = 64
"""So many of a device's newest are known again if they are published twice."""


@dataclass(slots=True)
class _Device:
    status: DeviceStatus | None = None
    info: DeviceInfo | None = None
    health: Health | None = None
    states: dict[str, ModelState] = field(default_factory=dict)
    samples: dict[str, tuple[float, ModelSample]] = field(default_factory=dict)
    """Model → when it was heard, and what."""
    newest: dict[str, JobReport] = field(default_factory=dict)
    """Model → the report of its newest job."""
    succeeded: dict[str, JobReport] = field(default_factory=dict)
    events: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=_EVENTS))
    seen: float | None = None

    @property
    def is_stateless(self) -> bool:
        """Whether only its reports tell of its jobs: it has models, or is of version 0.1, and tells no state."""
        if self.states or not self.info:
            return False
        return bool(self.info.active or self.info.highest or self.info.agent_version.startswith("0.1."))

    def expires(self, now: float) -> float:
        """Until when rows that were made at ``now`` are right if nothing more is said."""
        ends = (_until(*heard) for heard in self.samples.values())
        return min((end for end in ends if end >= now), default=float("inf"))

    def clear(self, kind: str, leaf: str) -> None:
        """Nothing is retained any more on a topic."""
        match kind:
            case "status":
                self.status = None
            case "info":
                self.info = None
            case "model":
                self.states.pop(leaf, None)
                self.samples.pop(leaf, None)
            case "job":
                for reports in (self.newest, self.succeeded):
                    for model in [model for model, report in reports.items() if report.job == leaf]:
                        del reports[model]

    def note(self, message: Message, now: float) -> bool:
        """Note a message; False: it is none that this is about, or an event that is known."""
        model = getattr(message, "model", "")
        if model and model not in self._models and len(self._models) >= _MOST_MODELS:
            return False
        match message:
            case DeviceStatus():
                self.status = message
            case DeviceInfo():
                self.info = message
            case Health():
                self.health = message
            case ModelState():
                self.states[model] = message
            case ModelSample():
                self.samples[model] = now, message
            case JobReport():
                self._note_report(message)
            case Event() if (number := (message.boot_id, message.event_seq)) not in self.events:
                self.events.append(number)
            case _:
                return False
        return True

    def _note_report(self, report: JobReport) -> None:
        last = self.newest.get(report.model)
        if last is None or last.job == report.job or report.started >= last.started:
            self.newest[report.model] = report
        best = self.succeeded.get(report.model)
        if report.status == "succeeded" and (best is None or report.started >= best.started):
            self.succeeded[report.model] = report

    @property
    def _models(self) -> set[str]:
        return {*self.states, *self.samples, *self.newest}


class FleetView:
    """The rows of all devices, or of those that were named.

    Args:
        names: the devices that are looked at; None: all that say something.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self._open_ended = names is None
        self._devices = {name: _Device() for name in names or ()}
        self._rows: dict[str, tuple[float, list[Row]]] = {}
        """Device → until when its rows are right, and these."""

    def __contains__(self, name: str) -> bool:
        return name in self._devices

    @property
    def names(self) -> list[str]:
        """The devices, in order."""
        return sorted(self._devices)

    @property
    def stateless(self) -> list[str]:
        """The devices of whose jobs only their reports tell."""
        return sorted(filter(self.is_stateless, self._devices))

    def is_stateless(self, name: str) -> bool:
        """Whether only its reports tell of the jobs of a device."""
        return name in self._devices and self._devices[name].is_stateless

    def take(self, said: Said, now: float, *, retained: bool = False) -> bool:
        """Note what a device says; False: it is none of ours, or says nothing that is new here.

        Of what was retained it is not known when it was said, unless it says so itself. Without status and info a
        device is gone, unless it was named.
        """
        device, message = said.device, said.message
        known = self._devices.get(device)
        if message is None:
            return self._clear(said)
        if known is None:
            if not self._open_ended:
                return False
            known = self._devices[device] = _Device()
        will = isinstance(message, DeviceStatus) and not message.online  # the broker says that
        said_at = min(now, parse_rfc3339(message.ts) or 0.0) if retained or will else now
        known.seen = max(known.seen or 0.0, said_at) or None
        self._rows.pop(device, None)
        return known.note(message, now)

    def _clear(self, said: Said) -> bool:
        known = self._devices.get(said.device)
        if known is None or said.kind not in _RETAINED:
            return False
        known.clear(said.kind, said.leaf)
        self._rows.pop(said.device, None)
        if self._open_ended and not known.status and not known.info:
            del self._devices[said.device]
        return True

    def rows(self, now: float) -> Iterator[Row]:
        """All rows, ordered by device and model."""
        for name in self.names:
            until, rows = self._rows.get(name, (float("-inf"), []))
            if now > until:
                device = self._devices[name]
                rows = list(_rows_of(name, device, now))
                self._rows[name] = device.expires(now), rows
            yield from rows

    def rows_of(self, device: str, now: float) -> list[Row]:
        """The rows of one device."""
        return list(_rows_of(device, self._devices[device], now)) if device in self._devices else []


def _rows_of(name: str, device: _Device, now: float) -> Iterator[Row]:
    active = {one.model: one for one in device.info.active} if device.info else {}
    named = dict.fromkeys((*device.states, *device.newest, *active))
    models = sorted(islice(named, _MOST_MODELS))
    refused = device.status.refused if device.status else None
    health = device.health
    shared = {
        "device": name,
        "online": bool(device.status and device.status.online),
        "board": device.info.board if device.info else "",
        "groups": tuple(device.info.groups) if device.info else (),
        "temperature_c": health.temperature_c if health else None,
        "throttled": bool(health and health.throttled),
        "seen": device.seen,
        "quiet": not (device.status and device.status.online),
    }
    for model in models or [""]:
        told = refused.code if refused and refused.model in (model, "") else ""
        about = _of_state(device.states[model]) if model in device.states else _of_reports(device, model)
        if model in active and not about.get("version"):
            about |= {"version": active[model].version, "stale": active[model].stale}
        heard_at, sample = device.samples.get(model, (0.0, None))
        if sample and sample.p50_ms is not None and now <= _until(heard_at, sample):
            about["latency_ms"] = sample.p50_ms
        yield Row(**shared, model=model, refused=told, **about)  # type: ignore[arg-type]  # of the keys above


def _until(heard_at: float, sample: ModelSample) -> float:
    """Until when a sample tells how serving is."""
    return heard_at + _SAMPLE_HOLDS * max(1.0, sample.interval_s)


def _of_state(state: ModelState) -> dict[str, object]:
    return {
        "version": state.active_version,
        "stage": state.stage,
        "status": state.status,
        "code": state.code,
        "message": state.message,
        "progress": state.progress,
        "latency_ms": state.p50_ms,
        "float_ms": state.float_p50_ms,
        "agreement": state.agreement,
        "stale": bool(state.stale),
    }


def _of_reports(device: _Device, model: str) -> dict[str, object]:
    """What the reports of a device tell that says nothing of its models' states."""
    about: dict[str, object] = {}
    if (proved := device.succeeded.get(model)) is not None:
        result = lenient(proved.results, Result)
        about["latency_ms"] = result.chosen.latency_p50_ms if result.chosen else None
        about["agreement"] = result.chosen.agreement if result.chosen else None
        about["float_ms"] = result.reference.latency_p50_ms if result.reference else None
    if (report := device.newest.get(model)) is not None:
        about |= {"stage": report.stage, "status": report.status, "code": report.code}
        about["message"] = report.message if report.ended else report.detail
        about["progress"] = None if report.ended else _whole(report)
    return about


def _whole(report: JobReport) -> float:
    """The part of the whole job, as if each stage took as long as the others."""
    before = _STAGES.index(report.stage) if report.stage in _STAGES else 0
    return (before + max(0.0, min(report.progress, 1.0))) / len(_STAGES)
