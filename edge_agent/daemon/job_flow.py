"""A job's way through this device: accepted, stage after stage, ended.

    accept ─► schedule ─► start of a stage ─► apply its events ─► schedule the next stage ─► … ─► finish
                              │ a child runs                ▲
                              └─► inbox ─► stage_ended ─────┘

Whatever happens to a job goes through :meth:`JobFlow.apply`: its new state is saved, then published, and only then is
it acted on. Which state follows which event is a rule of :mod:`edge_agent.jobs.job`. How a stage does its work is
known to the :class:`StageWork` that was handed in for it; that gives events and changes no job itself.

The flow has no state of its own: the ledger has the jobs, the stages have what runs and what arrives. So a boot is no
special case: what ran when the power failed is started again.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from edge_agent.daemon.admission.rules import Want
from edge_agent.daemon.device_info import InfoPublisher
from edge_agent.daemon.faults import contained
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.errors import EdgeAgentError
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.job import Ended, Event, Interrupted, Job, Paused, StageFailed, Started, cancelable, runnable
from edge_agent.jobs.task import Stage
from edge_agent.state.clock import Clock
from edge_agent.wire.timestamps import parse_rfc3339

log = logging.getLogger(__name__)


class StageWork(Protocol):
    """The work of one stage or of several.

    Each event that it gives is saved before it is asked for the next one. Once the job has ended it is not asked any
    more. Whatever it raises ends the job.
    """

    def ready(self, job: Job) -> bool:
        """Whether nothing of this daemon still holds what the stage needs."""
        ...

    def start(self, job: Job) -> Iterable[Event]:
        """Begin, or begin again. No more events while the stage is not over: it waits for a child, or for chunks."""
        ...

    def ended(self, job: Job, end: StageEnd) -> Iterable[Event]:
        """The child that the stage waited for has ended."""
        ...

    def stop(self, job: Job) -> None:
        """The job has ended in this stage: stop what still runs for it, and take back what is not finished."""
        ...


class JobFlow:
    """Takes every job of this device along. Used from the consumer only."""

    def __init__(
        self,
        ledger: JobLedger,
        stages: Mapping[Stage, StageWork],
        clock: Clock,
        info: InfoPublisher,
        *,
        on_end: Sequence[Callable[[Job], None]] = (),
        on_conclusion: Callable[[Job, str], None] = lambda _job, _message: None,
    ) -> None:
        """What is called with each ended job may not keep it from being told.

        ``on_conclusion`` gets its sentence, too, before its report is on the disk: after a crash it is called again.
        ``on_end`` comes last, maybe more than once.
        """
        self._ledger = ledger
        self._stages = stages
        self._clock = clock
        self._info = info
        self._on_end = on_end
        self._on_conclusion = on_conclusion

    # A job begins.

    def accept(self, want: Want, *, job_id: str = "") -> None:
        """Start the job of a trusted want; a newer version supersedes the model's older jobs."""
        manifest = want.manifest
        job = Job(
            id=job_id or want.job,
            model=manifest.name,
            version=manifest.version,
            digest=want.digest,
            scope=str(want.topic.scope),
            created=self._clock.now(),
            expires=parse_rfc3339(manifest.expires) or 0.0,
        )
        self._ledger.add(job, want.content)
        log.info("job %s: %s %d from %s", job.id, job.model, job.version, job.scope)
        self._supersede(job)
        self._info.publish()

    def resume(self) -> None:
        """Go on with every job after a boot."""
        for job in list(self._ledger.jobs.values()):
            with contained(f"resuming job {job.id}"):
                self._resume(job)

    def _resume(self, job: Job) -> None:
        if job.ended:
            if not self._ledger.reported(job):  # the power failed between its end and its report
                self._finish(job)
            return
        with self._blamed(job.id):
            self._ledger.manifest(job)
            self._ledger.remember(job)
            self._supersede(job)
            self.apply(job.id, Interrupted())

    def _supersede(self, job: Job) -> None:
        """End the older jobs of the model, now that this one is on disk: what they have fetched may serve it."""
        for other in list(self._ledger.jobs.values()):
            older = (other.created, other.version) < (job.created, job.version)
            if other.model == job.model and older and cancelable(other):
                self.apply(other.id, Ended("superseded", f"version {job.version} of {job.model} arrived"))

    # It goes on.

    def schedule(self) -> None:
        """Start every stage that can be started now."""
        for job in runnable(self._ledger.jobs.values()):
            with self._blamed(job.id):
                stage = self._stages[job.stage]
                if stage.ready(job) and not (started := self.apply(job.id, Started())).ended:
                    self._carry_out(job.id, stage.start(started))

    def apply(self, job_id: str, event: Event) -> Job:
        """Let ``event`` change a job: saved, published, and if it ends, tidied up. Returns the job as it is now."""
        ended_before = self._ledger.jobs[job_id].ended
        job = self._ledger.apply(job_id, event)
        if job.ended and not ended_before:
            self._finish(job)
        return job

    def stage_ended(self, job_id: str, end: StageEnd) -> None:
        """The child that a job's stage waited for has ended: a worker, or the operator's hook."""
        self._ledger.stage_ended(job_id)
        job = self._ledger.jobs.get(job_id)
        if job is None:
            return
        if job.ended:
            self._tidy_up(job)  # what its worker wrote while it was being stopped
        elif end.status != "stopped":
            with self._blamed(job_id):
                self._carry_out(job_id, self._stages[job.stage].ended(job, end))

    def _carry_out(self, job_id: str, events: Iterable[Event]) -> None:
        for event in events:
            if self.apply(job_id, event).ended:
                return

    @contextmanager
    def _blamed(self, job_id: str) -> Iterator[None]:
        """End the job if anything goes wrong inside: it must not wait for ever for what will not come."""
        try:
            yield
        except EdgeAgentError as error:
            self.apply(job_id, StageFailed(error.code, error.message))
        except Exception as error:
            stage = self._ledger.jobs[job_id].stage
            log.exception("internal: %s of job %s", stage, job_id)
            self.apply(job_id, StageFailed("internal", f"{stage} failed here: {error!r}; see the log"))

    # It ends.

    def expire(self) -> None:
        """End the jobs whose manifest has expired."""
        now = self._clock.now()
        for job in list(self._ledger.jobs.values()):
            if job.expires and job.expires <= now and cancelable(job):
                self.apply(job.id, Ended("expired", f"the manifest expired before the job ended; {self._clock.told()}"))

    def pause(self) -> None:
        """The daemon stops cleanly: what runs is not counted against its job."""
        for job in list(self._ledger.jobs.values()):
            if job.running:
                self.apply(job.id, Paused())

    def _finish(self, job: Job) -> None:
        """A job has ended: take back what was under way, store and publish its report, then delete what it leaves.

        In this order: until its report is on disk, what its stages left is all there is to make it from again. Only a
        full disk is an exception: there the report waits in memory for the room that deleting makes.
        """
        with contained(f"stopping {job.stage} of job {job.id}"):
            self._stages[job.stage].stop(job)
        message = self._ledger.conclude(job)
        with contained(f"telling of the end of job {job.id}"):
            self._on_conclusion(job, message)
        self._ledger.save_ended()
        level = logging.INFO if job.code == "accepted" else logging.WARNING
        log.log(level, "job %s: %s %d %s: %s: %s", job.id, job.model, job.version, job.status, job.code, message)
        self._tidy_up(job)
        self._ledger.save_ended()  # again: on a full disk there is room now
        self._info.publish()

    def _tidy_up(self, job: Job) -> None:
        for hook in self._on_end:
            with contained(f"tidying up after job {job.id}"):
                hook(job)
