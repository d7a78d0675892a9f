"""The newest that each device has said, in bounded memory. Pure: what was said and moments go in.

Moments are seconds since the epoch by the host's clock. A sample is worth something for a while only: a device that
went away would else have its last temperature for ever.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport
from edge_agent.wire.telemetry import EVENT_KINDS, Event, Health, ModelSample, ModelState
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.fleet.reading import Said

MOST_DEVICES = 20_000
MOST_MODELS = 32
"""Of one device."""
MOST_JOBS = 100
"""Of one device; an agent keeps its newest twenty."""
MOST_GROUPS = 16
_EVENTS = 64
"""So many of the newest are known again if they are published twice."""
_LIVE = (Health, ModelSample, Event)
FRESH_S = 300.0
"""How long a sample is worth something at least; longer where they come seldom: three intervals."""
_MOST_EVERY_S = 3 * 3600.0
"""The longest interval that is believed."""
FORGET_S = 3600.0
"""After how long a device is forgotten of which the broker keeps nothing."""
S = TypeVar("S", Health, ModelSample)
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


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What is shown of a job's report."""

    model: str
    status: str
    code: str


@dataclass(slots=True)
class Sampled(Generic[S]):
    """The newest sample of a stream, and the pace that they come at."""

    sample: S
    at: float
    every_s: float = 0.0
    _gap_s: float = float("inf")
    """Between the two before the newest."""

    def fresh(self, now: float) -> bool:
        """Whether it tells how things are at ``now``."""
        return now - self.at <= max(FRESH_S, 3 * self.every_s)

    def next(self, sample: S, now: float) -> None:
        """A newer one has come. It may say what its pace is; else an outage is no pace, so the shorter gap counts."""
        gap = now - self.at
        paces = (sample.interval_s,) if isinstance(sample, ModelSample) else (gap, self._gap_s)
        self.sample, self.at, self._gap_s = sample, now, gap
        self.every_s = min(*paces, _MOST_EVERY_S)

    def end(self) -> None:
        """Whom it is about is gone."""
        self.at = float("-inf")


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
        seen: when it was last heard; of what the broker had kept, when the device says that it was; 0.0: never.
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
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    newest_events: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=_EVENTS))
    seen: float = 0.0
    left_out: int = 0

    @property
    def online(self) -> bool:
        """Whether it is connected to the broker."""
        return self.status is not None and self.status.online

    @property
    def kept(self) -> bool:
        """Whether the broker keeps anything of it."""
        return bool(self.status or self.board or self.models or self.jobs)


class Fleet:
    """Every device by its id.

    Attributes:
        devices: at most :data:`MOST_DEVICES`.
        left_out: messages of devices beyond those.
    """

    def __init__(self) -> None:
        self.devices: dict[str, DeviceState] = {}
        self.left_out = 0

    def take(self, said: Said, now: float, *, retained: bool = False) -> None:
        """Note what a device said at ``now``; ``retained``: the broker had kept it, and it was said before."""
        device = self.devices.get(said.device)
        if device is None:
            if said.message is None:
                return
            if len(self.devices) >= MOST_DEVICES:
                self.left_out += 1
                return
            device = self.devices[said.device] = DeviceState(said.device)
        if said.message is None:
            _clear(device, said)
            return
        if retained and isinstance(said.message, _LIVE):
            return  # no agent has the broker keep it, and nobody knows how old it is
        _note(device, said, now)
        _see(device, said, now, retained=retained)

    def replace_kept(self, messages: Iterable[Said], now: float) -> None:
        """Take all that the broker keeps now; what it kept before and no longer has is gone."""
        for device in self.devices.values():
            device.status = device.board = None
            device.models.clear()
            device.jobs.clear()
        for said in messages:
            self.take(said, now, retained=True)
        self.forget(now)

    def forget(self, now: float) -> None:
        """Forget devices of which the broker keeps nothing and that were not heard for long."""
        gone = [name for name, one in self.devices.items() if not one.kept and now - one.seen > FORGET_S]
        for name in gone:
            del self.devices[name]


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


def _note(device: DeviceState, said: Said, now: float) -> None:
    match said.message:
        case DeviceStatus() as status:
            _note_status(device, status)
        case DeviceInfo() as info:
            groups = tuple(dict.fromkeys(info.groups))[:MOST_GROUPS]
            device.board = Board(info.board, info.arch, info.agent_version, info.memory_bytes, groups)
        case ModelState() as state:
            if _has_room(device, device.models, said.leaf, MOST_MODELS):
                device.models[said.leaf] = state
        case JobReport() as report:
            if _has_room(device, device.jobs, said.leaf, MOST_JOBS):
                device.jobs[said.leaf] = JobEnd(report.model, report.status, report.code)
        case Health() as health:
            if device.health is not None:
                device.health.next(health, now)
            device.health = device.health or Sampled(health, now)
        case ModelSample() as sample:
            if _has_room(device, device.served, sample.model, MOST_MODELS):
                served = device.served.setdefault(sample.model, Served(Sampled(sample, now)))
                served.newest.next(sample, now)
                served.add(sample)
        case Event() as event if (number := (event.boot_id, event.event_seq)) not in device.newest_events:
            device.newest_events.append(number)  # published twice, it has the same one
            kind = event.kind if event.kind in EVENT_KINDS else OTHER
            device.events[kind, event.severity] += 1


def _note_status(device: DeviceState, status: DeviceStatus) -> None:
    device.status = status
    if not status.online:
        device.health = None
        for served in device.served.values():
            served.newest.end()


def _has_room(device: DeviceState, kept: Collection[str], name: str, most: int) -> bool:
    if name in kept or len(kept) < most:
        return True
    device.left_out += 1
    return False


def _see(device: DeviceState, said: Said, now: float, *, retained: bool) -> None:
    message = said.message
    if isinstance(message, DeviceStatus) and not message.online:
        return  # the will: it is the broker who says that
    if not retained:
        device.seen = now
    elif message is not None and (then := parse_rfc3339(message.ts)) is not None:
        device.seen = max(device.seen, min(then, now))
