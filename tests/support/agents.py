"""An agent in this process: its store, rules and threads as they are, with workers that do at once what they should.

No broker and no model: what the agent publishes is kept here, and each stage leaves the files that a real one would.
"""

import hashlib
import queue
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from edge_agent.daemon.agent import Agent, InboxEvent
from edge_agent.daemon.device_info import Identity
from edge_agent.errors import BrokerError
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.job import Job
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import OUTCOME_FILE, TASK_FILE, Stage, Task
from edge_agent.mqtt import Connected, Incoming, Link
from edge_agent.settings.device import Config, parse_config
from edge_agent.state.clock import Clock
from edge_agent.state.store import Store
from edge_agent.wire.chunks import digest_pages
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import MANIFEST_TYPE, seal
from edge_agent.wire.manifest import Blob, InputContract, Manifest, Window, encode_manifest
from edge_agent.wire.messages import decode
from edge_agent.wire.telemetry import Event
from edge_agent.wire.topics import Scope, Topics

if TYPE_CHECKING:
    from edge_agent.execution.launcher import Launcher

MODEL = b"a float model" * 100
TOPICS = Topics("ea/v1")
DEVICE = Scope("d", "pi-01")


class StillLink:
    """Keeps what is published, newest per topic, and what was asked for. What it is given it has at once."""

    taken = done = True

    def __init__(self) -> None:
        self.connected = True
        self.dropped = 0
        self.taken = True
        self.retained: dict[str, bytes] = {}
        self.filters: set[str] = set()
        self.acknowledged = 0

    def publish(self, topic: str, payload: bytes, **_how: object) -> "StillLink":
        self.retained[topic] = payload
        return self

    def refusal(self) -> str:
        return ""

    def wait(self, _timeout_s: float) -> bool:
        raise BrokerError("broker_unreachable", "no broker here")

    def subscribe(self, *filters: str) -> None:
        self.filters |= set(filters)

    def unsubscribe(self, *filters: str) -> None:
        self.filters -= set(filters)

    def ack(self, _incoming: Incoming) -> None:
        self.acknowledged += 1


class QuickRun:
    """A stage's run that is over when it has begun, unless a test holds it back."""

    def __init__(self, end: Callable[[], None], *, held: bool) -> None:
        self.end = end
        self.stopped = False
        if not held:
            end()

    def stop(self) -> None:
        self.stopped = True

    def join(self, _timeout_s: float) -> bool:
        return True


class QuickStages:
    """Stands where workers are started. ``ends`` says otherwise how a stage ends; ``held`` stages wait."""

    def __init__(self) -> None:
        self.ends: dict[Stage, StageEnd] = {}
        self.held: set[Stage] = set()
        self.runs: list[tuple[Job, QuickRun]] = []

    def start(
        self,
        job: Job,
        manifest: Manifest,
        job_dir: Path,
        _blobs: Path,
        *,
        on_progress: Callable[[float, str, float | None], None],
        on_end: Callable[[StageEnd], None],
    ) -> QuickRun:
        end = self.ends.get(job.stage, StageEnd("", "", "ok", 0.1))

        def work() -> None:
            leave(job, manifest, job_dir)
            on_progress(1.0, "all of it", 0.0)
            on_end(end)

        run = QuickRun(work, held=job.stage in self.held)
        self.runs.append((job, run))
        return run

    def make_form(self, _release: Path, _folder: Path) -> str:
        return "no worker here makes forms"


def leave(job: Job, manifest: Manifest, job_dir: Path) -> None:
    """What a stage leaves in its job's folder."""
    task = Task(job=job.id, name=job.model, version=job.version, format="onnx", model="model.onnx")
    job_dir.mkdir(exist_ok=True)  # the job may have ended meanwhile
    (job_dir / TASK_FILE).write_bytes(msgspec.json.encode(task))
    (job_dir / task.model).write_bytes(MODEL)
    shutil.rmtree(job_dir / job.stage, ignore_errors=True)
    (job_dir / job.stage).mkdir()
    outcome = Outcome()
    if job.stage is Stage.QUANTIZE:
        (job_dir / job.stage / "chosen.onnx").write_bytes(b"an int8 model of version %d" % job.version)
        chosen = MeasuredModel(method="static", runtime="onnxruntime", runtime_version="1", threads=1)
        outcome = Outcome(results=Result(chosen=chosen))
    (job_dir / job.stage / OUTCOME_FILE).write_bytes(msgspec.json.encode(outcome))


