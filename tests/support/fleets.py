"""What a device of a small fleet says, as real messages on their real topics, and long-lived host commands."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge_agent.mqtt import Link
from edge_agent.settings.broker import BrokerSettings
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, Message, encode
from edge_agent.wire.telemetry import Event, Health, ModelSample, ModelState
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Topics

HOSTILE = '"} 1\nevil{a="\\\x1b]0;owned\x07\x00[/red]<script>\u202e'
JOB = "3f2a9c0d1e5b7a86"
_AT_ONCE = 100
"""Messages that wait for the broker's word together: one by one a slow machine is no flood."""


@dataclass
class Voice:
    """Numbers what one device says, as a daemon does."""

    device: str
    topics: Topics
    boot_id: str = "boot-1"
    seq: int = 0
    events: int = 0

    def stamp(self, message: Any, at: float | None = None) -> Any:
        self.seq += 1
        ts = rfc3339(time.time() if at is None else at)
        return msgspec.structs.replace(message, ts=ts, seq=self.seq, boot_id=self.boot_id)

    def status(self, *, online: bool = True, **fields: Any) -> tuple[str, bytes]:
        message = DeviceStatus(device=self.device, online=online, agent_version="1.2.3", **fields)
        return self.topics.device(self.device, "status"), encode(self.stamp(message))

    def info(self, **fields: Any) -> tuple[str, bytes]:
        about = {"board": "Raspberry Pi 4", "arch": "aarch64", "agent_version": "1.2.3", "groups": ["lab"]} | fields
        return self.topics.device(self.device, "info"), encode(self.stamp(DeviceInfo(device=self.device, **about)))

    def model(self, model: str = "har", at: float | None = None, **fields: Any) -> tuple[str, bytes]:
        state = ModelState(device=self.device, model=model, **STATE | fields)
        return self.topics.device(self.device, "model", model), encode(self.stamp(state, at))

    def report(self, job: str = JOB, at: float | None = None, **fields: Any) -> tuple[str, bytes]:
        about = {"model": "har", "version": 7, "stage": "activate", "status": "succeeded", "code": "accepted"} | fields
        message = JobReport(device=self.device, job=job, **about)
        return self.topics.device(self.device, "job", job), encode(self.stamp(message, at))

    def health(self, at: float | None = None, **fields: Any) -> tuple[str, bytes]:
        message = Health(device=self.device, **HEALTH | fields)
        return self.topics.device(self.device, "tele", "health"), encode(self.stamp(message, at))

    def sample(self, model: str = "har", at: float | None = None, **fields: Any) -> tuple[str, bytes]:
        message = ModelSample(device=self.device, model=model, **SAMPLE | fields)
        return self.topics.model_stream(self.device, model), encode(self.stamp(message, at))

    def event(self, kind: str = "activated", at: float | None = None, **fields: Any) -> tuple[str, bytes]:
        self.events += 1
        message: Message = Event(device=self.device, event_seq=self.events, kind=kind, **fields)
        return self.topics.device(self.device, "event"), encode(self.stamp(message, at))


STATE: dict[str, Any] = {
    "active_version": 7, "active_since": "2026-03-01T12:00:00Z", "newest_version": 7, "job": JOB, "job_version": 7,
    "stage": "activate", "status": "succeeded", "code": "accepted", "verdict": "accepted", "method": "static",
    "runtime": "onnxruntime 1.32.0", "stale": False, "float_bytes": 400_000, "model_bytes": 110_000,
    "size_ratio": 0.275, "float_p50_ms": 8.0, "float_p95_ms": 9.0, "float_p99_ms": 12.0, "p50_ms": 3.0, "p95_ms": 3.5,
    "p99_ms": 4.0, "latency_ratio": 0.375, "latency_ratio_upper": 0.4, "agreement": 0.99, "agreement_lower": 0.98,
}  # fmt: skip
HEALTH: dict[str, Any] = {
    "uptime_s": 3600.0, "cpu_share": 0.25, "load_1m": 0.5, "memory_available_bytes": 2_000_000_000,
    "swap_used_bytes": 0, "disk_free_bytes": 9_000_000_000, "temperature_c": 51.5, "clock_hz": 1.8e9,
    "throttled": False, "throttled_since_boot": True, "undervoltage": False, "agent_uptime_s": 60.0,
    "agent_rss_bytes": 28_000_000, "reconnects": 2,
}  # fmt: skip
SAMPLE: dict[str, Any] = {
    "version": 7, "interval_s": 60.0, "applications": 1, "inferences": 1200, "errors": 3, "p50_ms": 3.1, "p95_ms": 4.2,
    "p99_ms": 9.0, "rss_bytes": 80_000_000,
}  # fmt: skip


@contextlib.contextmanager
def speaking(url: str, namespace: str) -> Iterator[Callable[..., None]]:
    """Gives a function that publishes messages and waits until the broker has them."""
    link = Link(BrokerSettings(url=url), f"voice-{time.monotonic_ns()}", on_event=lambda _: None)
    link.start()
    link.wait_connected(60)

    def say(*messages: tuple[str, bytes], retain: bool = False) -> None:
        for first in range(0, len(messages), _AT_ONCE):
            some = messages[first : first + _AT_ONCE]
            for sent in [link.publish(topic, payload, retain=retain) for topic, payload in some]:
                assert sent.wait(60)

    try:
        yield say
    finally:
        link.stop()


@dataclass
class Running:
    """A host command that runs until it is ended."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    more: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self.more:
                self.lines.append(line.rstrip("\n"))
                self.more.notify_all()
        with self.more:
            self.ended = True
            self.more.notify_all()

    def said(self, part: str, timeout_s: float = 60) -> str:
        """The first line on stderr with ``part`` in it."""

        def found() -> list[str]:
            return [line for line in self.lines if part in line]

        with self.more:
            assert self.more.wait_for(lambda: found() or self.ended, timeout_s), self.lines
            assert found(), self.lines
            return found()[0]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


@contextlib.contextmanager
def running(*argv: str, first: str = "") -> Iterator[Running]:
    """``host-tools`` with these arguments, as a process of its own; ``first``: what that does before."""
    code = f"{first}\nfrom host_tools.cli.app import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, *argv], stderr=subprocess.PIPE, text=True) as process:
        command = Running(process)
        reader = threading.Thread(target=command.read)
        reader.start()
        try:
            yield command
        finally:
            process.kill()
            process.wait()
            reader.join()


def eventually(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait until ``holds``; what it looks at is another process's, so nothing tells of a change."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
