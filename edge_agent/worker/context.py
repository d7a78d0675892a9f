"""The context of a stage: its task, its directories, and its progress reports."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.jobs.task import Stage, Task

ProgressSink = Callable[[float, str, float | None], None]

_REPORT_EVERY_S = 0.25


@dataclass(slots=True)
class Context:
    """One run of one stage.

    Attributes:
        job_dir: the job's directory, which contains the folders of earlier stages.
        out_dir: ``<stage>.tmp`` while the stage runs; the stage writes all its files here.
        task: the task of the job.
        stage: the name of the stage, or of a step that is not a stage.
        begun: start time on the monotonic clock.
        fraction: the last reported progress, 0 to 1.
    """

    job_dir: Path
    out_dir: Path
    task: Task
    stage: str
    sink: ProgressSink
    begun: float = field(default_factory=time.monotonic)
    fraction: float = 0.0
    _last: float = field(default=0.0)

    @property
    def model_path(self) -> Path:
        """The float model as it was pushed: the reference of every verdict."""
        return self.job_dir / self.task.model

    def folder(self, stage: Stage) -> Path:
        """The finished folder of an earlier stage."""
        return self.job_dir / stage

    def progress(self, fraction: float, detail: str, *, eta_s: float | None = None, force: bool = False) -> None:
        """Report the stage's progress (0 to 1) and its current work. Reports are rate-limited, so call it freely."""
        now, self.fraction = time.monotonic(), fraction
        if force or now - self._last >= _REPORT_EVERY_S:
            self._last = now
            self.sink(fraction, detail, eta_s)
