"""The course of a job on this device: accepted, run stage by stage, ended.

    accept ─► schedule ─► start of a stage ─► apply its events ─► schedule the next stage ─► … ─► finish
                              │ a child runs                ▲
                              └─► inbox ─► stage_ended ─────┘

Every change of a job goes through :meth:`JobFlow.apply`: the new state is saved, then published, and only then acted
on. :mod:`edge_agent.jobs.job` defines which state follows which event. The :class:`StageWork` of a stage does its work;
it returns events and changes no job itself.

The flow has no state of its own: the ledger holds the jobs, the stages hold what runs and arrives. So a boot is no
special case: a stage that a power cut interrupted is started again.
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
    """The work of one or several stages.

    Each event that it yields is saved before the next one is requested. After the job has ended, no more are requested.
    Any error that it raises ends the job.
    """

    def ready(self, job: Job) -> bool:
        """Whether everything that the stage needs is free."""
        ...

    def start(self, job: Job) -> Iterable[Event]:
        """Start or restart the stage.

        If it then waits for a child or for chunks, the events end before the stage does.
        """
        ...

    def ended(self, job: Job, end: StageEnd) -> Iterable[Event]:
        """Handle the end of the child that the stage waited for."""
        ...

    def stop(self, job: Job) -> None:
        """Stop what still runs for an ended job, and undo what is unfinished."""
        ...


class JobFlow:
    """Moves every job of this device forward. Used from the consumer only."""

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
        """Both callbacks are called for each ended job; an error in them does not prevent its report.

        ``on_conclusion`` also gets the job's sentence. It is called before the report is on disk, so it is called again
        after a crash. ``on_end`` is called last, possibly more than once.
        """
        self._ledger = ledger
        self._stages = stages
        self._clock = clock
        self._info = info
        self._on_end = on_end
        self._on_conclusion = on_conclusion

    # The start of a job.

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
        """Continue every job after a boot."""
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
        """End the model's older jobs; only after this one is on disk, as it may use what they have fetched."""
        for other in list(self._ledger.jobs.values()):
            older = (other.created, other.version) < (job.created, job.version)
            if other.model == job.model and older and cancelable(other):
                self.apply(other.id, Ended("superseded", f"version {job.version} of {job.model} arrived"))

    # Its progress.

    def schedule(self) -> None:
        """Start every stage that can be started now."""
        for job in runnable(self._ledger.jobs.values()):
            with self._blamed(job.id):
                stage = self._stages[job.stage]
                if stage.ready(job) and not (started := self.apply(job.id, Started())).ended:
                    self._carry_out(job.id, stage.start(started))

    def apply(self, job_id: str, event: Event) -> Job:
        """Apply ``event`` to a job: save it, publish it, and clean up if it has ended. Returns the job's new state."""
        ended_before = self._ledger.jobs[job_id].ended
        job = self._ledger.apply(job_id, event)
        if job.ended and not ended_before:
            self._finish(job)
        return job

    def stage_ended(self, job_id: str, end: StageEnd) -> None:
        """Handle the end of the child that a job's stage waited for: a worker, or the operator's hook."""
        self._ledger.stage_ended(job_id)
        job = self._ledger.jobs.get(job_id)
        if job is None:
            return
        if job.ended:
            self._tidy_up(job)  # its worker may have written files while it was being stopped
        elif end.status != "stopped":
            with self._blamed(job_id):
                self._carry_out(job_id, self._stages[job.stage].ended(job, end))

    def _carry_out(self, job_id: str, events: Iterable[Event]) -> None:
        for event in events:
            if self.apply(job_id, event).ended:
                return

    @contextmanager
    def _blamed(self, job_id: str) -> Iterator[None]:
        """End the job on any error inside, as otherwise it would wait for ever."""
        try:
            yield
        except EdgeAgentError as error:
            self.apply(job_id, StageFailed(error.code, error.message))
        except Exception as error:
            stage = self._ledger.jobs[job_id].stage
            log.exception("internal: %s of job %s", stage, job_id)
            self.apply(job_id, StageFailed("internal", f"{stage} failed here: {error!r}; see the log"))

    # Its end.

    def expire(self) -> None:
        """End the jobs whose manifest has expired."""
        now = self._clock.now()
        for job in list(self._ledger.jobs.values()):
            if job.expires and job.expires <= now and cancelable(job):
                self.apply(job.id, Ended("expired", f"the manifest expired before the job ended; {self._clock.told()}"))

    def pause(self) -> None:
        """Pause running jobs for a clean stop, which does not count as a failed attempt."""
        for job in list(self._ledger.jobs.values()):
            if job.running:
                self.apply(job.id, Paused())

    def _finish(self, job: Job) -> None:
        """Stop an ended job's work, store and publish its report, then delete its data.

        The order matters: until the report is on disk, it can be made again only from the stages' data. A full disk is
        the
        exception: the report then waits in memory for the room that the deletion makes.
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
        self._ledger.save_ended()  # again: the deletion has made room on a full disk
        self._info.publish()

    def _tidy_up(self, job: Job) -> None:
        for hook in self._on_end:
            with contained(f"tidying up after job {job.id}"):
                hook(job)
