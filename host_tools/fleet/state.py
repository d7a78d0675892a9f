"""The newest that each device has said, in bounded memory. Pure: what was said and moments go in.

Moments are seconds since the epoch by the host's clock. A sample is worth something for a while only: a device that
went away would else have its last temperature for ever. What people and programs see of it are pure functions of it:
:mod:`host_tools.fleet.rows`, the exporter's metrics.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from sys import intern
from typing import Generic, TypeVar

from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import Result
from edge_agent.wire.messages import ActiveRelease, DeviceInfo, DeviceStatus, JobReport, Message
from edge_agent.wire.telemetry import EVENT_KINDS, Event, Health, ModelSample, ModelState
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.fleet.reading import Said

MOST_DEVICES = 20_000
MOST_MODELS = 64
"""Of one device."""
MOST_JOBS = 100
"""Of one device; an agent keeps its newest twenty."""
MOST_GROUPS = 16
_EVENTS = 64
"""So many of the newest are known again if they are published twice."""
_LIVE = (Health, ModelSample, Event)
FRESH_S = 300.0
"""How long a sample is worth something at least; longer where they come seldom: three intervals."""
_RETAINED = ("status", "info", "model", "job")
FORGET_S = 3600.0
"""After how long a device is forgotten of which the broker keeps nothing."""
S = TypeVar("S", Health, ModelSample)
J = TypeVar("J", "JobNews", "Proved")
OTHER = "other"
"""What stands for a word that is none of a closed list."""


@dataclass(frozen=True, slots=True)
class Board:
    """What is shown of a device's info."""

    board: str
    arch: str
    agent_version: str
    memory_bytes: int
    groups: tuple[str, ...]
    active: tuple[ActiveRelease, ...] = ()
    has_models: bool = False
    """Whether any model ran or was accepted here, as far as it says."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What is kept of every job's report."""

    model: str
    version: int
    status: str
    code: str
    started: float
    """Seconds since the epoch; 0.0: it does not say."""


@dataclass(frozen=True, slots=True)
class JobNews:
    """What is kept of the newest job of a model whose state the device does not tell, as one of version 0.1."""

    job: str
    status: str
    stage: str
    code: str
    message: str
    progress: float | None
    """Fraction of the stage; None: it has ended."""
    started: str


@dataclass(frozen=True, slots=True)
class Proved:
    """What the newest accepted job of such a model has measured."""

    job: str
    latency_ms: float | None
    float_ms: float | None
    agreement: float | None
    started: str


@dataclass(slots=True)
class Sampled(Generic[S]):
    """The newest sample of a stream, and the pace that they come at."""

    sample: S
    at: float
    every_s: float = 0.0

    @property
    def fresh_until(self) -> float:
        """Until when it tells how things are."""
        return self.at + max(FRESH_S, 3 * self.every_s)

    def fresh(self, now: float) -> bool:
        """Whether it tells how things are at ``now``."""
        return now <= self.fresh_until

    def next(self, sample: S, now: float) -> None:
        """A newer one has come."""
        self.sample, self.every_s, self.at = sample, now - self.at, now


@dataclass(slots=True)
class Served:
    """What serving has done with one model since this side listens; a sample that was lost on its way is missing."""

    newest: Sampled[ModelSample]
    inferences: int = 0
    errors: int = 0
    dropped: int = 0

    def add(self, sample: ModelSample) -> None:
        """Count one interval; numbers below zero are nothing that could be counted."""
        self.inferences += max(0, sample.inferences)
        self.errors += max(0, sample.errors)
        self.dropped += max(0, sample.dropped)


