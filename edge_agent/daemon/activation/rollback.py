"""Rollback by an operator: the previous release becomes active again, and the hook is notified."""

import logging
from collections.abc import Callable
from functools import partial

from edge_agent.daemon.activation.hook import Hook
from edge_agent.daemon.activation.release_steps import roll_back
from edge_agent.daemon.background import work_in_background
from edge_agent.daemon.device_info import InfoPublisher
from edge_agent.daemon.events import WorkEnded
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.errors import EdgeAgentError, StoreError
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store

log = logging.getLogger(__name__)


class Rollback:
    """Rolls models back. No job takes part in a rollback."""

    def __init__(
        self,
        store: Store,
        ledger: JobLedger,
        hook: Hook,
        info: InfoPublisher,
        put: Callable[[WorkEnded], None],
        on_taken_back: Callable[[Release, str], None],
    ) -> None:
        """``on_taken_back`` is called with the release that was rolled back, and a sentence about it."""
        self._store = store
        self._ledger = ledger
        self._hook = hook
        self._info = info
        self._on_taken_back = on_taken_back
        self._put = put

    def run(self, model: str, then: Callable[[Release, str], None], refuse: Callable[[EdgeAgentError], None]) -> None:
        """Make the previous release of ``model`` active, after verifying its hashes in the background.

        Args:
            model: the model's name.
            then: gets the release that is active now, and the hook's complaint, or "".
            refuse: gets ``release_corrupt``, ``state_unreadable`` or ``no_space``, or one of the errors below if its
                cause arose while the release was being verified; nothing has changed then.

        Raises:
            StoreError: ``locked``, ``not_active`` or ``no_previous``; nothing has changed then.
        """
        self._check_free(model)
        releases = Releases(self._store.models, model)
        current, previous = releases.rollback_target()

        def swap(problem: StoreError | None) -> None:
            if problem is not None:
                refuse(problem)
                return
            try:
                self._swap(model, current, previous, then)
            except EdgeAgentError as error:
                refuse(error)
            except Exception as error:
                log.exception("internal: rollback of %s", model)
                refuse(StoreError("internal", f"the rollback failed: {error!r}; see the daemon's log"))

        work_in_background(
            partial(_problem, releases, previous), self._put, lambda problem: WorkEnded(partial(swap, problem))
        )

    def _check_free(self, model: str) -> None:
        jobs = self._ledger.jobs.values()
        if any(job.model == model and not job.ended and job.step is not None for job in jobs):
            raise StoreError("locked", f"a release of {model} is being activated now; try again when it has ended")

    def _swap(self, model: str, current: Release, previous: Release, then: Callable[[Release, str], None]) -> None:
        """Swap the releases, unless an activation or another rollback came between while the release was verified."""
        self._check_free(model)
        active = Releases(self._store.models, model).active()
        if active is None or active.name != current.name:  # names, as its optimised form may have been rebuilt
            raise StoreError("locked", f"another release of {model} became active meanwhile; check it, and try again")
        roll_back(self._store, model, verified=previous)
        text = f"rolled back {model} from {current.version} to {previous.version}"
        log.warning("%s", text)
        self._on_taken_back(current, text)
        self._info.publish()
        folder = Releases(self._store.models, model).path(previous.name)
        self._hook.tell(folder, lambda problem: then(previous, problem))


def _problem(releases: Releases, release: Release) -> StoreError | None:
    """Why a release cannot become active again; reads all of it, which takes minutes on a slow card."""
    try:
        releases.verify(release)
    except StoreError as error:
        return error
    return None
