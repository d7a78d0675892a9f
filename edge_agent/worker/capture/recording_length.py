"""The refusal of a recording that is too short, with the numbers of windows that would fit into it. Pure."""

from collections.abc import Callable

from edge_agent.errors import Refusal
from edge_agent.jobs.task import Task
from edge_agent.quant.bounds import windows_needed
from edge_agent.quant.limits import MIN_AGREEMENT
from edge_agent.worker.data.shards import Plan
from edge_agent.worker.data.split import SPLITS, Split, samples_needed, windows_that_fit


def too_short(task: Task, plan: Plan, needed: Callable[[int], int], what: str, samples: int) -> Refusal:
    """The refusal of a recording that holds too few samples for the plan.

    Args:
        task: the task.
        plan: the plan with its blocks.
        needed: source samples from which the given number of consecutive samples is resampled.
        what: a clause that describes the recording.
        samples: number of samples in the recording.
    """
    planned = samples_needed(plan.blocks)
    text = f"{what}; the windows need {planned}, which is {max(planned - samples, 1)} more: record longer"
    fitting = _fitting(task, plan, needed, samples)
    if fitting is not None:
        keys = ", ".join(f"{split}_windows = {count}" for split, count in fitting.items())
        text += f", or set [recipe] {keys}"
    return Refusal("too_few_windows", text)


def _fitting(task: Task, plan: Plan, needed: Callable[[int], int], samples: int) -> dict[Split, int] | None:
    """The numbers of windows that ``samples`` hold; None if they are too few to prove anything."""
    limit = MIN_AGREEMENT if task.gates.min_agreement is None else task.gates.min_agreement
    return windows_that_fit(
        {split: getattr(task.recipe, f"{split}_windows") for split in SPLITS},
        samples,
        size=plan.blocks[0].size,
        hop=next(block.step for block in plan.blocks if block.split == "calibration"),
        least=windows_needed(limit) if 0 < limit < 1 else 1,
        needed=needed,
    )
