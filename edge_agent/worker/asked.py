"""What a task asks for, held against what is there, before any data are gathered: a capture may take hours. Pure."""

from edge_agent.backends import ModelInfo
from edge_agent.errors import ModelError
from edge_agent.quant.agreement import resolve_kind
from edge_agent.task import Task
from edge_agent.worker.carry import Carrier
from edge_agent.worker.scoring import judged_position
from edge_agent.worker.search import check_recipe


def check_asked(task: Task, info: ModelInfo) -> None:
    """Refuse what a later stage would have to refuse whatever the data.

    Raises:
        RecipeError: ``recipe_unsupported``: a method, a range method or an output kind that is not available, or an
            output that the model lacks.
        ModelError: ``model_unsupported``: a declared state that the model lacks, or a model without inputs.
    """
    if not info.inputs:
        raise ModelError("model_unsupported", "the model has no input, so it says the same for ever; export it again")
    check_recipe(task.recipe)
    judged_position(info, task)
    Carrier(task.state, info)
    if task.output.kind is not None:
        resolve_kind(task.output, [], None)
