"""Runs one stage of a job in a worker process and reports how it ended.

The worker writes JSON lines (``edge_agent.worker.__main__``), but the outcome on disk decides: a worker that is killed
after it wrote its outcome has completed its stage. :func:`run_stage` blocks. :class:`StageRun` reports from its own
thread, and its callbacks should only put events into a queue.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_agent.errors import StageError
from edge_agent.execution.lines import OnProgress, WorkerLines
from edge_agent.foreign.removal import remove
from edge_agent.jobs.outcome import a_worker_may_say, read_outcome
from edge_agent.jobs.task import Stage
from edge_agent.process.child import Child
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.program import python_child

_MORE = 2
"""Factor of the limit that a message suggests where the current one was too low."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageEnd:
    """How a run of a stage ended.

    Attributes:
        code: empty if ok; ``canceled`` if stopped; else the code of the rejection or error.
        message: one sentence.
        status: ``stopped`` means that the caller stopped it; the job may be fine.
        seconds: wall time of the run.
        retryable: the worker died without reporting a reason; a retry may succeed.
    """

    code: str
    message: str
    status: Literal["ok", "rejected", "failed", "stopped"]
    seconds: float
    retryable: bool = False


class StageRun:
    """One run of one stage; ``on_end`` is called exactly once, on every path."""

    def __init__(
        self,
        job_dir: Path,
        stage: Stage,
        limits: ChildLimits,
        *,
        on_progress: OnProgress,
        on_end: Callable[[StageEnd], None],
        group_parent: Path | None = None,
    ) -> None:
        """Prepare the run; ``group_parent`` is a delegated cgroup directory, if there is one."""
        self._job_dir = job_dir
        self._stage = stage
        self._limits = limits
        self._lines = WorkerLines(stage, on_progress)
        self._on_end = on_end
        self._group_parent = group_parent
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the worker; the callbacks are called from this run's own thread."""
        self._thread = threading.Thread(target=self._run_and_tell, name=f"stage-{self._stage}", daemon=True)
        self._thread.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Ask the worker to end and return at once; ``on_end`` is still called. Thread-safe at any time."""
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.stop(grace_s)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until ``on_end`` has returned; False after ``timeout_s``."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def run(self) -> StageEnd:
        """Run the stage in this thread and return its end; ``on_end`` is not called."""
        with self._lock:
            if self._stopped:
                return StageEnd("canceled", f"{self._stage} was stopped before it began", "stopped", 0.0)
            try:
                remove(self._job_dir / self._stage)  # the outcome of an earlier run must not count for this one
            except OSError as error:
                text = f"files of an earlier run of {self._stage} cannot be removed: {error.strerror}; check the disk"
                return StageEnd("stage_crashed", text, "failed", 0.0)
            try:
                self._child = Child(
                    python_child("edge_agent.worker", self._stage, str(self._job_dir)),
                    limits=self._limits,
                    on_line=self._lines.take,
                    group_parent=self._group_parent,
                )
            except OSError as error:
                return StageEnd("stage_crashed", f"the worker could not be started: {error}", "failed", 0.0, True)
        ended = self._child.wait()
        self._lines.close()
        return self._judge(ended)

    def _run_and_tell(self) -> None:
        try:
            end = self.run()
        except Exception as error:  # noqa: BLE001  # the caller waits for an end and must get one
            _log.exception("running %s", self._stage)
            end = StageEnd("stage_crashed", f"running {self._stage} failed in the daemon: {error!r}", "failed", 0.0)
        self._on_end(end)

    def _judge(self, ended: ChildExit) -> StageEnd:
        stage, seconds = self._stage, ended.seconds
        try:
            outcome = read_outcome(self._job_dir, stage)
        except StageError as error:
            return StageEnd(error.code, error.message, "failed", seconds, True)
        if outcome is not None and not outcome.code:
            return StageEnd("", outcome.message, "ok", seconds)
        if outcome is not None:
            return StageEnd(outcome.code, outcome.message, "rejected", seconds)
        if ended.stderr_tail and ended.reason != "stopped":
            _log.warning("%s ended (%s); the end of its standard error:\n%s", stage, ended.reason, ended.stderr_tail)
        if ended.reason == "stopped":
            return StageEnd("canceled", f"{stage} was stopped", "stopped", seconds)
        if ended.reason == "out_of_memory":
            limit = self._limits.memory_bytes
            where = "the device has"
            if limit:
                where = f"its limit of {limit / 2**20:.0f} MiB"
                where += f"; if the device has twice as much, set [limits] worker_memory_bytes = {_MORE * limit}"
            return StageEnd("out_of_memory", f"{stage} needed more memory than {where}", "failed", seconds)
        if ended.reason == "timeout":
            limit_s = self._limits.timeout_s or self._limits.quiet_s or 0.0
            what = "exceeded its" if self._limits.timeout_s else "reported nothing for"
            text = f"{stage} {what} {limit_s:g} s; set [limits] stage_timeout_s = {_MORE * limit_s:g}"
            return StageEnd("stage_timeout", text, "failed", seconds)
        reported = self._lines.end
        if reported is not None and reported.status == "failed":
            if not a_worker_may_say(reported.code):
                text = f"{stage} ended with code {reported.code!r}, which no stage may report"
                return StageEnd("stage_crashed", text, "failed", seconds)
            return StageEnd(reported.code, reported.message, "failed", seconds)
        return StageEnd("stage_crashed", f"{stage} {ended.describe()}", "failed", seconds, True)


def run_stage(
    job_dir: Path,
    stage: Stage,
    limits: ChildLimits,
    on_progress: OnProgress,
    *,
    group_parent: Path | None = None,
) -> StageEnd:
    """Run ``stage`` of the job in ``job_dir`` and return its end; an exception here (Ctrl-C) ends the worker."""
    run = StageRun(job_dir, stage, limits, on_progress=on_progress, on_end=lambda _end: None, group_parent=group_parent)
    return run.run()
