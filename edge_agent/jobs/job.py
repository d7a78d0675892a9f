"""A job: one manifest's way through this device. Pure: an event goes in, the next state comes out.

    receive ─► capture ─► calibrate ─► quantize ─► validate ─► benchmark ─► activate ─► succeeded
       │          │           │            │           │            │          │
       └──────────┴───────────┴────────────┴───────────┴────────────┴──────────┴─► rejected · failed · canceled

The daemon saves the job that :func:`advance` returns *before* it acts on it, so a boot is no special case: load,
``advance(job, Interrupted())``, save, continue. An ended job never changes again; later events are ignored.

Activation has its own steps; each one is saved before the next begins:
``prepared`` (the release is on disk) → ``swapped`` (the link points at it) → ``hooked`` (the operator's hook
succeeded) → ``probed`` (a fresh process loaded it and ran it) → ``committed``.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import pairwise

import msgspec

from edge_agent.errors import CODES
from edge_agent.jobs.task import Stage

MAX_ATTEMPTS = 2
"""Most runs of one stage whose worker dies by its own fault."""
MAX_RESTARTS = 3
"""Most unclean boots of the device in one stage that runs a model."""


class Status(StrEnum):
    """The status of a job (the terms of AWS IoT Jobs)."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELED = "canceled"


class ActivationStep(StrEnum):
    """The last saved step of an activation."""

    PREPARED = "prepared"
    SWAPPED = "swapped"
    HOOKED = "hooked"
    PROBED = "probed"
    COMMITTED = "committed"


_NEXT_STAGE = dict(pairwise(Stage))
_NEXT_STEP = dict(pairwise(ActivationStep))
_EXCLUSIVE = frozenset({Stage.CALIBRATE, Stage.QUANTIZE, Stage.VALIDATE, Stage.BENCHMARK, Stage.ACTIVATE})
"""Only one job at a time runs these: a second one would disturb the measurements."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """All that the daemon stores of a job. ``digest`` is the manifest's content digest."""

    id: str
    model: str
    version: int
    digest: str
    scope: str
    """The manifest's scope, as in topics: ``d/pi-01``, ``g/lab``; ``local`` for a recalibration on the device."""
    created: float
    """Seconds since the epoch when the job was accepted."""
    expires: float = 0.0
    stage: Stage = Stage.RECEIVE
    status: Status = Status.QUEUED
    running: bool = False
    """The stage is running. If it is true at boot, the power failed."""
    step: ActivationStep | None = None
    attempts: int = 0
    restarts: int = 0
    fraction: float = 0.0
    detail: str = ""
    eta_s: float | None = None
    seconds: dict[str, float] = {}
    code: str = ""
    """In an active job: the rejection that led to the activation of float (``on_rejected = "float"``)."""
    message: str = ""
    release: str = ""

    @property
    def ended(self) -> bool:
        """Whether the job has ended, with any status."""
        return self.status not in (Status.QUEUED, Status.IN_PROGRESS)


class Started(msgspec.Struct, frozen=True):
    """The stage starts now."""


class Progressed(msgspec.Struct, frozen=True):
    """Progress of the stage."""

    fraction: float
    detail: str = ""
    eta_s: float | None = None


class StageSucceeded(msgspec.Struct, frozen=True):
    """The stage left its folder; the next one follows."""

    seconds: float


class StageRefused(msgspec.Struct, frozen=True):
    """A data check or a gate rejected the model. ``use_float``: no release is active, so activate float."""

    code: str
    message: str
    seconds: float = 0.0
    use_float: bool = False


class StageFailed(msgspec.Struct, frozen=True):
    """The stage failed. ``retryable``: the worker died without reporting a reason; a retry may succeed."""

    code: str
    message: str
    seconds: float = 0.0
    retryable: bool = False


class Stepped(msgspec.Struct, frozen=True):
    """An activation step is done; ``release`` is the release's directory name."""

    step: ActivationStep
    release: str = ""
    seconds: float = 0.0


class Ended(msgspec.Struct, frozen=True):
    """Canceled, superseded or expired."""

    code: str
    message: str


class Paused(msgspec.Struct, frozen=True):
    """The daemon stops cleanly; the stage runs again later, and no attempt is counted."""


