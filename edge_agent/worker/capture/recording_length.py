"""What a recording that is too short lacks, and which numbers of windows would fit into it. Pure."""

from collections.abc import Callable

from edge_agent.errors import Refusal
from edge_agent.jobs.task import Task
from edge_agent.quant.bounds import windows_needed
from edge_agent.quant.limits import MIN_AGREEMENT
from edge_agent.worker.data.shards import Plan
from edge_agent.worker.data.split import SPLITS, Split, samples_needed, windows_that_fit


def too_short(task: Task, plan: Plan, needed: Callable[[int], int], what: str, samples: int) -> Refusal:
    """The refusal of a recording that does not hold what was planned.

    Args:
        task: what is asked.
        plan: the blocks of it.
        needed: samples of the source that so many samples in a row are made of.
        what: what is the matter with the recording, a clause.
        samples: that it holds.
    """
    planned = samples_needed(plan.blocks)
    text = f"{what}; the windows need {planned}, which is {max(planned - samples, 1)} more: record longer"
    fitting = _fitting(task, plan, needed, samples)
    if fitting is not None:
        keys = ", ".join(f"{split}_windows = {count}" for split, count in fitting.items())
        text += f", or set [recipe] {keys}"
    return Refusal("too_few_windows", text)


def _fitting(task: Task, plan: Plan, needed: Callable[[int], int], samples: int) -> dict[Split, int] | None:
    """How many windows ``samples`` hold, if that is enough to prove anything."""
    limit = MIN_AGREEMENT if task.gates.min_agreement is None else task.gates.min_agreement
    return windows_that_fit(
        {split: getattr(task.recipe, f"{split}_windows") for split in SPLITS},
        samples,
        size=plan.blocks[0].size,
        hop=next(block.step for block in plan.blocks if block.split == "calibration"),
        least=windows_needed(limit) if 0 < limit < 1 else 1,
        needed=needed,
    )
