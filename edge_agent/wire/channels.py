"""The table of the protocol's topics: the message at each one, its writer, and its delivery. Pure.

``docs/protocol.md`` and ``docs/asyncapi.yaml`` are generated from it. Addresses are below the namespace; a name in
braces stands for one level.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import msgspec

from edge_agent.errors import WireError
from edge_agent.wire.chunks import CHUNK_BYTES, DIGEST_BYTES, PAGE_DIGESTS
from edge_agent.wire.envelope import Envelope
from edge_agent.wire.keys import KeyList
from edge_agent.wire.manifest import Manifest
from edge_agent.wire.messages import (
    MAX_ORDER_BYTES,
    MAX_REPORT_BYTES,
    Command,
    DeviceInfo,
    DeviceStatus,
    Done,
    JobReport,
    Need,
)
from edge_agent.wire.telemetry import HEALTH, Event, Health, ModelSample, ModelState
from edge_agent.wire.topics import MODEL_STREAMS, ChunkTopic, CommandTopic, DeviceTopic, PageTopic, Topic, WantTopic


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One kind of topic. ``readers`` names the product's own readers; the broker's ACL may admit others."""

    address: str
    message: type[msgspec.Struct] | None
    """The struct of the payload; None: raw bytes."""
    signed: tuple[type[msgspec.Struct], ...] = ()
    """The types that an envelope's payload may have."""
    writer: Literal["device", "host"]
    readers: str
    retained: bool
    qos: Literal[0, 1] = 1
    most_bytes: int
    """The largest payload that a reader of this project accepts."""
    what: str
    when: str
    """When the message is published, and when it is cleared."""


_reported = partial(Channel, writer="device", readers="hosts, dashboards", retained=True, most_bytes=MAX_REPORT_BYTES)
_sampled = partial(Channel, writer="device", readers="dashboards", retained=False, qos=0, most_bytes=MAX_REPORT_BYTES)
_ordered = partial(
    Channel, message=Envelope, writer="host", readers="devices", retained=True, most_bytes=MAX_ORDER_BYTES
)
_carried = partial(Channel, message=None, writer="host", readers="devices", retained=True)

_PURGED = "by a push, before its want; cleared a day after the last want of the blob"
_UNTIL_REPLACED = "by a push; stays until a newer version is wanted"
_UNTIL_OBEYED = "by rollback, cancel, recalibrate or forget, until it is obeyed or expires; by keys, for good"
_IN_FULL = "on every connection, and when one of its fields changes"

CHANNELS: Final[dict[str, Channel]] = {
    "chunk": _carried(
        address="b/{sha256}/{part}/{index}",
        most_bytes=CHUNK_BYTES,
        what="a chunk of a model or of a labelled set",
        when=_PURGED,
    ),
    "page": _carried(
        address="b/{sha256}/h/{page}",
        most_bytes=PAGE_DIGESTS * DIGEST_BYTES,
        what="the SHA-256 digests of its chunks, 32 bytes each",
        when=_PURGED,
    ),
    "want": _ordered(
        address="d/{device}/want/{model}",
        signed=(Manifest,),
        what="the version of a model that a device should run",
        when=_UNTIL_REPLACED,
    ),
    "group_want": _ordered(
        address="g/{group}/want/{model}",
        signed=(Manifest,),
        what="the same for a group; every device is in group `all`",
        when=_UNTIL_REPLACED,
    ),
    "command": _ordered(
        address="d/{device}/cmd/{command}", signed=(Command, KeyList), what="a command to a device", when=_UNTIL_OBEYED
    ),
    "group_command": _ordered(
        address="g/{group}/cmd/{command}", signed=(Command, KeyList), what="the same to a group", when=_UNTIL_OBEYED
    ),
    "done": _reported(
        address="d/{device}/done/{command}",
        message=Done,
        readers="hosts",
        what="the outcome of a command",
        when="when the command has ended; cleared by the host that sent it",
    ),
    "status": _reported(
        address="d/{device}/status",
        message=DeviceStatus,
        what="whether the device is online, and the last order that it refused",
        when=f"{_IN_FULL}; by the broker (the will) when the device disconnects",
    ),
    "info": _reported(
        address="d/{device}/info",
        message=DeviceInfo,
        what="the hardware, runtimes, sensors and releases of the device",
        when=_IN_FULL,
    ),
    "report": _reported(
        address="d/{device}/job/{job}",
        message=JobReport,
        what="the progress of a job, and its result",
        when=f"{_IN_FULL}; progress at most once a second; the newest 20 stay. A cleared report is published once "
        "more, not retained, if its want arrives again",
    ),
    "need": _reported(
        address="d/{device}/need",
        message=Need,
        readers="hosts that push",
        retained=False,
        what="chunks that the broker no longer has",
        when="while a blob is incomplete and nothing arrives",
    ),
    "model": _reported(
        address="d/{device}/model/{model}",
        message=ModelState,
        what="the active release of one model name, and its newest job",
        when=f"{_IN_FULL}; progress at most once a second; cleared once no release is active and no job is stored",
    ),
    "event": _reported(
        address="d/{device}/event",
        message=Event,
        readers="dashboards",
        retained=False,
        what="an event that a person should know about",
        when="when it happens, or after the next connection, in order",
    ),
    "health": _sampled(
        address="d/{device}/tele/health",
        message=Health,
        what="the state of the machine and of the agent",
        when="every `[telemetry] health_s` seconds",
    ),
    "model_sample": _sampled(
        address="d/{device}/tele/model/{model}",
        message=ModelSample,
        what="how applications use one model",
        when="every `[telemetry] model_s` seconds in which an application used the model",
    ),
}
"""name → channel; the names are those of ``docs/asyncapi.yaml``."""


def channel_of(topic: Topic) -> Channel:
    """Return the channel of ``topic``; raise ``WireError`` (malformed) for a stream unknown to this version."""
    match topic:
        case ChunkTopic():
            return CHANNELS["chunk"]
        case PageTopic():
            return CHANNELS["page"]
        case WantTopic(scope):
            return CHANNELS["group_want" if scope.kind == "g" else "want"]
        case CommandTopic(scope):
            return CHANNELS["group_command" if scope.kind == "g" else "command"]
        case DeviceTopic(_, "job"):
            return CHANNELS["report"]
        case DeviceTopic(_, "tele", leaf) if leaf == HEALTH:
            return CHANNELS["health"]
        case DeviceTopic(_, "tele", leaf) if leaf.startswith(MODEL_STREAMS):
            return CHANNELS["model_sample"]
        case DeviceTopic(_, "tele", leaf):
            raise WireError("malformed", f"stream {leaf!r} is unknown to this version; update this side")
        case DeviceTopic(_, kind):
            return CHANNELS[kind]
