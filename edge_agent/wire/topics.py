"""Topic names of protocol v1: the one place that builds and parses them.

    <ns>/b/<sha256>/<group>/<index>   retained  chunk                            host writes, devices read
    <ns>/b/<sha256>/h/<page>          retained  raw 32-byte chunk digests
    <ns>/d/<device>/want/<model>      retained  signed manifest
    <ns>/g/<group>/want/<model>       retained  the same for a group; every device is in group ``all``
    <ns>/d|g/<name>/cmd/<id>          retained  signed, expiring command
    <ns>/d/<device>/done/<id>         retained  a command's outcome
    <ns>/d/<device>/status            retained  online/offline (the will)
    <ns>/d/<device>/info              retained  hardware, runtimes, sources, releases
    <ns>/d/<device>/job/<job>         retained  latest report of a job
    <ns>/d/<device>/need                        chunks that the broker no longer has
    <ns>/d/<device>/model/<model>     retained  a model name's active release and newest job
    <ns>/d/<device>/event                       QoS 1, in order: events that a person should know about
    <ns>/d/<device>/tele/health                 QoS 0: the machine and the agent
    <ns>/d/<device>/tele/model/<model>          QoS 0: how applications use one model

At most six slashes in all (AWS IoT Core), so a namespace has at most two levels.
"""

import re
from dataclasses import dataclass
from typing import Literal

from edge_agent.errors import WireError
from edge_agent.wire.chunks import GROUP_CHUNKS, check_digest

NAME_PATTERN = "[a-z0-9][a-z0-9_-]{0,62}"
"""The full name of a device, group, model, job or command."""
_NAME = re.compile(NAME_PATTERN)
_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})?")
_INDEX = re.compile(r"0|[1-9][0-9]{0,6}")
EVERYONE = "all"
MODEL_STREAMS = "model/"
"""Prefix of the streams of models; the model's name follows."""

ScopeKind = Literal["d", "g"]


def check_name(name: str, what: str = "name") -> str:
    """Return ``name`` if it may name a device, group, model, job or command, else raise ``WireError``."""
    if not _NAME.fullmatch(name):
        raise WireError("malformed", f"{what} {name[:80]!r} must match {NAME_PATTERN}")
    return name


@dataclass(frozen=True, slots=True)
class Scope:
    """The addressee of a want or command: one device (``d``) or a group (``g``)."""

    kind: ScopeKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class ChunkTopic:
    """A chunk of a blob."""

    sha256: str
    index: int


@dataclass(frozen=True, slots=True)
class PageTopic:
    """A page of chunk digests."""

    sha256: str
    page: int


@dataclass(frozen=True, slots=True)
class WantTopic:
    """The version of ``model`` that ``scope`` should run."""

    scope: Scope
    model: str


@dataclass(frozen=True, slots=True)
class CommandTopic:
    """A command to ``scope``."""

    scope: Scope
    command: str


DeviceKind = Literal["status", "info", "need", "job", "done", "model", "event", "tele"]
_LEAFLESS = ("status", "info", "need", "event")


@dataclass(frozen=True, slots=True)
class DeviceTopic:
    """A message of a device; ``leaf`` is the job, command, model or stream, and empty for status, info, need, event.

    Streams are ``health`` and, with two levels, ``model/<model>``.
    """

    device: str
    kind: DeviceKind
    leaf: str = ""


Topic = ChunkTopic | PageTopic | WantTopic | CommandTopic | DeviceTopic


@dataclass(frozen=True, slots=True)
class Topics:
    """Builds and parses the topics of one namespace."""

    namespace: str = "ea/v1"

    def __post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise WireError(
                "malformed", f"namespace {self.namespace[:80]!r} must be one or two levels of [A-Za-z0-9_-]"
            )

    # Blobs.
    def chunk(self, sha256: str, index: int) -> str:
        """The topic of one chunk."""
        return f"{self.namespace}/b/{sha256}/{index // GROUP_CHUNKS}/{index}"

    def chunk_group(self, sha256: str, group: int) -> str:
        """The filter for all chunks of one group."""
        return f"{self.namespace}/b/{sha256}/{group}/+"

    def page(self, sha256: str, page: int) -> str:
        """The topic of one page of chunk digests."""
        return f"{self.namespace}/b/{sha256}/h/{page}"

    def pages(self, sha256: str) -> str:
        """The filter for all digest pages of a blob."""
        return f"{self.namespace}/b/{sha256}/h/+"

    def blobs(self) -> str:
        """The filter for the digest pages of every blob: a listing of what the broker holds."""
        return f"{self.namespace}/b/+/h/+"

    # Wants and commands.
    def want(self, scope: Scope, model: str) -> str:
        """The topic of the version of ``model`` that ``scope`` should run."""
        return f"{self.namespace}/{scope}/want/{model}"

    def command(self, scope: Scope, command: str) -> str:
        """The topic of one command to ``scope``."""
        return f"{self.namespace}/{scope}/cmd/{command}"

    def orders(self, scope: Scope) -> tuple[str, str]:
        """The filters for all wants and commands of ``scope``; name ``+`` covers every scope of its kind."""
        return f"{self.namespace}/{scope}/want/+", f"{self.namespace}/{scope}/cmd/+"

    # Messages of a device.
    def device(self, device: str, kind: DeviceKind, leaf: str = "") -> str:
        """The topic of a message of ``device``; ``leaf`` is the job, command, model or stream."""
        return f"{self.namespace}/d/{device}/{kind}" + (f"/{leaf}" if leaf else "")

    def devices(self, kind: DeviceKind) -> str:
        """The filter for one kind of message of every device."""
        return f"{self.namespace}/d/+/{kind}" + ("/#" if kind == "tele" else "" if kind in _LEAFLESS else "/+")

    def model_stream(self, device: str, model: str) -> str:
        """The topic of the samples of how applications use ``model`` on ``device``."""
        return self.device(device, "tele", f"{MODEL_STREAMS}{check_name(model, 'model')}")

    def parse(self, topic: str) -> Topic:
        """Return the meaning of ``topic``; raise ``WireError`` if it is not part of this protocol."""
        prefix = self.namespace + "/"
        if not topic.startswith(prefix):
            raise WireError("malformed", f"topic {topic[:120]!r} is outside namespace {self.namespace}")
        match topic[len(prefix) :].split("/"):
            case ["b", sha256, "h", page] if _INDEX.fullmatch(page):
                return PageTopic(check_digest(sha256), int(page))
            case ["b", sha256, group, index] if _INDEX.fullmatch(group) and _INDEX.fullmatch(index):
                if int(index) // GROUP_CHUNKS == int(group):
                    return ChunkTopic(check_digest(sha256), int(index))
            case [("d" | "g") as kind, name, "want", model]:
                return WantTopic(Scope(kind, check_name(name)), check_name(model, "model"))
            case [("d" | "g") as kind, name, "cmd", command]:
                return CommandTopic(Scope(kind, check_name(name)), check_name(command, "command"))
            case ["d", device, ("status" | "info" | "need" | "event") as leafless]:
                return DeviceTopic(check_name(device, "device"), leafless)
            case ["d", device, ("job" | "done" | "model" | "tele") as kind, leaf]:
                return DeviceTopic(check_name(device, "device"), kind, check_name(leaf))
            case ["d", device, "tele", "model", model]:
                return DeviceTopic(check_name(device, "device"), "tele", MODEL_STREAMS + check_name(model, "model"))
        raise WireError("malformed", f"topic {topic[:120]!r} is not part of this protocol")
