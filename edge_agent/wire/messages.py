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
    """The protocol's version. A reader refuses one that it does not know."""
    ts: str = ""
    """When it was made; RFC 3339 UTC, by the device's clock. Empty in a will."""
    seq: int = 0
    """Rises with each message of the device, over boots as well. 0 in a will."""
    boot_id: str = ""
    """Another one after each boot of the machine."""

    def __post_init__(self) -> None:
        if self.v != PROTOCOL:
            raise WireError("protocol_version", f"a message of protocol {self.v}; this side speaks {PROTOCOL}")


class Refused(msgspec.Struct, frozen=True):
    """The newest want or command that was not obeyed, and why."""

    model: str
    job: str
    code: str
    """Why."""
    message: str = ""
    """The same in a sentence."""


class DeviceStatus(Message, frozen=True, kw_only=True):
    """Retained; the will is the same with ``online`` false."""

    device: str
    online: bool
    """Whether the agent is connected."""
    agent_version: str = ""
    """The agent's version."""
    refused: Refused | None = None
    """Null: nothing, or a newer order of that model was obeyed."""
    refused_count: int = 0
    """Orders that were not obeyed, since the agent was started."""
    clock_plausible: bool = True
    """False: the system clock is behind what is known to have happened, so it was never set."""
    twin: str | msgspec.UnsetType = msgspec.UNSET
    """Set while another client connects by this device's id: why that is believed, and what to do."""


class ActiveRelease(msgspec.Struct, frozen=True):
    """What runs under one model name."""

    model: str
    version: int
    """The version that is active."""
    job: str
    """The job that made it."""
    verdict: str
    """accepted; rejected where float runs instead."""
    runtime: str = ""
    """What it runs on, with its version."""
    stale: bool = False
    """Whether another runtime is installed now than the one that judged it."""


class DeviceInfo(Message, frozen=True, kw_only=True):
    """Retained; what this device is and has."""

    device: str
    groups: list[str] = []
    """The groups that it is in, besides `all`."""
    agent_version: str = ""
    """The agent's version."""
    board: str = ""
    """The board's name, as its maker gives it."""
    arch: str = ""
    """As uname says it."""
    cpu: str = ""
    """The processor's name."""
    cores: int = 0
    """Processors."""
    memory_bytes: int = 0
    """Of the machine."""
    python: str = ""
    """Version of the agent's Python."""
    runtimes: dict[str, str] = {}
    """Name → version of each runtime that works here."""
    formats: list[str] = []
    """Of models that can be quantized here: onnx, tflite."""
    sources: dict[str, dict[str, Any]] = {}
    """name → kind, channels, rate_hz; ``shared``: of a sensor with a process of its own, how that does."""
    active: list[ActiveRelease] = []
    """What runs, one a model."""
    highest: dict[str, int] = {}
    """model → highest version accepted."""
    thermal: dict[str, Any] = {}
    """Governor, clock rates, temperatures and throttling, when the message was made."""
    confinement: list[str] = []
    """What confines a worker; empty: nothing does, or that is not known yet."""
    layers: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET
    """kind of process (daemon, worker, trust, capture, sensor) → what confines it; left out until that is known."""
    features: list[str] = []
    """What a manifest may say since version 0.1.0 that this agent knows: names of ``FEATURES``."""
    left_out: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Set where the message would have been too large: the fields that tell less than there is."""


class JobReport(Message, frozen=True, kw_only=True):
    """Retained; a view of a job. ``results`` is the result object, growing stage by stage."""

    device: str
    job: str
    model: str
    version: int
    """The model's version that it is about."""
    stage: str
    """receive, capture, calibrate, quantize, validate, benchmark or activate."""
    status: str
    """queued, in_progress, succeeded, rejected, failed or canceled."""
    code: str = ""
    """Why it ended as it did; empty while it goes on."""
    message: str = ""
    """The same in a sentence."""
    progress: float = 0.0
    """Fraction of the stage done, 0 to 1."""
    detail: str = ""
    """One sentence about what is being done now."""
    eta_s: float | None = None
    """Seconds until the stage ends, as far as that can be said."""
    started: str = ""
    """When the order was accepted; RFC 3339 UTC."""
    seconds: dict[str, float] = {}
    """Stage → what it took."""
    release: str = ""
    """The folder of an activated release on the device."""
    results: dict[str, Any] = {}
    """The result object, growing stage by stage."""

    @property
    def ended(self) -> bool:
        """Whether the job has ended, whichever way."""
        return self.status not in ("queued", "in_progress")


class Need(Message, frozen=True, kw_only=True):
    """Chunks (and digest pages) of a blob that the broker no longer has, as inclusive index ranges."""

    device: str
    sha256: str
    """Which blob."""
    chunks: list[tuple[int, int]] = []
    """First and last index of each range of chunks."""
    pages: list[tuple[int, int]] = []
    """The same of digest pages."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Signed and expiring: what a host may tell a device to do about a job or version it names."""

    v: int = PROTOCOL
    """The protocol's version."""
    namespace: str
    """The topics that it is for: one that lies elsewhere is not obeyed."""
    id: str
    """The last level of its topic."""
    action: Literal["rollback", "cancel", "recalibrate", "forget"]
    """What to do."""
    model: str = ""
    version: int = 0
    """rollback, recalibrate: the version it is about, which must be the active one."""
    job: str = ""
    """cancel: the job it is about."""
    targets: list[str] = []
    """Scopes it is addressed to, as in topics: d/pi-01, g/lab."""
    created: str = ""
    """RFC 3339 UTC."""
    expires: str = ""
    """RFC 3339 UTC; after that no device obeys it."""

    def __post_init__(self) -> None:
        if self.v != PROTOCOL:
            raise WireError("protocol_version", f"a command of protocol {self.v}; this side speaks {PROTOCOL}")


class Done(Message, frozen=True, kw_only=True):
    """Retained; how a command ended. An empty ``code`` is success."""

    device: str
    command: str
    """The command's id."""
    code: str = ""
    """Empty: obeyed."""
    message: str = ""
    """What was done, or why not, in a sentence."""


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
