"""A job's stages, one after the other, for a command that waits for them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edge_agent.cli.progress import ProgressLine
from edge_agent.execution.run import run_stage
from edge_agent.jobs.task import Stage
from edge_agent.process.child_limits import ChildLimits


class StagesEnd(NamedTuple):
    """How they ended: a code, empty if all is well, a sentence, and what each stage took in seconds."""

    code: str
    message: str
    seconds: dict[str, float]


def run_stages(job_dir: Path, stages: Sequence[Stage], line: ProgressLine) -> StagesEnd:
    """Run ``stages`` of the job in ``job_dir`` until one does not end well; Ctrl-C ends the worker, and is raised."""
    seconds: dict[str, float] = {}
    for stage in stages:
        line.show(stage, 0.0, "starting", None)
        end = run_stage(job_dir, stage, ChildLimits(timeout_s=None), partial(line.show, stage))
        seconds[stage] = end.seconds
        if end.code:
            return StagesEnd(end.code, end.message, seconds)
    return StagesEnd("", "", seconds)
