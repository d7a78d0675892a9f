"""Keeps the state directory small and sound: what ended jobs leave, old reports, blobs, releases.

Kept for ever: the record of each model name. Kept as long as they are of use: the active release, its previous, the
float blob that active was made from and the labelled set it was judged with (a recalibration needs both), and the
newest reports. While a release is on trial, what it replaced counts as active, too.
"""

import logging
import time

from edge_agent.daemon.activation.hook import Hook
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.jobs.job import Job
from edge_agent.jobs.task import Stage
from edge_agent.state.releases import Releases
from edge_agent.state.store import KEPT_JOBS, Store

log = logging.getLogger(__name__)

_DAY_S = 86_400


class Housekeeper:
    """Deletes what nobody needs."""

    def __init__(self, store: Store, ledger: JobLedger, hook: Hook, *, keep_days: float) -> None:
        """``keep_days``: how long the captured data of an ended job stay."""
        self._store = store
        self._ledger = ledger
        self._hook = hook
        self._keep_s = keep_days * _DAY_S

    def check_releases(self) -> None:
        """At boot: a release that is broken on disk is taken out, and its previous put back."""
        for link in sorted(self._store.models.glob("*/active")):
            releases = Releases(self._store.models, link.parent.name)
            if problem := releases.heal():
                log.error("%s", problem)
                if back := releases.active():
                    self._hook.tell(releases.path(back.name))

    def retire(self, job: Job) -> None:
        """Delete what an ended job leaves; captured data first of all, unless the operator keeps them."""
        self._retire(job)
        self.collect()

    def _retire(self, job: Job) -> None:
        capture = self._store.job_dir(job.id) / Stage.CAPTURE
        fresh = capture.is_dir() and capture.stat().st_mtime > time.time() - self._keep_s
        self._store.retire(job.id, keep=(Stage.CAPTURE,) if fresh else ())

    def collect(self) -> None:
        """Delete old captures, reports beyond the newest, and blobs and releases that nothing refers to."""
        store, jobs = self._store, self._ledger.jobs
        ended = sorted((job for job in jobs.values() if job.ended), key=lambda job: job.created)
        for job in ended[:-KEPT_JOBS]:
            self._ledger.forget(job.id)
        for job in ended[-KEPT_JOBS:]:
            self._retire(job)
        store.forget_others(jobs)
        alive = [job for job in jobs.values() if not job.ended]
        on_trial = {job.release for job in alive if job.release}
        blobs = {blob.sha256 for job in alive for blob in self._ledger.manifest(job).blobs}
        known = not store.unread
        for link in store.models.glob("*/active"):
            standing = Releases(store.models, link.parent.name).standing(on_trial)
            known = known and bool(standing)
            blobs |= {blob for release in standing for blob in (release.blob, release.eval)}
        if known:  # else what cannot be read now may need any of them
            store.collect_blobs(blobs)
        for folder in store.models.glob("*/releases"):
            Releases(store.models, folder.parent.name).collect(on_trial)
