"""The last stage: takes a job's release through prepared, swapped, hooked, probed and committed, or backs it out.

Each step is saved before the next one starts, and each can be repeated. Hashing, copying and syncing a model takes
minutes on a slow card, so this work runs in the background. The operator's hook and the probe (a fresh process that
loads the release and runs it on captured data) run as children. If either rejects the release, the activator restores
the previous release and notifies the hook.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec

from edge_agent.daemon.activation.hook import Hook
from edge_agent.daemon.activation.release_steps import chosen_form, chosen_model, make_release, previous_of
from edge_agent.daemon.background import work_in_background
from edge_agent.daemon.events import StepEnded
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.daemon.workers import Workers
from edge_agent.errors import EdgeAgentError, StoreError
from edge_agent.execution.run import StageEnd
from edge_agent.foreign.removal import remove
from edge_agent.jobs.job import ActivationStep, Event, Job, StageFailed, Stepped, advance, next_step
from edge_agent.state.clock import Clock
from edge_agent.state.model_file import ModelFile
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store

log = logging.getLogger(__name__)


class Activator:
    """The work of the stage ``activate``; see :class:`edge_agent.daemon.job_flow.StageWork`."""

    def __init__(
        self,
        store: Store,
        ledger: JobLedger,
        clock: Clock,
        hook: Hook,
        workers: Workers,
        put: Callable[[StepEnded], None],
        on_taken_back: Callable[[Release, str], None],
    ) -> None:
        """``on_taken_back`` is called with a release that failed its trial, and a sentence naming the active one."""
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._hook = hook
        self._workers = workers
        self._put = put
        self._on_taken_back = on_taken_back
        self._verifying: set[str] = set()
        """Jobs whose release is verified again before it becomes active again."""

    def ready(self, job: Job) -> bool:
        """Whether the probe would have the processor to itself."""
        return self._workers.ready(job)

    def start(self, job: Job) -> Iterator[Event]:
        """Resume from the saved step.

        A shutdown may have withdrawn the release before the failure was reported. The release is then verified and made
        active again, and hook and probe judge it again.
        """
        if job.step not in (None, ActivationStep.PREPARED):
            releases = Releases(self._store.models, job.model)
            release = releases.read(job.release)
            if release is None:
                raise StoreError("release_corrupt", f"{releases.path(job.release)} cannot be read; check the SD card")
            self._verifying.add(job.id)
            self._in_background(job, partial(_verified, releases, release))
            return
        yield from self._next_steps(job)

    def ended(self, job: Job, end: StageEnd) -> Iterator[Event]:
        """Handle the end of what the next step waits for: work on the disk, the hook, or the probe."""
        step = next_step(job)
        if job.id in self._verifying:
            self._verifying.discard(job.id)
            if end.status == "ok":
                Releases(self._store.models, job.model).swap(job.release)
                yield from self._next_steps(job)
            else:
                yield StageFailed(end.code, end.message)
        elif step is ActivationStep.PREPARED:
            yield from self._prepared(job, end)
        elif end.status == "ok":
            event = Stepped(step, seconds=end.seconds)
            yield event
            yield from self._next_steps(advance(job, event))
        else:
            refused = step is ActivationStep.HOOKED
            yield self._back_out(job, end.message if refused else f"the release did not run: {end.message}")

    def stop(self, job: Job) -> None:
        """Restore the previous release and notify the hook, if the job ended while its own release was on trial."""
        if job.step in (None, ActivationStep.COMMITTED):
            return
        releases = Releases(self._store.models, job.model)
        current = releases.active()
        if current is not None and current.name == job.release and (back := releases.withdraw(current)):
            self._on_taken_back(current, f"{job.model} {job.version} did not pass its trial; {back} is active again")
            self._hook.tell(releases.path(back))

    def _next_steps(self, job: Job) -> Iterator[Event]:
        """Run the steps after the saved one, until one waits for background work or a child."""
        releases = Releases(self._store.models, job.model)
        while not job.ended:
            event = Stepped(next_step(job))
            match event.step:
                case ActivationStep.PREPARED:
                    self._in_background(job, self._preparation(job, releases))
                    return
                case ActivationStep.SWAPPED:
                    releases.swap(job.release)
                case ActivationStep.HOOKED if self._hook.configured:
                    self._hook.judge(job.id, releases.path(job.release))
                    return
                case ActivationStep.PROBED:
                    self._link_release(job, releases)
                    self._workers.start(job)
                    return
            yield event
            job = advance(job, event)

    def _preparation(self, job: Job, releases: Releases) -> Callable[[], str]:
        """A function that writes the release to disk and returns its name; the ledger is read now, not when it runs.

        A form that cannot be used, or does not fit on the disk, is left out: the release is whole without it.
        """
        folder = self._store.work_dir(job.id)
        manifest, result = self._ledger.manifest(job), self._ledger.result(job)
        content, previous, now = self._store.manifest(job.id), releases.active(), self._clock.now()

        def prepare() -> str:
            model = chosen_model(folder, manifest, use_float=bool(job.code))
            form = chosen_form(folder, manifest, use_float=bool(job.code))
            try:
                return put(model, form)
            except EdgeAgentError as error:
                if not form:
                    raise
                released = put(model, ())  # what is wrong with the model file as well ends the job here
                log.warning(
                    "%s %d is released without its optimised form: %s; its model file answers alike with more memory",
                    job.model, job.version, error.message,
                )  # fmt: skip
                return released

        def put(model: ModelFile, form: Sequence[ModelFile]) -> str:
            release = make_release(job, manifest, model, result, form=form, previous=previous, now=now)
            releases.prepare(release, model, content, msgspec.json.encode(result), form)
            return release.name

        return prepare

    def _prepared(self, job: Job, end: StageEnd) -> Iterator[Event]:
        """Handle the end of the preparation: the release is on disk, or could not be written."""
        if end.status != "ok":
            yield StageFailed(end.code, end.message)
            return
        releases = Releases(self._store.models, job.model)
        release = releases.read(end.message)
        if release is not None and release.previous != previous_of(job, releases.active()):
            # Another release became active meanwhile, by a rollback or because the card damaged the former one. This
            # release would back out to one that was rolled back, or that is no longer stored.
            self._in_background(job, self._preparation(job, releases))
            return
        event = Stepped(ActivationStep.PREPARED, end.message)
        yield event
        yield from self._next_steps(advance(job, event))

    def _in_background(self, job: Job, work: Callable[[], str]) -> None:
        """Run ``work`` on the disk; the stage then ends with the text that it returned, or with its error."""

        def stage_end() -> StageEnd:
            try:
                return StageEnd("", work(), "ok", 0.0)
            except EdgeAgentError as error:
                return StageEnd(error.code, error.message, "failed", 0.0)
            except Exception as error:
                log.exception("internal: %s of job %s", job.stage, job.id)
                return StageEnd("internal", f"{job.stage} failed here: {error!r}; see the log", "failed", 0.0)

        work_in_background(stage_end, self._put, lambda end: StepEnded(job.id, end))

    def _link_release(self, job: Job, releases: Releases) -> None:
        """Link the release into the job's folder, where the probe opens it."""
        link = self._store.work_dir(job.id) / "release"
        remove(link)
        link.symlink_to(releases.path(job.release))

    def _back_out(self, job: Job, problem: str) -> StageFailed:
        """Restore the previous release; returns the job's failure with the reason."""
        self.stop(job)
        active = Releases(self._store.models, job.model).active()
        now = f"{active.name} is active again" if active else "nothing is active"
        return StageFailed("activation_failed", f"{problem}; {now}")


def _verified(releases: Releases, release: Release) -> str:
    """The name of a release whose files still match their hashes; raises ``StoreError`` (release_corrupt)."""
    releases.verify(release)
    return release.name
