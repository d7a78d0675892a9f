"""Keeps the state directory small and sound: data of ended jobs, old reports, blobs, releases.

Each model name's record is kept for ever. Kept while in use: the active release and its previous one, the float blob it
was made from and the labelled set it was judged with (a recalibration needs both), and the newest reports. While a
release is on trial, the one that it replaced counts as active, too.
"""

import logging
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from edge_agent.daemon.activation.hook import Hook
from edge_agent.daemon.background import work_in_background
from edge_agent.daemon.events import WorkEnded
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.errors import StoreError
from edge_agent.jobs.job import Job
from edge_agent.jobs.task import Stage
from edge_agent.state.releases import Releases
from edge_agent.state.store import KEPT_JOBS, Store

log = logging.getLogger(__name__)

_DAY_S = 86_400


class Housekeeper:
    """Deletes unused files."""

    def __init__(
        self, store: Store, ledger: JobLedger, hook: Hook, put: Callable[[WorkEnded], None], *, keep_days: float,
        on_healed: Callable[[str, str, str], None] = lambda _model, _name, _text: None,
    ) -> None:  # fmt: skip
        """``keep_days``: how long an ended job's captured data are kept.

        ``on_healed`` is called with a model, the name of its broken active release, and a sentence.
        """
        self._put = put
        self._on_healed = on_healed
        self._store = store
        self._ledger = ledger
        self._hook = hook
        self._keep_s = keep_days * _DAY_S

    def check_releases(self) -> None:
        """Check the active releases at boot: deactivate a broken one and put its previous release back.

        Releases are read one after another: reading several at once is no faster on a card and costs CPU time.
        """
        self._check_next(iter(sorted(self._store.models.glob("*/active"))))

    def _check_next(self, links: Iterator[Path]) -> None:
        for link in links:
            with suppress(OSError):  # removed meanwhile
                releases, checked = Releases(self._store.models, link.parent.name), link.readlink()
                work_in_background(
                    partial(_diagnosis, releases), self._put, partial(self._diagnosed, releases, checked, links)
                )
                return

    def _diagnosed(self, releases: Releases, checked: Path, links: Iterator[Path], found: tuple[str, str]) -> WorkEnded:
        def then() -> None:
            self._check_next(links)
            self._heal(releases, checked, *found)

        return WorkEnded(then)

    def _heal(self, releases: Releases, checked: Path, problem: str, successor: str) -> None:
        """Act on a diagnosis, if the diagnosed release is still active."""
        if not problem or not releases.link.is_symlink() or releases.link.readlink() != checked:
            return
        text = releases.replace(problem, successor)
        log.error("%s", text)
        if successor:
            self._hook.tell(releases.path(successor))
        self._on_healed(releases.model, checked.name, text)

    def retire(self, job: Job) -> None:
        """Delete an ended job's data, captured data first unless the operator keeps them."""
        self._retire(job)
        self.collect()

    def _retire(self, job: Job) -> None:
        capture = self._store.work_dir(job.id) / Stage.CAPTURE
        fresh = self._keep_s > 0 and _made(capture) > time.time() - self._keep_s
        self._store.retire(job.id, keep=(Stage.CAPTURE,) if fresh else ())

    def collect(self) -> None:
        """Delete old captures, all but the newest reports, and unreferenced blobs and releases."""
        store, jobs = self._store, self._ledger.jobs
        ended = sorted((job for job in jobs.values() if job.ended), key=lambda job: job.created)
        for job in ended[:-KEPT_JOBS]:
            self._ledger.forget(job.id)
        for job in ended[-KEPT_JOBS:]:
            self._retire(job)
        store.forget_others(jobs)
        alive = [job for job in jobs.values() if not job.ended]
        on_trial = {name for job in alive if job.stage is Stage.ACTIVATE for name in _release_names(job)}
        blobs = {blob.sha256 for job in alive for blob in self._ledger.manifest(job).blobs}
        known = not store.unread
        for link in store.models.glob("*/active"):
            standing = Releases(store.models, link.parent.name).standing(on_trial)
            known = known and bool(standing)
            blobs |= {blob for release in standing for blob in (release.blob, release.eval)}
        if known:  # otherwise a release that cannot be read now may need any of them
            store.collect_blobs(blobs)
        for folder in store.models.glob("*/releases"):
            Releases(store.models, folder.parent.name).collect(on_trial)


def _diagnosis(releases: Releases) -> tuple[str, str]:
    """The result of :meth:`Releases.diagnose`; a release that cannot be read now is checked at the next start."""
    try:
        return releases.diagnose()
    except StoreError as error:
        log.warning("%s", error)
        return "", ""


def _made(folder: Path) -> float:
    """Time of a folder's last change, in seconds since the epoch; 0 if there is no such folder."""
    try:
        found = folder.lstat()
    except OSError:
        return 0.0
    return found.st_mtime if stat.S_ISDIR(found.st_mode) else 0.0


def _release_names(job: Job) -> tuple[str, str]:
    """The folder names of a job's release: final, and while it is written."""
    name = job.release or f"{job.version}-{job.id}"
    return name, f"{name}.tmp"
