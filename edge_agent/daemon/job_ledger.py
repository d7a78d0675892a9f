"""The jobs of this device, kept equal in memory, on disk and on the broker, and never published before they are saved.

It holds no rules and starts nothing: :mod:`edge_agent.jobs.job` decides how an event changes a job, and
:mod:`edge_agent.daemon.job_flow` acts on it. On a full disk an ended job is published first, and stored later.
"""

import logging

import msgspec

from edge_agent.daemon.faults import contained
from edge_agent.daemon.publisher import Publisher
from edge_agent.errors import LimitError, StoreError, WireError
from edge_agent.jobs.conclusion import conclude
from edge_agent.jobs.job import ActivationStep, Event, Job, Progressed, StageFailed, advance
from edge_agent.jobs.outcome import read_result
from edge_agent.jobs.result import Result
from edge_agent.state.releases import Releases
from edge_agent.state.store import ModelRecord, Store
from edge_agent.wire.manifest import Manifest, decode_manifest
from edge_agent.wire.messages import JobReport, decode
from edge_agent.wire.timestamps import parse_rfc3339

log = logging.getLogger(__name__)

_MOMENT_S = 0.001


class JobLedger:
    """Owns the jobs. Used from the consumer only."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self.jobs: dict[str, Job] = {}
        self.models: set[str] = set()
        """The names under which a version was accepted."""
        self.changed: set[str] = set()
        """Models whose jobs have changed since the reader last cleared this set."""
        self._store = store
        self._publisher = publisher
        self._manifests: dict[str, Manifest] = {}
        self._results: dict[str, Result] = {}
        self._unsaved: dict[str, bytes] = {}
        """Ended job → its report, until the disk has room for both."""
        self._asked: set[str] = set()
        """Jobs whose report was requested again."""

    def load(self) -> None:
        """Read every job from disk."""
        self._store.separate_work()
        self.jobs.update((job.id, job) for job in self._store.load_jobs())
        self.models = {model for model, record in self._store.records().items() if record.version}

    def add(self, job: Job, manifest: bytes) -> None:
        """Save a new job, then publish it; raises ``LimitError`` (no_space), and nothing has changed then.

        It also clears an earlier refusal under its model's name.
        """
        self._store.create(job, manifest)
        self.jobs[job.id] = job
        self.changed.add(job.model)
        self.remember(job)
        self.publish(job)
        self._publisher.forget_refusal(job.model)

    def remember(self, job: Job) -> None:
        """Store the highest accepted version; also at boot, as the power may fail between saving the job and this."""
        record = self._store.record(job.model)
        again = record is not None and job.digest == record.digest and record.status != ""  # a recalibration
        over = record is not None and self._created(job) < record.forgotten  # a recalibration of a forgotten name
        if not over and (record is None or job.version > record.version or again):
            forgotten = record.forgotten if record is not None else 0.0
            accepted = ModelRecord(
                version=job.version, digest=job.digest, job=job.id, scope=job.scope,
                created=self._created(job), forgotten=forgotten,
            )  # fmt: skip
            self._store.save_record(job.model, accepted)
            self.models.add(job.model)

    def apply(self, job_id: str, event: Event) -> Job:
        """Apply ``event`` to a job: saved first, then published, except for its end. Returns the new state."""
        before = self.jobs[job_id]
        job = advance(before, event)
        if job is before or job == before:
            return job
        progress_only = isinstance(event, Progressed)
        if not progress_only:
            job = self._save(job)
        self.jobs[job_id] = job
        self.changed.add(job.model)
        if not job.ended:
            self.publish(job, progress_only=progress_only)
        return job

    def conclude(self, job: Job) -> str:
        """Make and publish the last report of an ended job, which is saved next; returns its sentence."""
        result = conclude(self._store.work_dir(job.id), job.code, job.message, job.seconds)
        self._results[job.id] = result
        self._manifests.pop(job.id, None)
        activated = job.step is ActivationStep.COMMITTED
        release = str(Releases(self._store.models, job.model).path(job.release)) if activated else ""
        self._unsaved[job.id] = self._publisher.report(job, result, release=release)
        return result.message

    def save_ended(self) -> None:
        """Save the jobs that ended while the disk was full or unreadable; those that fail are tried again later."""
        for job_id, report in list(self._unsaved.items()):
            try:
                self._store.save(self.jobs[job_id])
                self._keep_record(self.jobs[job_id])
                self._store.save_report(job_id, report)
            except (LimitError, StoreError) as error:
                log.debug("%s", error)
                return
            del self._unsaved[job_id]
            self._results.pop(job_id, None)

    def forget(self, job_id: str) -> None:
        """Delete an old job, and its report on the broker."""
        self._store.forget(job_id)
        if job_id in self.jobs:
            self.changed.add(self.jobs[job_id].model)
        self._publisher.republish(job_id, b"")
        self._asked.discard(job_id)
        for kept in (self.jobs, self._manifests, self._results, self._unsaved):
            kept.pop(job_id, None)

    def forget_model(self, model: str, now: float) -> None:
        """Forget a model name: delete its ended jobs and their reports, and invalidate wants created before ``now``.

        A second call, with nothing accepted in between, corrects a date far ahead that a wrong clock has left.
        """
        record = self._store.record(model)
        kept = record.forgotten if record is not None and (record.version or not record.dated_ahead(now)) else 0.0
        until = max(now, kept)
        # A clock ahead of this one may have dated the accepted versions, which must not be accepted again.
        made = [record.created] if record is not None else []
        for job in [job for job in self.jobs.values() if job.model == model and job.ended]:
            with contained(f"the manifest of job {job.id}"):
                made.append(self._created(job))
            self.forget(job.id)
        until = max([until, *(one + _MOMENT_S for one in made)])
        self._store.save_record(model, ModelRecord(version=0, digest="", job="", scope="", forgotten=until))
        self.models.discard(model)
        self.changed.add(model)
        self._publisher.forget_refusal(model)

    def active_release(self, model: str, digest: str) -> str:
        """The folder of a model's active release, if it was made from this manifest; otherwise empty."""
        releases = Releases(self._store.models, model)
        active = releases.active()
        return str(releases.path(active.name)) if active is not None and active.digest == digest else ""

    def manifest(self, job: Job) -> Manifest:
        """The manifest of a job; raises ``StoreError`` or ``WireError`` if its file is broken."""
        if job.id not in self._manifests:
            self._manifests[job.id] = decode_manifest(self._store.manifest(job.id))
        return self._manifests[job.id]

    def record(self, model: str) -> ModelRecord | None:
        """The record of a model name's last accepted version, or None."""
        return self._store.record(model)

    def result(self, job: Job) -> Result:
        """A job's result object, as far as its stages have filled it."""
        if job.id not in self._results:
            found = read_result(self._store.work_dir(job.id))
            self._results[job.id] = msgspec.structs.replace(found, seconds=job.seconds)
        return self._results[job.id]

    def sentence(self, job: Job) -> str:
        """The last sentence of a job's report; empty if the report is damaged.

        ``StoreError`` if it is unreadable now.
        """
        if job.message or not job.ended:
            return job.message
        if job.id in self._unsaved:
            return self.result(job).message
        report = self._store.report(job.id)
        try:
            return decode(report, JobReport).message if report else ""
        except WireError:  # damaged on disk for good
            return ""

    def stage_ended(self, job_id: str) -> None:
        """Read the result object again at its next use, as the stage may have changed it."""
        self._results.pop(job_id, None)

    def publish(self, job: Job, *, progress_only: bool = False) -> None:
        """Publish the state of an active job."""
        if not progress_only or self._publisher.report_due(job.id):
            self._publisher.report(job, self.result(job))

    def reported(self, job: Job) -> bool:
        """Whether the last report of an ended job is on disk."""
        return self._store.report(job.id) is not None

    def answer(self, job_id: str) -> None:
        """Publish a job's report again because its want arrived again.

        The rate is at most one per second, as anybody may resend the want.
        """
        self._asked.add(job_id)
        self.answer_due()

    def answer_due(self) -> None:
        """Publish the requested reports that may be published again by now."""
        due = {job_id for job_id in self._asked if self._publisher.report_due(job_id)}
        self._asked -= due
        for job_id in due:
            with contained(f"report of job {job_id}"):
                self.republish(job_id)

    def republish(self, job_id: str) -> None:
        """Publish a job's report again; an ended job's report as it was stored."""
        job = self.jobs.get(job_id)
        if job is None:
            return
        report = self._store.report(job_id) if job.ended else None
        if report is not None:
            self._publisher.republish(job_id, report)
        else:
            self.publish(job)

    def _save(self, job: Job) -> Job:
        """Save a job. A full disk ends the job, as no step may be taken that is not saved first."""
        try:
            self._store.save(job)
        except LimitError as error:
            log.error("%s", error)  # noqa: TRY400  # the sentence says it all
            return advance(job, StageFailed(error.code, error.message))
        return job

    def _created(self, job: Job) -> float:
        return parse_rfc3339(self.manifest(job).created) or 0.0

    def _keep_record(self, job: Job) -> None:
        record = self._store.record(job.model)
        if record is not None and record.job == job.id:
            withdrawn = record.withdrawn or job.code == "canceled"
            ended = msgspec.structs.replace(record, status=str(job.status), code=job.code, withdrawn=withdrawn)
            self._store.save_record(job.model, ended)
