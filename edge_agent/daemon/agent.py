"""Wires the daemon's parts together and routes incoming events: broker messages, ended children, commands, time.

One consumer calls :meth:`Agent.handle` for each event and :meth:`Agent.tick` in between; there are no locks. Threads
only put events into the inbox. :mod:`edge_agent.daemon.job_flow` describes the course of a job.

    message ─► a chunk    ─► transfers ─► receive.news ─┐
            └► a want     ─► admission ─────────────────┤
            └► a command  ─► admission ─► commands ─────┼─► flow ─► ledger: saved, published
    end of a worker, of the hook ───────────────────────┤     └─► stages: receive, workers, activator
    control socket ─► commands ─────────────────────────┘

Calls go in this direction only: no part on the right knows its caller. Nothing here depends on numpy, a runtime or a
model format.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from edge_agent.daemon.activation.activator import Activator
from edge_agent.daemon.activation.form_renewal import FormRenewal
from edge_agent.daemon.activation.hook import Hook
from edge_agent.daemon.activation.rollback import Rollback
from edge_agent.daemon.admission.admission import Admission
from edge_agent.daemon.commands import Commands
from edge_agent.daemon.control_socket import ControlRequest
from edge_agent.daemon.device_info import Identity, InfoPublisher
from edge_agent.daemon.events import ChildEnded, Due, SensorSaid, StageEnded, StageProgress, StepEnded, WorkEnded
from edge_agent.daemon.faults import contained
from edge_agent.daemon.home_assistant import HomeAssistant
from edge_agent.daemon.housekeeping import Housekeeper
from edge_agent.daemon.job_flow import JobFlow, StageWork
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.daemon.local_commands import LocalCommands
from edge_agent.daemon.model_states import ModelStates
from edge_agent.daemon.publisher import Publisher
from edge_agent.daemon.remote_commands import RemoteCommands
from edge_agent.daemon.self_report import SelfReport
from edge_agent.daemon.sensor_processes import Sensors
from edge_agent.daemon.serving_samples import ServingSamples
from edge_agent.daemon.transfer.receive import Receive
from edge_agent.daemon.transfer.transfers import Transfers
from edge_agent.daemon.twins import Twins
from edge_agent.daemon.workers import Workers
from edge_agent.errors import BrokerError
from edge_agent.execution.launcher import Launcher
from edge_agent.jobs.job import Progressed
from edge_agent.jobs.task import WORKER_STAGES, Stage
from edge_agent.mqtt import Connected, Disconnected, Incoming, Link, Oversized, SubscribeFailed
from edge_agent.mqtt import Event as LinkEvent
from edge_agent.process.child_exit import ChildExit
from edge_agent.settings.device import Config
from edge_agent.state.clock import Clock
from edge_agent.state.store import Store
from edge_agent.telemetry.pause import Pause

log = logging.getLogger(__name__)

InboxEvent = (
    LinkEvent | StageProgress | StageEnded | StepEnded | ChildEnded | WorkEnded | Due | SensorSaid | ControlRequest
)
Put = Callable[[InboxEvent], None]


class Agent:
    """Builds and connects the daemon's parts. Used from one thread: the inbox's consumer."""

    def __init__(
        self, config: Config, store: Store, link: Link, put: Put, clock: Clock, identity: Identity, launcher: Launcher
    ) -> None:
        self.config = config
        self.store = store
        self.link = link
        self.clock = clock
        self.identity = identity
        topics, device, use_float = config.topics, config.device_id, config.activation.on_rejected == "float"

        self.publisher = Publisher(link, topics, device, clock, identity.boot_id)
        self._twins = Twins(self.publisher.twin)
        self.ledger = JobLedger(store, self.publisher)
        self.jobs = self.ledger.jobs
        self.sensors = Sensors(config, put)
        self._pause = Pause()
        self._model_states = ModelStates(config, store, link, self.ledger, identity, self.publisher, self._pause)
        self.serving_samples = ServingSamples(config, store, self.publisher, self._pause)
        self.info = InfoPublisher(
            config, store, identity, self.sensors, self.publisher, on_publish=self._active_changed
        )

        self._report = SelfReport(config, store, link, put, clock, identity.boot_id, self.publisher, self._pause)

        self._home_assistant = HomeAssistant(config, store, link, self.ledger, self._pause)

        hook = Hook(config.activation.hook, put)
        shared, largest = self.sensors.names, config.limits.max_model_bytes
        self.transfers = Transfers(store.blobs, link, topics, self.publisher.need, device, put)
        self._receive = Receive(self.transfers, store, self.ledger, clock, identity, max_model_bytes=largest)
        self._workers = Workers(launcher, store, self.ledger, put, shared=shared, use_float=use_float)
        self._form_renewal = FormRenewal(store, identity, self._workers, launcher.make_form, put)
        activator = Activator(store, self.ledger, clock, hook, self._workers, put, self._report.taken_back)
        stages: dict[Stage, StageWork] = dict.fromkeys(WORKER_STAGES, self._workers)
        stages |= {Stage.RECEIVE: self._receive, Stage.ACTIVATE: activator}

        self._housekeeper = Housekeeper(
            store, self.ledger, hook, put, keep_days=config.capture.keep_days, on_healed=self._healed
        )
        self.flow = JobFlow(
            self.ledger, stages, clock, self.info,
            on_end=[self._housekeeper.retire], on_conclusion=self._report.job_ended,
        )  # fmt: skip

        rollback = Rollback(store, self.ledger, hook, self.info, put, self._report.taken_back)
        commands = Commands(device, store.models, self.ledger, self.flow, rollback, on_forget=self._forgotten)
        remote = RemoteCommands(commands, topics, store, clock, self.publisher)
        self._admission = Admission(
            config, store, link, self.ledger, self.flow, remote, self.publisher,
            clock=clock, put=put, on_refused=self._report.refused,
        )  # fmt: skip
        self._local_commands = LocalCommands(commands, clock, self._status, on_reset=self._admission.read_again)

    def boot(self) -> None:
        """Load every job and continue; a stage that a power cut interrupted is run again."""
        self.ledger.load()
        self._admission.load()
        for step in (
            self._report.boot,
            self.flow.resume,
            self._housekeeper.collect,
            self._form_renewal.clean,
            self._housekeeper.check_releases,
            self.flow.schedule,
        ):
            with contained(step.__qualname__):
                step()

    def handle(self, event: InboxEvent) -> None:
        """Handle one event, then start whatever can be started. No error in an event ends the daemon."""
        with contained(type(event).__name__):
            try:
                self._dispatch(event)
            finally:
                if isinstance(event, Incoming | Oversized):
                    self.link.ack(event)
        for step in (self.flow.schedule, self._model_states.tick):
            with contained(step.__qualname__):
                step()

    def tick(self) -> None:
        """Do what is due by time: expiry, stalled transfers, the saved clock."""
        for due in (
            self.flow.expire,
            self.transfers.tick,
            self._take_transfers,
            self._admission.tick,
            self._twins.tick,
            self._report.tick,
            self.publisher.tick,
            self._home_assistant.tick,
            self.ledger.save_ended,
            self.ledger.answer_due,
            self.clock.save,
            self.flow.schedule,
            self._form_renewal.tick,
            self._model_states.tick,
            self.serving_samples.tick,
        ):
            with contained(due.__qualname__):
                due()

    def stop(self, *, clean: bool = True) -> None:
        """Stop every part; without ``clean`` a fault is the cause, which the next start reports."""
        self.flow.pause()
        self.serving_samples.stop()
        self._workers.stop_all()
        self.sensors.stop()  # they write their samples to disk while the workers end
        self._workers.join()
        self.sensors.join()
        self.clock.save(force=True)
        with contained("the states of models"):
            self._model_states.stop()
        with suppress(BrokerError):  # without a connection the broker publishes the will, which says the same
            self.publisher.status(online=False).wait(2.0)
        with contained("events"):  # the broker has answered earlier events before it answered the status
            self._report.stop(clean=clean)

    def _dispatch(self, event: InboxEvent) -> None:
        match event:
            case Incoming() | Oversized():
                self._on_message(event)
            case StageProgress(number, fraction, detail, eta_s):
                if job_id := self._workers.owner(number):
                    self.flow.apply(job_id, Progressed(fraction, detail, eta_s))
            case StageEnded(number, end):
                self.flow.stage_ended(self._workers.release(number), end)
            case StepEnded(job_id, end):
                self.flow.stage_ended(job_id, end)
            case ChildEnded() | Due():
                event.go_on()
            case WorkEnded(then):
                then()
                self._take_transfers()
            case SensorSaid():
                self._report.sensor(event)
                if self.sensors.note(event):
                    self.info.publish()
            case ControlRequest():
                self._local_commands.take(event)
            case Connected() | Disconnected() | SubscribeFailed():
                self._on_link(event)

    def _on_message(self, event: Incoming | Oversized) -> None:
        match event:
            case Oversized():
                self._admission.oversized(event)
            case Incoming() if self.transfers.message(event):
                self._take_transfers()
            case _:
                self._admission.message(event)

    def _on_link(self, event: Connected | Disconnected | SubscribeFailed) -> None:
        match event:
            case Connected(protocol=protocol):
                log.info("connected to %s with MQTT %s", self.config.mqtt.url, protocol)
                self._on_connected()
            case Disconnected(reason, twin=twin, gave_up=gave_up):  # the link has logged why
                if gave_up:  # telemetry is the likeliest thing that the broker's ACL does not allow
                    self._pause.begin()
                self._twins.disconnected(reason if twin else "")
                self.transfers.disconnected()
                self._report.disconnected()
            case SubscribeFailed(filters, reason):
                log.error("broker_refused: subscription to %s: %s; check the ACL", ", ".join(filters), reason)

    def _take_transfers(self) -> None:
        """Advance jobs whose blobs are complete, and fail jobs whose transfer has failed."""
        for job_id, event in self._receive.news():
            self.flow.apply(job_id, event)

    def _on_connected(self) -> None:
        """Subscribe and publish everything again, as the broker may have lost its state."""
        self._admission.connected()
        self.publisher.status()
        with contained("info"):
            self.info.publish()
        for job in sorted(self.jobs.values(), key=lambda job: job.created):
            with contained(f"report of job {job.id}"):
                self.ledger.republish(job.id)
        self._home_assistant.connected()
        self.transfers.connected()
        with contained("events and health"):
            self._report.connected()
        with contained("the states of models"):
            self._model_states.connected()

    def _active_changed(self) -> None:
        """Other releases may be active, or other runtimes known."""
        self._model_states.active_changed()
        self._form_renewal.active_changed()

    def _healed(self, model: str, name: str, text: str) -> None:
        """Report that the release ``name`` was broken on disk and is no longer active."""
        self._report.healed(model, name, text)
        self.info.publish()

    def _forgotten(self, model: str) -> None:
        """Fetch a forgotten model's orders again, and publish the change."""
        self._admission.forget(model)
        self.info.publish()

    def take_inventory(self, ended: ChildExit, output: str) -> None:
        """Publish the result of the inventory child."""
        self.identity.take_inventory(ended, output)
        for release in self.identity.active(self.store):
            if self.identity.stale(release):
                self._report.stale(release, self.identity.runtimes.get(release.runtime, ""))
        self.info.publish()

    def _status(self) -> dict[str, Any]:
        """The content of ``edge-agent status``."""
        jobs = sorted(self.jobs.values(), key=lambda job: job.created)
        return {
            "device": self.config.device_id,
            "broker": self.config.mqtt.url,
            "connected": self.link.connected,
            "sensors": self.sensors.as_dict(),
            "jobs": [msgspec.to_builtins(job) for job in jobs],
            "active": [msgspec.to_builtins(release) for release in self.identity.active(self.store)],
        }
