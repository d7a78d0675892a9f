"""The newest that one device has said, in bounded memory. Values only.

Moments are seconds since the epoch by the host's clock. A sample is worth something for a while only: a device that
went away would else have its last temperature for ever.
"""

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from edge_agent.wire.messages import ActiveRelease, DeviceStatus
from edge_agent.wire.telemetry import Health, ModelSample, ModelState

MOST_MODELS = 64
"""Of one device."""
MOST_JOBS = 100
"""Of one device; an agent keeps its newest twenty."""
MOST_GROUPS = 16
_EVENTS = 64
"""So many of the newest are known again if they are published twice."""
FRESH_S = 300.0
"""How long a sample is worth something at least; longer where they come seldom: three intervals."""
_MOST_EVERY_S = 3 * 3600.0
"""The longest interval that is believed."""
OTHER = "other"
"""What stands for a word that is none of a closed list."""
S = TypeVar("S", Health, ModelSample)


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
    _gap_s: float = float("inf")
    """Between the two before the newest."""

    @property
    def fresh_until(self) -> float:
        """Until when it tells how things are."""
        return self.at + max(FRESH_S, 3 * self.every_s)

    def fresh(self, now: float) -> bool:
        """Whether it tells how things are at ``now``."""
        return now <= self.fresh_until

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
