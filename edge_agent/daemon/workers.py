"""The running worker processes: the job of each, and whether another one has to wait for it.

Runs have numbers, as a worker's report arrives through the inbox, and its job may have ended meanwhile.
"""

import itertools
from collections.abc import Callable, Collection

from edge_agent.daemon.events import StageEnded, StageProgress
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.execution.launcher import Launcher
from edge_agent.execution.run import StageEnd, StageRun
from edge_agent.jobs.job import Event, Job, StageFailed, StageRefused, StageSucceeded
from edge_agent.jobs.task import Stage
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store

_JOIN_S = 10.0


class Workers:
    """The work of the stages from ``capture`` to ``benchmark``; see :class:`edge_agent.daemon.job_flow.StageWork`."""

    def __init__(
        self,
        launcher: Launcher,
        store: Store,
        ledger: JobLedger,
        put: Callable[[StageProgress | StageEnded], None],
        *,
        shared: Collection[str],
        use_float: bool,
    ) -> None:
        """``shared``: sensors with any number of readers; ``use_float``: see ``[activation] on_rejected``."""
        self._launcher = launcher
        self._store = store
        self._ledger = ledger
        self._put = put
        self._shared = frozenset(shared)
        self._use_float = use_float
        self._runs: dict[int, tuple[str, StageRun]] = {}
        self._numbers = itertools.count(1)
        self._reserved = False

    def ready(self, job: Job) -> bool:
        """Whether no worker holds what the stage of ``job`` needs.

        A stopped worker holds its sensor and the processor until it has ended. A sensor that is not shared has one
        reader, so captures of several models from one source run one after another.
        """
        if self._reserved and job.stage is not Stage.CAPTURE:
            return False
        owners = [self._ledger.jobs.get(owner) for owner, _ in self._runs.values()]
        return not any(
            owner is None
            or owner.ended
            or (job.stage is owner.stage is Stage.CAPTURE and not self._sensors(job).isdisjoint(self._sensors(owner)))
            for owner in owners
        )

    def reserve(self) -> bool:
        """Keep the stages that open a model waiting until :meth:`free`; False: one runs, and nothing is reserved."""
        owners = [self._ledger.jobs.get(owner) for owner, _ in self._runs.values()]
        self._reserved = all(owner is not None and owner.stage is Stage.CAPTURE for owner in owners)
        return self._reserved

    def free(self) -> None:
        """Let them go on."""
        self._reserved = False

    def start(self, job: Job) -> tuple[Event, ...]:
        """Start the worker of the job's stage; its end arrives through the inbox."""
        number = next(self._numbers)
        run = self._launcher.start(
            job,
            self._ledger.manifest(job),
            self._store.work_dir(job.id),
            self._store.blobs,
            on_progress=lambda fraction, detail, eta_s: self._put(StageProgress(number, fraction, detail, eta_s)),
            on_end=lambda end: self._put(StageEnded(number, end)),
        )
        self._runs[number] = (job.id, run)
        return ()

    def ended(self, job: Job, end: StageEnd) -> tuple[Event, ...]:
        """The events that follow from a worker's end."""
        match end.status:
            case "ok":
                return (StageSucceeded(end.seconds),)
            case "rejected":
                nothing_active = Releases(self._store.models, job.model).active() is None
                return (StageRefused(end.code, end.message, end.seconds, self._use_float and nothing_active),)
            case _:
                if end.code == "hash_mismatch":  # otherwise a new push of the same model would find the same bytes
                    self._store.drop_blobs(blob.sha256 for blob in self._ledger.manifest(job).blobs)
                return (StageFailed(end.code, end.message, end.seconds, end.retryable),)

    def stop(self, job: Job) -> None:
        """Stop the worker of an ended job; the worker takes a while to end."""
        for owner, run in self._runs.values():
            if owner == job.id:
                run.stop()

    def owner(self, number: int) -> str:
        """The id of a run's job; empty if the run has ended."""
        return self._runs[number][0] if number in self._runs else ""

    def release(self, number: int) -> str:
        """Forget an ended run; returns the id of its job."""
        job_id, _ = self._runs.pop(number)
        return job_id

    def stop_all(self) -> None:
        """Stop every worker; returns at once."""
        for _, run in self._runs.values():
            run.stop()

    def join(self) -> None:
        """Wait until every worker has ended."""
        for _, run in self._runs.values():
            run.join(_JOIN_S)

    def _sensors(self, job: Job) -> set[str]:
        """The sensors of ``job`` that allow one reader only."""
        named = {contract.source for contract in self._ledger.manifest(job).inputs if contract.source}
        return named - self._shared
