"""Keeps the state directory small and sound: what ended jobs leave, old reports, blobs, releases.

Kept for ever: the record of each model name. Kept as long as they are of use: the active release, its previous, the
float blob that active was made from and the labelled set it was judged with (a recalibration needs both), and the
newest reports. While a release is on trial, what it replaced counts as active, too.
"""

import logging
import time
from typing import TYPE_CHECKING

from edge_agent.jobs.job import Job
from edge_agent.jobs.task import Stage
from edge_agent.state.releases import Releases
from edge_agent.state.store import KEPT_JOBS

if TYPE_CHECKING:
    from edge_agent.daemon.agent import Agent

log = logging.getLogger(__name__)

_DAY_S = 86_400


class Housekeeper:
    """Deletes what nobody needs."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent

    def check_releases(self) -> None:
        """At boot: a release that is broken on disk is taken out, and its previous put back."""
        agent = self._agent
        for link in sorted(agent.store.models.glob("*/active")):
            releases = Releases(agent.store.models, link.parent.name)
            if problem := releases.heal():
                log.error("%s", problem)
                if back := releases.active():
                    agent.tell_hook(back.model, back.name)

    def retire(self, job: Job) -> None:
        """Delete what an ended job leaves; captured data first of all, unless the operator keeps them."""
        self._retire(job)
        self.collect()

    def _retire(self, job: Job) -> None:
        store = self._agent.store
        capture = store.job_dir(job.id) / Stage.CAPTURE
        oldest = time.time() - self._agent.config.capture.keep_days * _DAY_S
        fresh = capture.is_dir() and capture.stat().st_mtime > oldest
        store.retire(job.id, keep=(Stage.CAPTURE,) if fresh else ())

    def collect(self) -> None:
        """Delete old captures, reports beyond the newest, and blobs and releases that nothing refers to."""
        agent = self._agent
        ended = sorted((job for job in agent.jobs.values() if job.ended), key=lambda job: job.created)
        for job in ended[:-KEPT_JOBS]:
            agent.ledger.forget(job.id)
        for job in ended[-KEPT_JOBS:]:
            self._retire(job)
        agent.store.forget_others(agent.jobs)
        alive = [job for job in agent.jobs.values() if not job.ended]
        on_trial = {job.release for job in alive if job.release}
        blobs = {blob.sha256 for job in alive for blob in agent.ledger.manifest(job).blobs}
        for link in agent.store.models.glob("*/active"):
            for release in Releases(agent.store.models, link.parent.name).standing(on_trial):
                blobs |= {release.blob, release.eval}
        agent.store.collect_blobs(blobs)
        for folder in agent.store.models.glob("*/releases"):
            Releases(agent.store.models, folder.parent.name).collect(on_trial)