class Interrupted(msgspec.Struct, frozen=True):
    """The daemon has just started and loaded this job."""


Event = (
    Started | Progressed | StageSucceeded | StageRefused | StageFailed | Stepped | Ended | Paused | Interrupted
)  # fmt: skip


def advance(job: Job, event: Event) -> Job:
    """Return the job after ``event``. An ended job is returned unchanged."""
    if job.ended:
        return job
    match event:
        case Started():
            return _with(job, status=Status.IN_PROGRESS, running=True)
        case Progressed(fraction, detail, eta_s):
            return _with(job, fraction=min(max(fraction, 0.0), 1.0), detail=detail, eta_s=eta_s)
        case StageSucceeded(seconds):
            return _enter(_spent(job, seconds), _NEXT_STAGE[job.stage])
        case StageRefused(code, message, seconds, use_float):
            refused = _with(_spent(job, seconds), code=code, message=message)
            return _enter(refused, Stage.ACTIVATE) if use_float else _end(refused, code, message)
        case StageFailed(code, message, seconds, retryable):
            tried = _with(_spent(job, seconds), running=False, attempts=job.attempts + 1)
            if retryable and tried.attempts < MAX_ATTEMPTS:
                return tried
            return _end(tried, code, message)
        case Stepped(ActivationStep.COMMITTED, release, seconds):
            done = _with(_spent(job, seconds), step=ActivationStep.COMMITTED, release=release or job.release)
            return _end(done, job.code or "accepted", job.message)
        case Stepped(step, release, seconds):
            return _with(_spent(job, seconds), step=step, release=release or job.release)
        case Ended(code, message):
            return _end(job, code, message)
        case Paused():
            return _with(job, running=False)
        case Interrupted():
            return _interrupted(job)


def cancelable(job: Job) -> bool:
    """Whether a cancel or a newer version may still end the job: not after its activation has begun."""
    return not job.ended and job.step is None


def next_step(job: Job) -> ActivationStep:
    """The next activation step."""
    return ActivationStep.PREPARED if job.step is None else _NEXT_STEP[job.step]


def runnable(jobs: Iterable[Job]) -> list[Job]:
    """The jobs whose stage should be started now, oldest first.

    ``receive`` and ``capture`` of different models run side by side; from ``calibrate`` on, one job at a time.
    """
    waiting, exclusive = [], False
    alive = sorted((job for job in jobs if not job.ended), key=lambda job: (job.created, job.id))
    exclusive = any(job.running and job.stage in _EXCLUSIVE for job in alive)
    begun = sorted(alive, key=lambda job: job.stage not in _EXCLUSIVE or job.step is None)
    for job in begun:
        if job.running:
            continue
        if job.stage in _EXCLUSIVE:
            if exclusive:
                continue
            exclusive = True
        waiting.append(job)
    return waiting


def _with(job: Job, **changes: object) -> Job:
    return msgspec.structs.replace(job, **changes)


def _spent(job: Job, seconds: float) -> Job:
    total = round(job.seconds.get(job.stage, 0.0) + seconds, 3)
    return job if not seconds else _with(job, seconds={**job.seconds, job.stage: total})


def _enter(job: Job, stage: Stage) -> Job:
    return _with(
        job, stage=stage, running=False, attempts=0, restarts=0, fraction=0.0, detail="", eta_s=None
    )  # fmt: skip


def _end(job: Job, code: str, message: str) -> Job:
    kind = CODES[code].status
    status = Status.FAILED if kind in ("error", "warning") else Status(kind)
    return _with(
        job, status=status, code=code, message=message, running=False, detail="", eta_s=None,
        fraction=1.0 if status is Status.SUCCEEDED else job.fraction,
    )  # fmt: skip


def _interrupted(job: Job) -> Job:
    """Count restarts only in stages that run a model: the load of a model can make a weak power supply fail."""
    if not (job.running and job.stage in _EXCLUSIVE):
        return _with(job, running=False)
    again = _with(job, running=False, restarts=job.restarts + 1)
    if again.restarts < MAX_RESTARTS:
        return again
    return _end(
        again, "device_restarts",
        f"the device restarted {MAX_RESTARTS} times during {job.stage}; check the power supply",
    )  # fmt: skip
