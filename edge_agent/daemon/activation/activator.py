"""Takes a job's release through its activation: prepared, swapped, hooked, probed, committed; or back out again.

Each step is saved before the next is done, and each can be done twice. The operator's hook (from this device's own
configuration, never from a message) and the probe (a fresh process that loads the release and runs it on captured
data) run as children. If either refuses, the previous release is active again and the hook is told.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from edge_agent.daemon.activation.release_steps import (
    HOOK_TIMEOUT_S,
    chosen_model,
    hook_problem,
    make_release,
    roll_back,
)
from edge_agent.daemon.background import run_in_background
from edge_agent.errors import StoreError
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.job import Job, StageFailed, Step, Stepped, next_step
from edge_agent.jobs.task import read_task
from edge_agent.process.child_limits import ChildLimits
from edge_agent.state.releases import Release, Releases

if TYPE_CHECKING:
    from edge_agent.daemon.agent import Agent

log = logging.getLogger(__name__)


class Activator:
    """The agent's hands on releases."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent

    def begin(self, job: Job) -> None:
        """Go on from the step that is saved.

        After a boot the release may have been taken out again, with no time left to say so: then it is put in once
        more, and hook and probe judge it once more.
        """
        if job.step not in (None, Step.PREPARED):
            releases = Releases(self._agent.store.models, job.model)
            release = releases.read(job.release)
            if release is None:
                raise StoreError("release_corrupt", f"{releases.path(job.release)} cannot be read; check the SD card")
            releases.verify(release)
            releases.swap(job.release)
        self.go_on(job)

    def go_on(self, job: Job) -> None:
        """Do the next steps of ``job`` until one has to wait for a child."""
        releases = Releases(self._agent.store.models, job.model)
        while not job.ended:
            match next_step(job):
                case Step.PREPARED:
                    job = self._prepare(job, releases)
                case Step.SWAPPED:
                    releases.swap(job.release)
                    job = self._agent.apply(job.id, Stepped(Step.SWAPPED))
                case Step.HOOKED if self._agent.config.activation.hook:
                    self._hook(releases, job.release, partial(self._hooked, job.id))
                    return
                case Step.HOOKED:
                    job = self._agent.apply(job.id, Stepped(Step.HOOKED))
                case Step.PROBED:
                    self._link_release(job, releases)
                    self._agent.run_stage(job)
                    return
                case Step.COMMITTED:
                    job = self._agent.apply(job.id, Stepped(Step.COMMITTED))

    def probed(self, job: Job, end: StageEnd) -> None:
        """The probe has ended."""
        if end.status == "ok":
            self.go_on(self._agent.apply(job.id, Stepped(Step.PROBED, seconds=end.seconds)))
        else:
            self._back_out(job, f"the release did not run: {end.message}")

    def roll_back(self, model: str, then: Callable[[Release, str], None]) -> None:
        """Make the previous release of ``model`` active; ``then`` gets it and what the hook complained of.

        Raises:
            StoreError: ``not_active``, ``no_previous`` or ``release_corrupt``; nothing has changed then.
        """
        agent = self._agent
        releases = Releases(agent.store.models, model)
        if any(job.model == model and not job.ended and job.step is not None for job in agent.jobs.values()):
            raise StoreError("locked", f"a release of {model} is being activated now; try again when it has ended")
        current, previous = roll_back(agent.store, model)
        log.warning("rolled back %s from %d to %d", model, current.version, previous.version)
        agent.say_info()
        if agent.config.activation.hook:
            self._hook(releases, previous.name, lambda problem: then(previous, problem))
        else:
            then(previous, "")

    def _prepare(self, job: Job, releases: Releases) -> Job:
        agent = self._agent
        folder = agent.store.job_dir(job.id)
        model_file = chosen_model(folder, read_task(folder), use_float=bool(job.code))
        release = make_release(
            job,
            agent.ledger.manifest(job),
            model_file,
            agent.ledger.results(job),
            previous=releases.active(),
            now=agent.clock.now(),
        )
        releases.prepare(
            release, model_file, agent.store.manifest(job.id), msgspec.json.encode(agent.ledger.results(job))
        )
        return agent.apply(job.id, Stepped(Step.PREPARED, release.name))

    def _link_release(self, job: Job, releases: Releases) -> None:
        """Show the probe which release it is about."""
        link = self._agent.store.job_dir(job.id) / "release"
        link.unlink(missing_ok=True)
        link.symlink_to(releases.path(job.release))

    def _hook(self, releases: Releases, name: str, then: Callable[[str], None]) -> None:
        """Run the operator's hook on a release; ``then`` gets "" or what went wrong."""
        argv = [*self._agent.config.activation.hook, str(releases.path(name))]
        limits = ChildLimits(timeout_s=HOOK_TIMEOUT_S)
        run_in_background(argv, limits, self._agent.put, lambda ended, output: then(hook_problem(ended, output)))

    def _hooked(self, job_id: str, problem: str) -> None:
        job = self._agent.jobs.get(job_id)
        if job is None or job.ended:
            return
        with self._agent.blamed(job_id):
            if problem:
                self._back_out(job, problem)
            else:
                self.go_on(self._agent.apply(job_id, Stepped(Step.HOOKED)))

    def _back_out(self, job: Job, problem: str) -> None:
        self.take_out(job)
        active = Releases(self._agent.store.models, job.model).active()
        now = f"{active.name} is active again" if active else "nothing is active"
        self._agent.apply(job.id, StageFailed("activation_failed", f"{problem}; {now}"))

    def take_out(self, job: Job) -> None:
        """Put the previous release back and tell the hook, if the one of ``job`` is active."""
        releases = Releases(self._agent.store.models, job.model)
        current = releases.active()
        if current is not None and current.name == job.release and (back := releases.withdraw(current)):
            self.tell_hook(releases, back)

    def tell_hook(self, releases: Releases, name: str) -> None:
        """Run the operator's hook on a release that is active again; what it says changes nothing."""
        if self._agent.config.activation.hook:
            self._hook(releases, name, lambda problem: log.error("hook on %s: %s", name, problem) if problem else None)
