"""A device simulator that speaks the wire protocol over a real broker: what a daemon says, without the work.

It obeys a want as the daemon does (any valid manifest that is addressed to it starts a job) and then says what the
test scripted. Commands are answered with a scripted ``done``.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from edge_agent import __version__
from edge_agent.mqtt import Connected, Event, Incoming, Link
from edge_agent.settings.broker import BrokerSettings
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, unseal
from edge_agent.wire.manifest import FEATURES, Manifest, decode_manifest
from edge_agent.wire.messages import (
    ActiveRelease,
    Command,
    DeviceInfo,
    DeviceStatus,
    Done,
    JobReport,
    Message,
    Refused,
    decode,
    encode,
)
from edge_agent.wire.topics import CommandTopic, DeviceKind, Scope, Topics, WantTopic


@dataclass(frozen=True)
class Say:
    """One report: its fields, or ``refused`` to refuse the manifest with that code."""

    fields: dict[str, Any] = field(default_factory=dict)
    refused: str = ""


def ends(status: str, code: str, **more: Any) -> Say:
    """The last report of a job."""
    return Say({"stage": "benchmark", "status": status, "code": code, "message": f"because {code}", **more})


@dataclass
class FakeDevice:
    """Connected while its ``with`` block runs; ``script`` is what it says about every job."""

    url: str
    namespace: str
    id: str
    script: Sequence[Say] = ()
    groups: list[str] = field(default_factory=list)
    active: list[ActiveRelease] = field(default_factory=list)
    highest: dict[str, int] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"imu": {"kind": "serial", "channels": ["ax", "ay", "az"], "rate_hz": 50}}
    )
    done: tuple[str, str] | None = ("", "")
    """Code and message that end every command; None: it never answers."""
    agent_version: str = __version__
    features: list[str] = field(default_factory=lambda: [feature.name for feature in FEATURES])
    boot_id: str = "boot-1"
    refused_count: int = 0
    wants: list[Manifest] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    on_want: Callable[["FakeDevice", Manifest], None] | None = None
    broker_is_gone: bool = False

    def __post_init__(self) -> None:
        self.topics = Topics(self.namespace)
        self.wanted = threading.Event()
        self._seq = 0
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        will = self.topics.device(self.id, "status"), encode(self._status(online=False))
        self.link = Link(BrokerSettings(url=self.url), f"device-{self.id}", on_event=self._events.put, will=will)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self.link.start()
        self.link.wait_connected(60)
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.put(None)
        self._thread.join()
        if not self.broker_is_gone:
            self.publish(self.topics.device(self.id, "status"), encode(self._status(online=False)))
        self.link.stop()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish, retained, and wait for the broker."""
        assert self.link.publish(topic, payload, retain=True).wait(60)

    def say(self, kind: DeviceKind, leaf: str, message: Message, *, retain: bool = True) -> None:
        """Publish any message under ``kind/leaf``."""
        assert self.link.publish(self.topics.device(self.id, kind, leaf), encode(message), retain=retain).wait(60)

    def report(self, job: str, **fields: Any) -> None:
        """Publish a report of ``job``."""
        self._seq += 1
        defaults = {"model": "har", "version": 1, "stage": "receive", "status": "in_progress"}
        report = JobReport(device=self.id, job=job, seq=self._seq, boot_id=self.boot_id, **{**defaults, **fields})
        self.publish(self.topics.device(self.id, "job", job), encode(report))
        if report.status == "succeeded":
            self.run(report.model, report.version, job)

    def run(self, model: str, version: int, job: str = "") -> None:
        """Have this version active under a model's name, and say so; 0: none."""
        self.active = [one for one in self.active if one.model != model]
        self.active += [ActiveRelease(model, version, job, "accepted")] if version else []
        self._say_info()

    def _status(self, *, online: bool, refused: Refused | None = None) -> DeviceStatus:
        return DeviceStatus(
            device=self.id, online=online, agent_version=self.agent_version, boot_id=self.boot_id, refused=refused,
            refused_count=self.refused_count,
        )  # fmt: skip

    def _serve(self) -> None:
        while (event := self._events.get()) is not None:
            match event:
                case Connected():
                    self._introduce()
                case Incoming(topic, payload) if payload:
                    self._obey(topic, payload)
                    self.link.ack(event)
                case Incoming():
                    self.link.ack(event)

    def _introduce(self) -> None:
        self.publish(self.topics.device(self.id, "status"), encode(self._status(online=True)))
        self._say_info()
        scopes = [Scope("d", self.id), Scope("g", "all"), *(Scope("g", group) for group in self.groups)]
        for scope in scopes:
            self.link.subscribe(*self.topics.orders(scope))
        self._ready.set()

    def _say_info(self) -> None:
        self._seq += 1
        info = DeviceInfo(
            device=self.id, groups=self.groups, agent_version=self.agent_version, board="Test Board", arch="aarch64",
            cores=4, runtimes={"onnxruntime": "1.32.0"}, active=self.active, highest=self.highest,
            sources=self.sources, features=self.features, seq=self._seq, boot_id=self.boot_id,
        )  # fmt: skip
        self.publish(self.topics.device(self.id, "info"), encode(info))

    def _obey(self, topic: str, payload: bytes) -> None:
        match self.topics.parse(topic):
            case WantTopic():
                content = unseal(payload, MANIFEST_TYPE).content()
                manifest = decode_manifest(content)
                assert not {f"d/{self.id}", "g/all", *(f"g/{group}" for group in self.groups)}.isdisjoint(
                    manifest.targets
                )
                self.wants.append(manifest)
                self.envelopes.append(payload)
                self._play(manifest, job_id(content_digest(content)))
                self.wanted.set()
            case CommandTopic(scope):
                command = decode(unseal(payload, COMMAND_TYPE).content(), Command)
                self.commands.append(command)
                if self.done is not None:
                    done = Done(device=self.id, command=command.id, code=self.done[0], message=self.done[1])
                    self.publish(self.topics.device(self.id, "done", command.id), encode(done))
                if scope.kind == "d":
                    self.publish(topic, b"")

    def _play(self, manifest: Manifest, job: str) -> None:
        if self.on_want:
            self.on_want(self, manifest)
        for say in self.script:
            if say.refused:
                self.refused_count += 1
                refused = Refused(manifest.name, job, say.refused, f"because {say.refused}")
                self.publish(self.topics.device(self.id, "status"), encode(self._status(online=True, refused=refused)))
            else:
                self.report(job, model=manifest.name, version=manifest.version, **say.fields)
