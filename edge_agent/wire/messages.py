"""What host and devices say to each other besides manifests and chunks: flat JSON, one struct a message.

Unknown fields are ignored, an unknown ``v`` is refused. Time stamps are RFC 3339 UTC; units stand in key names.
``decode`` gives a message or a ``WireError``, whatever the bytes.
"""

from typing import Any, Literal, TypeVar

import msgspec

from edge_agent.errors import WireError
from edge_agent.strict import UNDECODABLE

MAX_ORDER_BYTES = 64 * 1024  # manifests, commands
MAX_REPORT_BYTES = 64 * 1024
PROTOCOL = 1

Verdict = Literal["accepted", "rejected", "failed"]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What every message carries. ``seq`` counts a device's publications, so a reader can order them."""

    v: int = PROTOCOL
    ts: str = ""
    seq: int = 0
    boot_id: str = ""

    def __post_init__(self) -> None:
        if self.v != PROTOCOL:
            raise WireError("protocol_version", f"a message of protocol {self.v}; this side speaks {PROTOCOL}")


class Refused(msgspec.Struct, frozen=True):
    """The newest want or command that was not obeyed, and why."""

    model: str
    job: str
    code: str
    message: str = ""


class DeviceStatus(Message, frozen=True, kw_only=True):
    """Retained; the will is the same with ``online`` false."""

    device: str
    online: bool
    agent_version: str = ""
    refused: Refused | None = None
    refused_count: int = 0
    clock_plausible: bool = True
    """False: the system clock is behind what is known to have happened, so it was never set."""
    twin: str | msgspec.UnsetType = msgspec.UNSET
    """Set while another client connects by this device's id: why that is believed, and what to do."""


class ActiveRelease(msgspec.Struct, frozen=True):
    """What runs under one model name."""

    model: str
    version: int
    job: str
    verdict: str
    runtime: str = ""
    stale: bool = False


class DeviceInfo(Message, frozen=True, kw_only=True):
    """Retained; what this device is and has."""

    device: str
    groups: list[str] = []
    agent_version: str = ""
    board: str = ""
    arch: str = ""
    cpu: str = ""
    cores: int = 0
    memory_bytes: int = 0
    python: str = ""
    runtimes: dict[str, str] = {}
    formats: list[str] = []
    sources: dict[str, dict[str, Any]] = {}
    """name → kind, channels, rate_hz; ``shared``: of a sensor with a process of its own, how that does."""
    active: list[ActiveRelease] = []
    highest: dict[str, int] = {}
    """model → highest version accepted."""
    thermal: dict[str, Any] = {}
    confinement: list[str] = []
    layers: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET
    """kind of process (daemon, worker, trust, capture, sensor) → what confines it; left out until that is known."""
    features: list[str] = []
    """What a manifest may say since version 0.1.0 that this agent knows: names of ``FEATURES``."""
    left_out: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Set where the message would have been too large: the fields that tell less than there is."""


class JobReport(Message, frozen=True, kw_only=True):
    """Retained; a view of a job. ``results`` is the result object (see the README), growing stage by stage."""

    device: str
    job: str
    model: str
    version: int
    stage: str
    status: str
    code: str = ""
    message: str = ""
    progress: float = 0.0
    """Fraction of the stage done, 0 to 1."""
    detail: str = ""
    """One sentence about what is being done now."""
    eta_s: float | None = None
    started: str = ""
    seconds: dict[str, float] = {}
    release: str = ""
    """The folder of an activated release on the device."""
    results: dict[str, Any] = {}

    @property
    def ended(self) -> bool:
        """Whether the job has ended, whichever way."""
        return self.status not in ("queued", "in_progress")


class Need(Message, frozen=True, kw_only=True):
    """Chunks (and digest pages) of a blob that the broker no longer has, as inclusive index ranges."""

    device: str
    sha256: str
    chunks: list[tuple[int, int]] = []
    pages: list[tuple[int, int]] = []


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Signed and expiring: what a host may tell a device to do about a job or version it names."""

    v: int = PROTOCOL
    namespace: str
    id: str
    action: Literal["rollback", "cancel", "recalibrate", "forget"]
    model: str = ""
    version: int = 0
    """rollback, recalibrate: the version it is about, which must be the active one."""
    job: str = ""
    """cancel: the job it is about."""
    targets: list[str] = []
    created: str = ""
    expires: str = ""

    def __post_init__(self) -> None:
        if self.v != PROTOCOL:
            raise WireError("protocol_version", f"a command of protocol {self.v}; this side speaks {PROTOCOL}")


class Done(Message, frozen=True, kw_only=True):
    """Retained; how a command ended. An empty ``code`` is success."""

    device: str
    command: str
    code: str = ""
    message: str = ""


M = TypeVar("M", bound=msgspec.Struct)


def encode(message: msgspec.Struct) -> bytes:
    """The message's JSON. Non-finite floats become null, as JSON has none."""
    return msgspec.json.encode(message)


def decode(data: bytes, kind: type[M]) -> M:
    """The message of ``kind`` in ``data``; raises ``WireError`` for anything else."""
    if len(data) > MAX_REPORT_BYTES:
        raise WireError("too_large", f"a message of {len(data)} bytes; the limit is {MAX_REPORT_BYTES}")
    try:
        return msgspec.json.decode(data, type=kind)
    except UNDECODABLE as error:
        raise WireError("malformed", f"{kind.__name__}: {error}") from None
