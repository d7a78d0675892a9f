"""The first stage of a job: its blobs are transferred to this device."""

import shutil
from collections.abc import Iterator
from contextlib import suppress

from edge_agent.daemon.admission.rules import check_limits
from edge_agent.daemon.device_info import Identity
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.daemon.transfer.transfers import Transfers
from edge_agent.errors import EdgeAgentError
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.job import Event, Job, Progressed, StageFailed, StageSucceeded
from edge_agent.jobs.task import Stage
from edge_agent.state.clock import Clock
from edge_agent.state.store import Store


class Receive:
    """The work of the stage ``receive``; see :class:`edge_agent.daemon.job_flow.StageWork`."""

    def __init__(
        self,
        transfers: Transfers,
        store: Store,
        ledger: JobLedger,
        clock: Clock,
        identity: Identity,
        *,
        max_model_bytes: int,
    ) -> None:
        self._transfers = transfers
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._identity = identity
        self._max_model_bytes = max_model_bytes

    def ready(self, _job: Job) -> bool:
        """True, as any number of transfers may run at once."""
        return True

    def start(self, job: Job) -> Iterator[Event]:
        """Check the sizes and start the transfers; some blobs may already be stored."""
        manifest = self._ledger.manifest(job)
        free = shutil.disk_usage(self._store.root).free
        check_limits(manifest, self._max_model_bytes, free, self._identity.formats)
        self._transfers.start(manifest.blobs)
        yield self._outcome(job)
        self._stop_unwanted()

    def ended(self, _job: Job, _end: StageEnd) -> tuple[Event, ...]:
        """Return no events, as this stage runs no child."""
        return ()

    def stop(self, _job: Job) -> None:
        """Stop the transfers that no other job needs."""
        self._stop_unwanted()

    def news(self) -> Iterator[tuple[str, Event]]:
        """The progress or outcome of the transfers, for each job in this stage."""
        for job in list(self._ledger.jobs.values()):
            if job.stage is Stage.RECEIVE and job.running and not job.ended:
                try:
                    outcome = self._outcome(job)
                except EdgeAgentError as error:  # its manifest is broken; other jobs continue
                    outcome = StageFailed(error.code, error.message)
                yield job.id, outcome
        self._stop_unwanted()

    def _outcome(self, job: Job) -> Event:
        state = self._transfers.state(self._ledger.manifest(job).blobs)
        if state.error is not None:
            return StageFailed(state.error.code, state.error.message)
        if state.complete:
            return StageSucceeded(max(0.0, self._clock.now() - job.created))
        return Progressed(state.fraction, state.detail)

    def _stop_unwanted(self) -> None:
        wanted: set[str] = set()
        for job in self._ledger.jobs.values():
            if job.stage is Stage.RECEIVE and not job.ended:
                with suppress(EdgeAgentError):  # a job with a broken manifest needs no blob
                    wanted |= {blob.sha256 for blob in self._ledger.manifest(job).blobs}
        self._transfers.stop_unwanted(wanted)
