"""The story of the daemon: events come in, jobs go on, what became of them is said.

One consumer calls :meth:`Agent.handle` for each event and :meth:`Agent.tick` in between; there are no locks. A job's
new state is saved before it is acted on (:meth:`Agent.apply`); what is published is a view of that state, so a lost
message loses nothing. Nothing here knows numpy, a runtime or a model format: stages run as children, whose threads
only put events into the inbox.
"""

import itertools
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from edge_agent.daemon.activation.activator import Activator
from edge_agent.daemon.admission.admission import Admission
from edge_agent.daemon.admission.rules import Want, check_limits
from edge_agent.daemon.commands import Commands
from edge_agent.daemon.control_socket import ControlRequest
from edge_agent.daemon.device_info import Identity
from edge_agent.daemon.events import ChildEnded, SensorSaid, StageEnded, StageProgress
from edge_agent.daemon.housekeeping import Housekeeper
from edge_agent.daemon.job_ledger import Ledger
from edge_agent.daemon.publisher import Publisher
from edge_agent.daemon.sensor_processes import Sensors
from edge_agent.daemon.transfer.transfers import Receiving
from edge_agent.errors import BrokerError, EdgeAgentError
from edge_agent.execution.launcher import Stages
from edge_agent.execution.run import StageEnd, StageRun
from edge_agent.jobs.job import (
    Ended,
    Event,
    Interrupted,
    Job,
    Paused,
    Progressed,
    StageFailed,
    StageRefused,
    StageSucceeded,
    Started,
    Step,
    cancelable,
    runnable,
)
from edge_agent.jobs.task import Stage
from edge_agent.mqtt import Connected, Disconnected, Incoming, Link, SubscribeFailed
from edge_agent.mqtt import Event as LinkEvent
from edge_agent.process.child import ChildExit
from edge_agent.settings.device import Config
from edge_agent.state.clock import Clock
from edge_agent.state.releases import Release, Releases
from edge_agent.state.store import Store
from edge_agent.wire.timestamps import parse_rfc3339
from edge_agent.wire.topics import CommandTopic

log = logging.getLogger(__name__)

InboxEvent = LinkEvent | StageProgress | StageEnded | ChildEnded | SensorSaid | ControlRequest
Put = Callable[[InboxEvent], None]


