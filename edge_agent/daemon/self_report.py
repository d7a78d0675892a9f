"""The daemon's reports about itself over time: samples of the machine's health, and events.

    any observer ────────────────► events ─► outbox: on disk ─► sender ─► broker
    tick ─► machine ─► watch ─┬──────┘
                              └► tele/health, at the configured interval

Used from the consumer only.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from edge_agent import __version__
from edge_agent.daemon.events import Due, SensorSaid
from edge_agent.daemon.publisher import Publisher
from edge_agent.daemon.sensor_processes import describe
from edge_agent.daemon.transfer.partial_blob import RESERVE_BYTES
from edge_agent.device.readings import Machine
from edge_agent.jobs.job import ActivationStep, Job, Status
from edge_agent.mqtt import Link
from edge_agent.settings.device import Config
from edge_agent.state.clock import Clock
from edge_agent.state.release import Release
from edge_agent.state.running_mark import Before, RunningMark
from edge_agent.state.store import Store
from edge_agent.telemetry.event_sender import EventSender
from edge_agent.telemetry.events import Events, Subject
from edge_agent.telemetry.health import AgentFacts, HealthWatch
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.pause import Pause
from edge_agent.telemetry.sensor_watch import SensorWatch
from edge_agent.wire.messages import Refused, encode
from edge_agent.wire.telemetry import HEALTH

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 60
"""Longest interval between two readings, however rarely samples are published, so that events are timely."""
_MOST_DIGITS = 15
"""Digits of a version."""
_ENDS = {Status.REJECTED: "rejected", Status.FAILED: "failed"}
_BEFORE = {
    Before.KILLED: "the previous agent ended without notice: it crashed or was killed; see the log",
    Before.WITH_THE_MACHINE: "the device lost power or restarted while the agent ran; check the power supply",
}


class SelfReport:
    """The events and the health of one daemon."""

    def __init__(
        self,
        config: Config,
        store: Store,
        link: Link,
        put: Callable[[Due], None],
        clock: Clock,
        boot_id: str,
        publisher: Publisher,
        pause: Pause,
    ) -> None:
        self._pause = pause
        self._device = device = config.device_id
        self._topics = config.topics
        self._link = link
        self._put = put
        self._clock = clock
        self._boot_id = boot_id
        self._stamp = publisher.stamp
        self._mark = RunningMark(store.root / "running")
        self._answers: deque[Callable[[], None]] = deque()
        self._outbox = Outbox(store.root / "events", clock.now)
        self._sender = EventSender(self._outbox, self._send, pause)
        self.events = Events(device, self._outbox, publisher.stamp, on_raised=self._sender.publish)
        self._sensors = SensorWatch(self._tell)
        self._publish_every_s = config.telemetry.health_s or math.inf
        self._look_every_s = min(_LOOK_EVERY_S, self._publish_every_s)
        self._machine = Machine(store.root)
        self._began_s = self._looked_s = self._published_s = time.monotonic()
        self._watch: HealthWatch | None = None
        self._connections = 0

    def boot(self) -> None:
        """Load the waiting events, and report how the previous run ended."""
        self._outbox.load()
        if text := _BEFORE.get(self._mark.begin(self._boot_id)):
            log.warning("%s", text)
            self.events.tell("restarted_after_crash", text)
        else:
            self.events.tell("started", f"edge-agent {__version__} runs")

    def connected(self) -> None:
        """Start sending events; the first connection also gets the first sample."""
        self._connections += 1
        self._sender.connected()
        if self._connections == 1:
            self._look(publish=self._publish_every_s < math.inf)

    def disconnected(self) -> None:
        """Stop sending events."""
        self._sender.disconnected()

    def tick(self) -> None:
        """Do what is due by time."""
        now = time.monotonic()
        self._sensors.tick(now)
        publish = now - self._published_s >= self._publish_every_s
        if publish or now - self._looked_s >= self._look_every_s:
            self._look(publish=publish)
        if self._sender.idle:
            self.events.tell_lost()
        self._sender.publish()

    def stop(self, *, clean: bool) -> None:
        """Stop, ``clean`` or by a fault.

        Answers of the broker are handled first, so that no event is published twice.
        """
        self._sender.disconnected()
        self.take_answers()
        self._outbox.lose_memory()
        self.events.tell_lost(at_any_cost=True)
        if clean:
            self._mark.end()

    def take_answers(self) -> None:
        """Handle the broker's answers."""
        while self._answers:
            self._answers.popleft()()

    # Events that other parts observe.

    def job_ended(self, job: Job, message: str) -> None:
        """Raise the events of a job's end; its report is not on disk yet, so this may be called again after a crash."""
        about = Subject(job.model, job.version, job.id)
        if kind := _ENDS.get(job.status):
            self.events.tell_end(kind, message, code=job.code, about=about)
        if job.step is ActivationStep.COMMITTED:
            what = "the float model" if job.code != "accepted" else "the quantized model"
            text = f"{job.model} {job.version} is active: {what}"
            self.events.tell_end("activated", text, code=job.code, about=about)

    def taken_back(self, release: Release, why: str) -> None:
        """Raise the event of a rolled back release; ``why`` names what is active now."""
        self.events.tell("rolled_back", why, about=_about(release))

    def healed(self, model: str, name: str, text: str) -> None:
        """Raise the event of a removed broken release, whose ``name`` may be all that is still readable."""
        version, _, job = name.partition("-")
        known = version.isascii() and version.isdecimal() and len(version) <= _MOST_DIGITS
        about = Subject(model, int(version), job) if known else Subject(model)
        self.events.tell("rolled_back", text, code="release_corrupt", about=about)

    def refused(self, refused: Refused) -> None:
        """Raise the event of a refused signed order."""
        text = f"{refused.model}: {refused.message}"
        self.events.tell("refused", text, code=refused.code, about=Subject(refused.model, job=refused.job))

    def stale(self, release: Release, runtime: str) -> None:
        """Raise the event of a release judged on another runtime than the installed ``runtime``.

        An empty ``runtime`` means that no runtime of that name is installed.
        """
        judged = f"{release.model} {release.version} was judged on {release.runtime} {release.runtime_version}"
        text = f"{judged}, but {runtime} is installed here; recalibrate it"
        if not runtime:
            text = f"{judged}, but {release.runtime} is not installed here; install it"
        self.events.tell("model_stale", text, about=_about(release))

    def sensor(self, said: SensorSaid) -> None:
        """Handle a report of a sensor's process, or its end."""
        state = said.state
        sentence = describe(said.name, state)
        self._sensors.note(said.name, sentence, code=state.code, answers=state.state == "open", now_s=time.monotonic())

    def _tell(self, kind: str, message: str, code: str) -> None:
        self.events.tell(kind, message, code=code)

    def _look(self, *, publish: bool) -> None:
        """Read the machine, raise events about it, and ``publish`` a sample."""
        self._looked_s = now = time.monotonic()
        readings = self._machine.read()
        if self._watch is None:  # the first readings give no shares, which need an earlier reading
            self._watch = HealthWatch(self._tell, readings, RESERVE_BYTES)
        self._watch.note(readings)
        if not publish:
            return
        self._published_s = now
        facts = AgentFacts(
            uptime_s=now - self._began_s,
            reconnects=max(0, self._connections - 1),
            dropped_messages=self._link.dropped,
            clock_plausible=self._clock.plausible,
        )
        health = self._watch.health(self._device, readings, facts, self._stamp())
        if not self._pause.on:
            self._link.publish(self._topics.device(self._device, "tele", HEALTH), encode(health), qos=0)

    def _send(self, payload: bytes, answered: Callable[[str], None]) -> bool:
        topic = self._topics.device(self._device, "event")
        return self._link.publish(topic, payload, qos=1, then=partial(self._note_answer, answered)).taken

    def _note_answer(self, answered: Callable[[str], None], reason: str) -> None:
        """Queue the broker's answer to an event for the consumer; runs on any thread."""
        self._answers.append(partial(answered, reason))
        self._put(Due(self.take_answers))


def _about(release: Release) -> Subject:
    return Subject(release.model, release.version, release.job)