@dataclass(slots=True)
class DeviceState:
    """The newest of one device.

    Attributes:
        newest: model → its newest job, of models without a state.
        proved: model → what its newest accepted job has measured, likewise.
        seen: when it was last heard; of what the broker had kept, when the device says that it was; 0.0: never.
        changed: rises with each message of it, and is another one after each.
        events: (kind, severity) → number, since this side listens.
        left_out: models and jobs beyond the most that are kept.
    """

    id: str
    status: DeviceStatus | None = None
    board: Board | None = None
    health: Sampled[Health] | None = None
    models: dict[str, ModelState] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    jobs: dict[str, JobEnd] = field(default_factory=dict)
    newest: dict[str, JobNews] = field(default_factory=dict)
    proved: dict[str, Proved] = field(default_factory=dict)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    newest_events: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=_EVENTS))
    seen: float = 0.0
    left_out: int = 0
    changed: int = 0

    @property
    def is_stateless(self) -> bool:
        """Whether only its reports tell of its jobs: it has models, or is of version 0.1, and tells no state."""
        if self.models or self.board is None:
            return False
        return self.board.has_models or self.board.agent_version.startswith("0.1.")

    @property
    def online(self) -> bool:
        """Whether it is connected to the broker."""
        return self.status is not None and self.status.online

    def adopt_live(self, other: "DeviceState") -> None:
        """Take over what nobody keeps and ``other``, the same device, has said."""
        self.health, self.served = other.health, other.served
        self.events, self.newest_events = other.events, other.newest_events
        self.seen = max(self.seen, other.seen)

    @property
    def kept(self) -> bool:
        """Whether the broker keeps anything of it."""
        return bool(self.status or self.board or self.models or self.jobs)


def copied(device: DeviceState) -> DeviceState:
    """The device as it is now, whatever it says later."""
    served = {name: replace(one, newest=replace(one.newest)) for name, one in device.served.items()}
    return replace(
        device,
        health=device.health and replace(device.health),
        models=dict(device.models),
        served=served,
        jobs=dict(device.jobs),
        newest=dict(device.newest),
        proved=dict(device.proved),
    )


class Fleet:
    """Every device by its id.

    Attributes:
        devices: at most :data:`MOST_DEVICES`.
        left_out: messages of devices beyond those.
        changes: rises with every message that changes something.
    """

    def __init__(self) -> None:
        self.devices: dict[str, DeviceState] = {}
        self.left_out = 0
        self.changes = 0

    def take(self, said: Said, now: float, *, retained: bool = False) -> bool:
        """Note what a device said at ``now``; False: there is nothing new in it.

        ``retained``: the broker had kept it, and it was said before. A device of which the broker keeps nothing any
        more, as somebody cleared the last of it, is gone until it says something.
        """
        device = self.devices.get(said.device)
        if said.message is None:
            return device is not None and self._clear(device, said)
        if retained and isinstance(said.message, _LIVE):
            return False  # no agent has the broker keep it, and nobody knows how old it is
        if device is None:
            if len(self.devices) >= MOST_DEVICES:
                self.left_out += 1
                return False
            device = self.devices[said.device] = DeviceState(said.device)
        noted = _note(device, said.message, now)
        _see(device, said.message, now, retained=retained)
        self._change(device)
        return noted

    def replace_kept(self, kept: "Fleet", now: float) -> None:
        """Have of the devices what the broker keeps now, as :meth:`of_kept` has read it, and what they say live."""
        before, self.devices = self.devices, kept.devices
        for name, device in before.items():
            self.devices.setdefault(name, DeviceState(name)).adopt_live(device)
        for device in self.devices.values():
            self._change(device)
        self.forget(now)

    @classmethod
    def of_kept(cls, messages: Iterable[Said], now: float) -> "Fleet":
        """What the broker keeps.

        Models before jobs, please (:func:`host_tools.fleet.reading.models_first`): they tell what need be kept of jobs.
        """
        fleet = cls()
        for said in messages:
            fleet.take(said, now, retained=True)
        return fleet

    def forget(self, now: float) -> None:
        """Forget devices of which the broker keeps nothing and that were not heard for long."""
        gone = [name for name, one in self.devices.items() if not one.kept and now - one.seen > FORGET_S]
        for name in gone:
            self.changes += 1
            del self.devices[name]

    def _clear(self, device: DeviceState, said: Said) -> bool:
        if said.kind not in _RETAINED:
            return False
        _clear(device, said)
        self._change(device)
        if not device.kept:
            del self.devices[device.id]
        return True

    def _change(self, device: DeviceState) -> None:
        self.changes += 1
        device.changed = self.changes