class Agent:
    """Owns the jobs of this device. Used from one thread: the inbox's consumer."""

    def __init__(self, config: Config, store: Store, link: Link, put: Put, clock: Clock, identity: Identity) -> None:
        self.config = config
        self.store = store
        self.link = link
        self.put = put
        self.clock = clock
        self.identity = identity
        self.publisher = Publisher(link, config.topics, config.device_id, clock, identity.boot_id)
        self.ledger = Ledger(store, self.publisher)
        self.jobs = self.ledger.jobs
        self.sensors = Sensors(config, put)
        self._runs: dict[int, tuple[str, StageRun]] = {}
        self._run_ids = itertools.count(1)
        self._stages = Stages(config)
        self._receiving = Receiving(store.blobs, link, config.topics, self.publisher.need, config.device_id)
        self._admission = Admission(self)
        self._activator = Activator(self)
        self._commands = Commands(self)
        self._housekeeper = Housekeeper(self)

    # What comes in.

    def boot(self) -> None:
        """Load every job and carry on: whatever ran when the power failed is run again."""
        self.ledger.load()
        with self._alive("checking releases"):
            self._housekeeper.check_releases()
        for job in list(self.jobs.values()):
            with self._alive(f"resuming job {job.id}"):
                self._resume(job)
        with self._alive("housekeeping"):
            self._housekeeper.collect()
        with self._alive("schedule"):
            self._schedule()

    def _resume(self, job: Job) -> None:
        if job.ended:
            if self.store.report(job.id) is None:  # the power failed between its end and its report
                self._finish(job)
            return
        with self.blamed(job.id):
            self.ledger.manifest(job)
            self.ledger.remember(job)
            self._supersede(job)
            self.apply(job.id, Interrupted())

    def handle(self, event: InboxEvent) -> None:
        """Deal with one event, then start whatever can be started. Nothing that an event does ends the daemon."""
        with self._alive(type(event).__name__):
            try:
                self._dispatch(event)
            finally:
                if isinstance(event, Incoming):
                    self.link.ack(event)
        with self._alive("schedule"):
            self._schedule()

    def tick(self) -> None:
        """What time alone brings: expiry, a silent transfer, the saved clock."""
        for due in (
            self._expire,
            self._receiving.tick,
            self._settle_transfers,
            self._admission.tick,
            self.publisher.tick,
            self.ledger.save_ended,
            self.clock.save,
            self._schedule,
        ):
            with self._alive(due.__name__):
                due()

    def _expire(self) -> None:
        now = self.clock.now()
        for job in list(self.jobs.values()):
            if job.expires and job.expires <= now and cancelable(job):
                self.end(job.id, Ended("expired", "the manifest expired before the job ended; push again"))

    @contextmanager
    def _alive(self, what: str) -> Iterator[None]:
        """Let nothing that goes wrong in ``what`` end the daemon: others' jobs go on, what is active stays active."""
        try:
            yield
        except EdgeAgentError as error:
            log.error("%s", error)  # noqa: TRY400  # an expected end: code and sentence say it all
        except Exception:
            log.exception("internal: %s", what)

    @contextmanager
    def blamed(self, job_id: str) -> Iterator[None]:
        """End the job if anything goes wrong inside: it must not wait for ever for what will not come."""
        try:
            yield
        except EdgeAgentError as error:
            self.apply(job_id, StageFailed(error.code, error.message))
        except Exception as error:
            stage = self.jobs[job_id].stage
            log.exception("internal: %s of job %s", stage, job_id)
            self.apply(job_id, StageFailed("internal", f"{stage} failed here: {error!r}; see the log"))

    def stop(self) -> None:
        """End cleanly: nothing that runs is counted against its job."""
        for job in list(self.jobs.values()):
            if job.running:
                self.apply(job.id, Paused())
        for _, run in self._runs.values():
            run.stop()
        self.sensors.stop()  # they put on disk what they keep while the runs end
        for _, run in self._runs.values():
            run.join(10.0)
        self.sensors.join()
        self.clock.save(force=True)
        with suppress(BrokerError):  # without a broker nobody is told; its will says the same
            self.publisher.status(online=False).wait(2.0)

    def _dispatch(self, event: InboxEvent) -> None:
        match event:
            case Incoming():
                self._on_message(event)
            case StageProgress(run, fraction, detail, eta_s):
                if run in self._runs:
                    self.apply(self._runs[run][0], Progressed(fraction, detail, eta_s))
            case StageEnded(run, end):
                job_id, _ = self._runs.pop(run)
                self._on_stage_end(job_id, end)
            case ChildEnded(then, ended, output):
                then(ended, output)
            case SensorSaid():
                if self.sensors.note(event):
                    self.say_info()
            case ControlRequest():
                self._commands.control(event)
            case Connected(protocol=protocol):
                log.info("connected to %s with MQTT %s", self.config.mqtt.url, protocol)
                self._on_connected()
            case Disconnected():  # the link has said why
                self._receiving.disconnected()
            case SubscribeFailed(filters, reason):
                log.error("broker_refused: subscription to %s: %s; check the ACL", ", ".join(filters), reason)

    def _on_connected(self) -> None:
        for scope in self.config.scopes:
            self.link.subscribe(*self.config.topics.orders(scope))
        self.publisher.status()
        with self._alive("info"):
            self.say_info()
        for job in sorted(self.jobs.values(), key=lambda job: job.created):
            with self._alive(f"report of job {job.id}"):
                self.ledger.republish(job.id)
        self._receiving.connected()

    def _on_message(self, message: Incoming) -> None:
        if self._receiving.message(message):
            self._settle_transfers()
        else:
            self._admission.message(message)

    # A job's way.

    def accept(self, want: Want, *, job_id: str = "") -> None:
        """Start the job of a trusted want; a newer version supersedes the model's older jobs."""
        manifest = want.manifest
        job = Job(
            id=job_id or want.job,
            model=manifest.name,
            version=manifest.version,
            digest=want.digest,
            scope=str(want.topic.scope),
            created=self.clock.now(),
            expires=parse_rfc3339(manifest.expires) or 0.0,
        )
        self.ledger.add(job, want.content)
        log.info("job %s: %s %d from %s", job.id, job.model, job.version, job.scope)
        self._supersede(job)
        self.publisher.forget_refusal(job.model)
        self.say_info()

    def _supersede(self, job: Job) -> None:
        """End the older jobs of the model, now that this one is on disk: what they have fetched may serve it."""
        for other in list(self.jobs.values()):
            older = (other.created, other.version) < (job.created, job.version)
            if other.model == job.model and older and cancelable(other):
                self.end(other.id, Ended("superseded", f"version {job.version} of {job.model} arrived"))

    def apply(self, job_id: str, event: Event) -> Job:
        """Let ``event`` change a job: saved, said, and if it ends, tidied up. Returns the job as it is now."""
        ended_before = self.jobs[job_id].ended
        job = self.ledger.apply(job_id, event)
        if job.ended and not ended_before:
            self._finish(job)
        return job

    def end(self, job_id: str, event: Ended) -> None:
        """End a job from outside, and whatever runs for it."""
        for owner, run in self._runs.values():
            if owner == job_id:
                run.stop()
        self.apply(job_id, event)

    def run_stage(self, job: Job) -> None:
        """Start the worker of the stage that ``job`` is in."""
        number = next(self._run_ids)
        manifest = self.ledger.manifest(job)
        run = self._stages.start(
            job,
            manifest,
            self.store.job_dir(job.id),
            self.store.blobs,
            on_progress=lambda fraction, detail, eta_s: self.put(StageProgress(number, fraction, detail, eta_s)),
            on_end=lambda end: self.put(StageEnded(number, end)),
        )
        self._runs[number] = (job.id, run)

    def _schedule(self) -> None:
        for job in runnable(self.jobs.values()):
            with self.blamed(job.id):
                if not self._must_wait(job) and not (started := self.apply(job.id, Started())).ended:
                    self._start(started)

    def _must_wait(self, job: Job) -> bool:
        """Whether something of ours still holds what the stage needs.

        A worker that was told to stop has its sensor and the processor until it has ended; and a sensor that is not
        shared has one reader, so captures of several models from one source follow each other.
        """
        if job.stage is Stage.RECEIVE:
            return False
        owners = [self.jobs.get(owner) for owner, _ in self._runs.values()]
        return any(
            owner is None
            or owner.ended
            or (job.stage is owner.stage is Stage.CAPTURE and not self._sources(job).isdisjoint(self._sources(owner)))
            for owner in owners
        )

    def _sources(self, job: Job) -> set[str]:
        """The sensors that only one may read."""
        named = {contract.source for contract in self.ledger.manifest(job).inputs if contract.source}
        return named.difference(self.sensors.names)

    def _start(self, job: Job) -> None:
        match job.stage:
            case Stage.RECEIVE:
                manifest = self.ledger.manifest(job)
                free = shutil.disk_usage(self.store.root).free
                check_limits(manifest, self.config.limits.max_model_bytes, free, self.identity.formats)
                self._receiving.start(manifest.blobs)
                self._settle_transfers()
            case Stage.ACTIVATE:
                self._activator.begin(job)
            case _:
                self.run_stage(job)

    def _settle_transfers(self) -> None:
        """Let jobs go on whose blobs are complete, fail those that want one which cannot be had."""
        for job in list(self.jobs.values()):
            if job.stage is Stage.RECEIVE and job.running and not job.ended:
                state = self._receiving.state(self.ledger.manifest(job).blobs)
                if state.error is not None:
                    self.apply(job.id, StageFailed(state.error.code, state.error.message))
                elif state.complete:
                    self.apply(job.id, StageSucceeded(self.clock.now() - job.created))
                else:
                    self.apply(job.id, Progressed(state.fraction, state.detail))
        self._stop_unwanted_transfers()

    def _stop_unwanted_transfers(self) -> None:
        receiving = [job for job in self.jobs.values() if job.stage is Stage.RECEIVE and not job.ended]
        self._receiving.stop_unwanted({blob.sha256 for job in receiving for blob in self.ledger.manifest(job).blobs})

    def _on_stage_end(self, job_id: str, end: StageEnd) -> None:
        job = self.jobs.get(job_id)
        self.ledger.stage_ended(job_id)
        if job is None:
            return
        if job.ended:
            self._housekeeper.retire(job)  # what its worker wrote while it was being stopped
            return
        if end.status == "stopped":
            return
        with self.blamed(job_id):
            self._go_on(job, end)

    def _go_on(self, job: Job, end: StageEnd) -> None:
        if job.stage is Stage.ACTIVATE:
            self._activator.probed(job, end)
        elif end.status == "ok":
            self.apply(job.id, StageSucceeded(end.seconds))
        elif end.status == "rejected":
            nothing_active = Releases(self.store.models, job.model).active() is None
            use_float = self.config.activation.on_rejected == "float" and nothing_active
            self.apply(job.id, StageRefused(end.code, end.message, end.seconds, use_float))
        else:
            self.apply(job.id, StageFailed(end.code, end.message, end.seconds, end.retryable))

    def _finish(self, job: Job) -> None:
        """A job has ended: put back what was active, keep and say its report, delete what it no longer needs.

        Only then: until its report is on disk, what its stages left is all there is to make it from again.
        """
        if job.step not in (None, Step.COMMITTED):
            with self._alive("taking the release out"):
                self._activator.take_out(job)
        message = self.ledger.conclude(job)
        level = logging.INFO if job.code == "accepted" else logging.WARNING
        log.log(level, "job %s: %s %d %s: %s: %s", job.id, job.model, job.version, job.status, job.code, message)
        with self._alive("housekeeping"):
            self._stop_unwanted_transfers()
            self._housekeeper.retire(job)
        self.ledger.save_ended()
        self.say_info()

    # What its parts ask of it.

    def command(self, topic: CommandTopic, content: bytes) -> None:
        """Obey a trusted command."""
        self._commands.remote(topic, content)

    def roll_back(self, model: str, then: Callable[[Release, str], None]) -> None:
        """Make the previous release active; see :meth:`Activator.roll_back`."""
        self._activator.roll_back(model, then)

    def tell_hook(self, model: str, name: str) -> None:
        """Run the operator's hook on a release that is active again."""
        self._activator.tell_hook(Releases(self.store.models, model), name)

    def take_inventory(self, ended: ChildExit, output: str) -> None:
        """The inventory child has ended: say what it found."""
        self.identity.take_inventory(ended, output)
        self.say_info()

    def say_info(self) -> None:
        """Publish what this device is and has."""
        self.publisher.info(self.identity.info(self.config, self.store, self.sensors.as_dict()))
