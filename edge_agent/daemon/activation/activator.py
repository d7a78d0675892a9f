"""The last stage: takes a job's release through prepared, swapped, hooked, probed, committed; or back out again.

Each step is saved before the next is done, and each can be done twice. The operator's hook and the probe (a fresh
process that loads the release and runs it on captured data) run as children. If either refuses, the previous release
is active again and the hook is told.
"""

from collections.abc import Iterator

import msgspec

from edge_agent.daemon.activation.hook import Hook
from edge_agent.daemon.activation.release_steps import chosen_model, make_release
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.daemon.workers import Workers
from edge_agent.errors import StoreError
from edge_agent.execution.run import StageEnd
from edge_agent.foreign.removal import remove
from edge_agent.jobs.job import ActivationStep, Event, Job, StageFailed, Stepped, advance, next_step
from edge_agent.state.clock import Clock
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store


class Activator:
    """The work of the stage ``activate``; see :class:`edge_agent.daemon.job_flow.StageWork`."""

    def __init__(self, store: Store, ledger: JobLedger, clock: Clock, hook: Hook, workers: Workers) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._hook = hook
        self._workers = workers

    def ready(self, job: Job) -> bool:
        """Whether the probe would have the processor for itself."""
        return self._workers.ready(job)

    def start(self, job: Job) -> Iterator[Event]:
        """Go on from the step that is saved.

        After a boot the release may have been taken out again, with no time left to report it: then it is put in
        once more, and hook and probe judge it once more.
        """
        if job.step not in (None, ActivationStep.PREPARED):
            releases = Releases(self._store.models, job.model)
            release = releases.read(job.release)
            if release is None:
                raise StoreError("release_corrupt", f"{releases.path(job.release)} cannot be read; check the SD card")
            releases.verify(release)
            releases.swap(job.release)
        yield from self._next_steps(job)

    def ended(self, job: Job, end: StageEnd) -> Iterator[Event]:
        """The hook or the probe has ended, whichever the next step needs."""
        step = next_step(job)
        if end.status == "ok":
            event = Stepped(step, seconds=end.seconds)
            yield event
            yield from self._next_steps(advance(job, event))
        else:
            refused = step is ActivationStep.HOOKED
            yield self._back_out(job, end.message if refused else f"the release did not run: {end.message}")

    def stop(self, job: Job) -> None:
        """Put the previous release back and tell the hook, if the job has ended with its own one active on trial."""
        if job.step in (None, ActivationStep.COMMITTED):
            return
        releases = Releases(self._store.models, job.model)
        current = releases.active()
        if current is not None and current.name == job.release and (back := releases.withdraw(current)):
            self._hook.tell(releases.path(back))

    def _next_steps(self, job: Job) -> Iterator[Event]:
        """Do the steps after the one that is saved, until one waits for a child."""
        releases = Releases(self._store.models, job.model)
        while not job.ended:
            event = Stepped(next_step(job))
            match event.step:
                case ActivationStep.PREPARED:
                    event = Stepped(ActivationStep.PREPARED, self._prepare(job, releases))
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

    def _prepare(self, job: Job, releases: Releases) -> str:
        """Put the release on disk; returns its name."""
        manifest, result = self._ledger.manifest(job), self._ledger.result(job)
        model = chosen_model(self._store.work_dir(job.id), manifest, use_float=bool(job.code))
        release = make_release(job, manifest, model, result, previous=releases.active(), now=self._clock.now())
        releases.prepare(release, model, self._store.manifest(job.id), msgspec.json.encode(result))
        return release.name

    def _link_release(self, job: Job, releases: Releases) -> None:
        """Show the probe which release it is about."""
        link = self._store.work_dir(job.id) / "release"
        remove(link)
        link.symlink_to(releases.path(job.release))

    def _back_out(self, job: Job, problem: str) -> StageFailed:
        """Put the previous release back; the job ends with the reason."""
        self.stop(job)
        active = Releases(self._store.models, job.model).active()
        now = f"{active.name} is active again" if active else "nothing is active"
        return StageFailed("activation_failed", f"{problem}; {now}")