class LocalAgent:
    """A booted agent on ``state``; booting another one there is the next start of the device."""

    def __init__(self, state: Path, **tables: dict[str, Any]) -> None:
        table = {
            "device_id": DEVICE.name, "groups": ["lab"], "state_dir": str(state),
            "mqtt": {"url": "mqtt://127.0.0.1"}, "trust": {"allow_unsigned": True},
            "sources": {"imu": {"kind": "serial"}, "mic": {"kind": "serial"}},
        }  # fmt: skip
        self.config: Config = parse_config({**table, **tables}, "test")
        self.store = Store(state)
        self.link = StillLink()
        self.stages = QuickStages()
        self.inbox: queue.SimpleQueue[InboxEvent] = queue.SimpleQueue()

    def boot(self) -> "LocalAgent":
        """Lock the store and load what is there, as ``edge-agent run`` does."""
        self.store.lock()
        self.agent = Agent(
            self.config,
            self.store,
            cast("Link", self.link),
            self.inbox.put,
            Clock(self.store.root / "clock"),
            Identity(),
            cast("Launcher", self.stages),  # instead of worker processes
        )
        self.agent.boot()
        self.handle(Connected(session_present=False))
        return self

    def handle(self, event: InboxEvent) -> None:
        """Let the agent deal with one event."""
        self.agent.handle(event)

    def want(self, version: int = 1, model: str = "har", scope: Scope = DEVICE, **fields: Any) -> str:
        """Deliver a manifest whose blob is on the disk already; returns its job."""
        self.deliver(manifest := wanted(version, model, scope, **fields), scope)
        return job_id(content_digest(encode_manifest(manifest)))

    def deliver(self, manifest: Manifest, scope: Scope = DEVICE, *, blob: bool = True) -> None:
        """Deliver a manifest as a broker would; with ``blob`` as if its blob were here already."""
        if blob:
            (self.store.blobs / manifest.blob.sha256).write_bytes(MODEL)
        payload = seal(encode_manifest(manifest), MANIFEST_TYPE)
        self.handle(Incoming(TOPICS.want(scope, manifest.name), payload, retained=True))

    def settle(self) -> None:
        """Handle events, and let time pass, until every job has ended."""
        deadline = time.monotonic() + 60
        while any(not job.ended for job in self.agent.jobs.values()):
            assert time.monotonic() < deadline, self.agent.jobs
            self.step()

    def step(self) -> None:
        """Handle what is in the inbox; if there is nothing, let a moment pass."""
        try:
            self.handle(self.inbox.get(timeout=0.01))
        except queue.Empty:
            self.agent.tick()

    def events(self) -> list[Event]:
        """The events that wait on the disk, which is all of them: nobody acknowledges here."""
        folder = self.store.root / "events"
        files = sorted(folder.glob("*.json"), key=lambda path: int(path.stem))
        return [decode(path.read_bytes().partition(b"\n")[2], Event) for path in files]

    def off(self) -> None:
        """The power is gone: only the disk remembers."""
        self.store.unlock()


def wanted(version: int, model: str = "har", scope: Scope = DEVICE, **fields: Any) -> Manifest:
    """A manifest of the model's one blob."""
    pages = digest_pages(iter([MODEL]))
    contract = InputContract(source=fields.pop("source", "imu"), channels=["x"], window=Window(8, 8))
    return Manifest(
        namespace="ea/v1",
        name=model,
        version=version,
        format="onnx",
        blob=Blob(hashlib.sha256(MODEL).hexdigest(), len(MODEL), [hashlib.sha256(page).hexdigest() for page in pages]),
        inputs=[contract],
        targets=[str(scope)],
        **fields,
    )