def _clear(device: DeviceState, said: Said) -> None:
    match said.kind:
        case "status":
            device.status = None
        case "info":
            device.board = None
        case "model":
            device.models.pop(said.leaf, None)
            device.served.pop(said.leaf, None)
        case "job":
            device.jobs.pop(said.leaf, None)
            _drop_job(device.newest, said.leaf)
            _drop_job(device.proved, said.leaf)


def _drop_job(kept: dict[str, J], job: str) -> None:
    for model in [model for model, one in kept.items() if one.job == job]:
        del kept[model]


def _note(device: DeviceState, message: Message, now: float) -> bool:
    """Note a message; False: there is no room for it, or it is an event that is known."""
    match message:
        case DeviceStatus() as status:
            device.status = status
        case DeviceInfo() as info:
            device.board = _board(info)
        case ModelState() as state:
            if not _has_room(device, device.models, state.model, MOST_MODELS):
                return False
            device.models[state.model] = state
            device.newest.pop(state.model, None)
            device.proved.pop(state.model, None)
        case JobReport() as report:
            if not _has_room(device, device.jobs, report.job, MOST_JOBS):
                return False
            _note_report(device, report)
        case Health() as health:
            if device.health is None:
                device.health = Sampled(health, now)
            device.health.next(health, now)
        case ModelSample() as sample:
            if not _has_room(device, device.served, sample.model, MOST_MODELS):
                return False
            served = device.served.setdefault(sample.model, Served(Sampled(sample, now)))
            served.newest.next(sample, now)
            served.add(sample)
        case Event() as event if (number := (event.boot_id, event.event_seq)) not in device.newest_events:
            device.newest_events.append(number)  # published twice, it has the same one
            kind = event.kind if event.kind in EVENT_KINDS else OTHER
            device.events[kind, event.severity] += 1
        case _:
            return False
    return True


def _board(info: DeviceInfo) -> Board:
    return Board(
        info.board,
        info.arch,
        info.agent_version,
        info.memory_bytes,
        tuple(dict.fromkeys(info.groups))[:MOST_GROUPS],
        tuple(info.active[:MOST_MODELS]),
        bool(info.active or info.highest),
    )


def _note_report(device: DeviceState, report: JobReport) -> None:
    started = parse_rfc3339(report.started) or 0.0
    model, status, code = map(intern, (report.model, report.status, report.code))  # the same few of thousands of jobs
    device.jobs[report.job] = JobEnd(model, report.version, status, code, started)
    if model in device.models or (model not in device.newest and len(device.newest) >= MOST_MODELS):
        return
    last = device.newest.get(model)
    if last is None or last.job == report.job or report.started >= last.started:
        message = report.message if report.ended else report.detail
        progress = None if report.ended else report.progress
        device.newest[model] = JobNews(
            report.job, report.status, report.stage, report.code, message, progress, report.started
        )
    best = device.proved.get(model)
    if report.status == "succeeded" and (best is None or report.started >= best.started):
        device.proved[model] = _proved(report)


def _proved(report: JobReport) -> Proved:
    result = lenient(report.results, Result)
    chosen, reference = result.chosen, result.reference
    return Proved(
        report.job,
        chosen.latency_p50_ms if chosen else None,
        reference.latency_p50_ms if reference else None,
        chosen.agreement if chosen else None,
        report.started,
    )


def _has_room(device: DeviceState, kept: Collection[str], name: str, most: int) -> bool:
    if name in kept or len(kept) < most:
        return True
    device.left_out += 1
    return False


def _see(device: DeviceState, message: Message, now: float, *, retained: bool) -> None:
    if isinstance(message, DeviceStatus) and not message.online:
        return  # the will: it is the broker who says that
    if not retained:
        device.seen = now
    elif (then := parse_rfc3339(message.ts)) is not None:
        device.seen = max(device.seen, min(then, now))
