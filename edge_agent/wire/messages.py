"""The messages between host and devices besides manifests and chunks: flat JSON, one struct per message.

A reader ignores unknown fields and refuses an unknown ``v``. Time stamps are RFC 3339 UTC. Key names end in the unit.
``decode`` returns a message or raises ``WireError``, whatever the bytes.
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
    """The fields of every message. ``seq`` counts a device's publications, so a reader can order them."""

    v: int = PROTOCOL
    """The protocol's version. A reader refuses a version that it does not know."""
    ts: str = ""
    """Time of creation by the device's clock; RFC 3339 UTC. Empty in a will."""
    seq: int = 0
    """Increases with each message of the device, across boots as well. 0 in a will."""
    boot_id: str = ""
    """A new value after each boot of the machine."""

    def __post_init__(self) -> None:
        if self.v != PROTOCOL:
            raise WireError("protocol_version", f"a message of protocol {self.v}; this side speaks {PROTOCOL}")


class Refused(msgspec.Struct, frozen=True):
    """The newest want or command that the device refused, and why."""

    model: str
    job: str
    code: str
    """The code of the reason."""
    message: str = ""
    """The reason in a sentence."""


class DeviceStatus(Message, frozen=True, kw_only=True):
    """Retained; the will is this message with ``online`` false."""

    device: str
    online: bool
    """Whether the agent is connected."""
    agent_version: str = ""
    """The agent's version."""
    refused: Refused | None = None
    """The last refusal. Null: there was none, or a newer order for that model was accepted."""
    refused_count: int = 0
    """Orders refused since the agent started."""
    clock_plausible: bool = True
    """False: the system clock is earlier than a time that is known to have passed, so it was never set."""
    twin: str | msgspec.UnsetType = msgspec.UNSET
    """Set while another client connects with this device's id: the evidence, and what to do."""


class ActiveRelease(msgspec.Struct, frozen=True):
    """The active release of one model name."""

    model: str
    version: int
    """The active version."""
    job: str
    """The job that made the release."""
    verdict: str
    """accepted; rejected: float runs instead."""
    runtime: str = ""
    """The runtime that it runs on, with the runtime's version."""
    stale: bool = False
    """Whether the installed runtime differs from the one that judged the release."""


class DeviceInfo(Message, frozen=True, kw_only=True):
    """Retained; the hardware, runtimes, sensors and releases of this device."""

    device: str
    groups: list[str] = []
    """The device's groups besides `all`."""
    agent_version: str = ""
    """The agent's version."""
    board: str = ""
    """The board's name, as its maker gives it."""
    arch: str = ""
    """The machine architecture as `uname -m` reports it."""
    cpu: str = ""
    """The processor's name."""
    cores: int = 0
    """Number of processors."""
    memory_bytes: int = 0
    """Memory of the machine."""
    python: str = ""
    """Version of the agent's Python."""
    runtimes: dict[str, str] = {}
    """name → version of each runtime that works here."""
    formats: list[str] = []
    """Formats of models that can be quantized here: onnx, tflite."""
    sources: dict[str, dict[str, Any]] = {}
    """name → kind, channels, rate_hz; ``shared``: for a sensor with a process of its own, the state of that process."""
    active: list[ActiveRelease] = []
    """The active releases, one per model."""
    highest: dict[str, int] = {}
    """model → highest accepted version."""
    thermal: dict[str, Any] = {}
    """Governor, clock rates, temperatures and throttling at the time of the message."""
    confinement: list[str] = []
    """The confinement of a worker; empty: none, or not known yet."""
    layers: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET
    """kind of process (daemon, worker, trust, capture, sensor) → its confinement; left out until it is known."""
    features: list[str] = []
    """The manifest features newer than version 0.1.0 that this agent knows: names of ``FEATURES``."""
    left_out: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Set if the full message would have been too large: the fields that were shortened."""


class JobReport(Message, frozen=True, kw_only=True):
    """Retained; a view of a job. ``results`` is the result object, which grows stage by stage."""

    device: str
    job: str
    model: str
    version: int
    """The model's version."""
    stage: str
    """receive, capture, calibrate, quantize, validate, benchmark or activate."""
    status: str
    """queued, in_progress, succeeded, rejected, failed or canceled."""
    code: str = ""
    """The code of the outcome; empty while the job runs."""
    message: str = ""
    """The outcome in a sentence."""
    progress: float = 0.0
    """Fraction of the stage done, 0 to 1."""
    detail: str = ""
    """One sentence about the current step."""
    eta_s: float | None = None
    """Estimated seconds until the stage ends; null: unknown."""
    started: str = ""
    """Time at which the order was accepted; RFC 3339 UTC."""
    seconds: dict[str, float] = {}
    """stage → its duration."""
    release: str = ""
    """The folder of an activated release on the device."""
    results: dict[str, Any] = {}
    """The result object, which grows stage by stage."""

    @property
    def ended(self) -> bool:
        """Whether the job has ended, with any outcome."""
        return self.status not in ("queued", "in_progress")


class Need(Message, frozen=True, kw_only=True):
    """Chunks (and digest pages) of a blob that the broker no longer has, as inclusive index ranges."""

    device: str
    sha256: str
    """The blob's SHA-256."""
    chunks: list[tuple[int, int]] = []
    """First and last index of each range of chunks."""
    pages: list[tuple[int, int]] = []
    """First and last index of each range of digest pages."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A signed, expiring command to a device about the job or version that it names."""

    v: int = PROTOCOL
    """The protocol's version."""
    namespace: str
    """The namespace of the topics that it is for; a device refuses it at any other topic."""
    id: str
    """The last level of its topic."""
    action: Literal["rollback", "cancel", "recalibrate", "forget"]
    """The action to take."""
    model: str = ""
    version: int = 0
    """rollback, recalibrate: the version that it applies to, which must be the active one."""
    job: str = ""
    """cancel: the job to cancel."""
    targets: list[str] = []
    """The scopes that it is addressed to, as in topics: d/pi-01, g/lab."""
    created: str = ""
    """Time of creation, RFC 3339 UTC."""
    expires: str = ""
    """RFC 3339 UTC; devices refuse the command after that time."""

    def __post_init__(self) -> None:
        if self.v != PROTOCOL:
            raise WireError("protocol_version", f"a command of protocol {self.v}; this side speaks {PROTOCOL}")


class Done(Message, frozen=True, kw_only=True):
    """Retained; the outcome of a command. An empty ``code`` means success."""

    device: str
    command: str
    """The command's id."""
    code: str = ""
    """Empty: success."""
    message: str = ""
    """The action taken, or the reason for the refusal, in a sentence."""


M = TypeVar("M", bound=msgspec.Struct)


def encode(message: msgspec.Struct) -> bytes:
    """Return the message's JSON. Non-finite floats become null, since JSON cannot represent them."""
    return msgspec.json.encode(message)


def decode(data: bytes, kind: type[M]) -> M:
    """Return the message of ``kind`` in ``data``; raise ``WireError`` for anything else."""
    if len(data) > MAX_REPORT_BYTES:
        raise WireError("too_large", f"a message of {len(data)} bytes; the limit is {MAX_REPORT_BYTES}")
    try:
        return msgspec.json.decode(data, type=kind)
    except UNDECODABLE as error:
        raise WireError("malformed", f"{kind.__name__}: {error}") from None
