"""The newest messages of one device, in bounded memory. Values only.

Times are seconds since the epoch by the host's clock. A sample is valid for a while only: otherwise a device that went
away would keep its last temperature for ever.
"""

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from edge_agent.wire.messages import ActiveRelease, DeviceStatus
from edge_agent.wire.telemetry import Health, ModelSample, ModelState

MOST_MODELS = 64
"""Models of one device."""
MOST_JOBS = 100
"""Jobs of one device; an agent keeps its newest twenty."""
MOST_GROUPS = 16
_EVENTS = 64
"""Newest events that are remembered, so that a second publish of one is recognised."""
FRESH_S = 300.0
"""Minimum validity of a sample; three intervals if they are longer."""
_MOST_EVERY_S = 3 * 3600.0
"""The longest interval that is accepted."""
OTHER = "other"
"""Replacement for a word outside a closed list."""
S = TypeVar("S", Health, ModelSample)


@dataclass(frozen=True, slots=True)
class Board:
    """The displayed part of a device's info."""

    board: str
    arch: str
    agent_version: str
    memory_bytes: int
    groups: tuple[str, ...]
    active: tuple[ActiveRelease, ...] = ()
    has_models: bool = False
    """Whether the device reports that any model ran or was accepted on it."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """The stored part of any job's report."""

    model: str
    version: int
    status: str
    code: str
    started: float
    """Seconds since the epoch; 0.0 if the report has no start."""


@dataclass(frozen=True, slots=True)
class JobNews:
    """The stored part of a model's newest job, for devices without model states, such as those of version 0.1."""

    job: str
    status: str
    stage: str
    code: str
    message: str
    progress: float | None
    """Fraction of the stage; None if the job has ended."""
    started: str


@dataclass(frozen=True, slots=True)
class Proved:
    """The measurements of such a model's newest accepted job."""

    job: str
    latency_ms: float | None
    float_ms: float | None
    agreement: float | None
    started: str


@dataclass(slots=True)
class Sampled(Generic[S]):
    """The newest sample of a stream, and the stream's interval."""

    sample: S
    at: float
    every_s: float = 0.0
    _gap_s: float = float("inf")
    """Time between the two samples before the newest."""

    @property
    def fresh_until(self) -> float:
        """Until when the sample is valid."""
        return self.at + max(FRESH_S, 3 * self.every_s)

    def fresh(self, now: float) -> bool:
        """Whether the sample is valid at ``now``."""
        return now <= self.fresh_until

    def next(self, sample: S, now: float) -> None:
        """Store a newer sample.

        Its interval is the reported one, or the shorter of the last two gaps to ignore outages.
        """
        gap = now - self.at
        paces = (sample.interval_s,) if isinstance(sample, ModelSample) else (gap, self._gap_s)
        self.sample, self.at, self._gap_s = sample, now, gap
        self.every_s = min(*paces, _MOST_EVERY_S)

    def end(self) -> None:
        """Invalidate the sample, as its subject is gone."""
        self.at = float("-inf")


@dataclass(slots=True)
class Served:
    """Serving statistics of one model since the program's start; samples lost in transit are missing."""

    newest: Sampled[ModelSample]
    inferences: int = 0
    errors: int = 0
    dropped: int = 0

    def add(self, sample: ModelSample) -> None:
        """Add one interval; negative numbers are invalid and ignored."""
        self.inferences += max(0, sample.inferences)
        self.errors += max(0, sample.errors)
        self.dropped += max(0, sample.dropped)


@dataclass(slots=True)
class DeviceState:
    """The newest state of one device.

    Attributes:
        newest: model → its newest job, for models without a state.
        proved: model → measurements of its newest accepted job, likewise.
        seen: time of the last message; for retained messages, their own time; 0.0: never.
        changed: a number that changes, and rises, with each message of the device.
        events: (kind, severity) → count since the program's start.
        left_out: models and jobs that exceeded the limits.
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
        """Whether only reports describe its jobs: it has models, or is of version 0.1, and publishes no model state."""
        if self.models or self.board is None:
            return False
        return self.board.has_models or self.board.agent_version.startswith("0.1.")

    @property
    def online(self) -> bool:
        """Whether it is connected to the broker."""
        return self.status is not None and self.status.online

    def adopt_live(self, other: "DeviceState") -> None:
        """Take over the live data, which no broker retains, from ``other``, the same device."""
        self.health, self.served = other.health, other.served
        self.events, self.newest_events = other.events, other.newest_events
        self.seen = max(self.seen, other.seen)

    @property
    def kept(self) -> bool:
        """Whether the broker retains any message of it."""
        return bool(self.status or self.board or self.models or self.jobs)


def copied(device: DeviceState) -> DeviceState:
    """A copy of the device that later messages do not change."""
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
