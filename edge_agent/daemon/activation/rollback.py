"""An operator takes a release back: its previous one becomes active again, and the hook is told."""

import logging
from collections.abc import Callable

from edge_agent.daemon.activation.hook import Hook
from edge_agent.daemon.activation.release_steps import roll_back
from edge_agent.daemon.device_info import InfoPublisher
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.errors import StoreError
from edge_agent.state.releases import Release, Releases
from edge_agent.state.store import Store

log = logging.getLogger(__name__)


class Rollback:
    """Rolls models back; it is no part of a job's way."""

    def __init__(
        self,
        store: Store,
        ledger: JobLedger,
        hook: Hook,
        info: InfoPublisher,
        on_taken_back: Callable[[Release, str], None],
    ) -> None:
        """``on_taken_back`` is called with a release that is not active any more, and a sentence."""
        self._store = store
        self._ledger = ledger
        self._hook = hook
        self._info = info
        self._on_taken_back = on_taken_back

    def run(self, model: str, then: Callable[[Release, str], None]) -> None:
        """Make the previous release of ``model`` active; ``then`` gets it and what the hook complained of.

        Raises:
            StoreError: ``locked``, ``not_active``, ``no_previous`` or ``release_corrupt``; nothing has changed then.
        """
        jobs = self._ledger.jobs.values()
        if any(job.model == model and not job.ended and job.step is not None for job in jobs):
            raise StoreError("locked", f"a release of {model} is being activated now; try again when it has ended")
        current, previous = roll_back(self._store, model)
        text = f"rolled back {model} from {current.version} to {previous.version}"
        log.warning("%s", text)
        self._on_taken_back(current, text)
        self._info.publish()
        folder = Releases(self._store.models, model).path(previous.name)
        self._hook.tell(folder, lambda problem: then(previous, problem))
