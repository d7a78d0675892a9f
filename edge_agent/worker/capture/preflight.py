"""What a task asks for, held against what is there, before any data are gathered: a capture may take hours. Pure."""

import numpy as np

from edge_agent.backends import Array, ModelInfo, TensorSpec
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import LimitError, ModelError, RecipeError
from edge_agent.jobs.task import Task
from edge_agent.quant.agreement import resolve_kind
from edge_agent.wire.manifest import Output
from edge_agent.worker.search.policy import check_recipe

_IMPORTS_BYTES = 64 << 20
"""A worker with numpy, onnx and a runtime, before it opens a model."""


def check_memory(memory_bytes: int, model_bytes: int, copies: float) -> None:
    """Refuse a model that no job on this device has the memory for, as far as that is certain beforehand.

    Args:
        memory_bytes: what a worker may take; 0: no limit.
        model_bytes: the size of the model's file.
        copies: of the format, :attr:`edge_agent.backends.Backend.JOB_COPIES`.

    Raises:
        LimitError: ``out_of_memory``.
    """
    least = _IMPORTS_BYTES + int(copies * model_bytes)
    if memory_bytes and least > memory_bytes:
        raise LimitError(
            "out_of_memory",
            f"a job for this model of {_mib(model_bytes)} takes at least {_mib(least)} of memory, and a worker may "
            f"take {_mib(memory_bytes)} here; free memory, raise [limits] worker_memory_bytes, or use a smaller model",
        )


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.0f} MiB"


def check_asked(task: Task, info: ModelInfo) -> None:
    """Refuse what a later stage would have to refuse whatever the data.

    Raises:
        RecipeError: ``recipe_unsupported``: methods that do not fit together, or an output that the model lacks.
        ContractError: ``shape_mismatch``: the output's shape does not fit its kind.
        ModelError: ``model_unsupported``: a declared state that the model lacks, or a model without inputs.
    """
    if not info.inputs:
        raise ModelError("model_unsupported", "the model has no input, so it says the same for ever; export it again")
    check_recipe(task.recipe)
    if task.recipe.io == "int8" and task.format != "tflite":
        raise RecipeError("recipe_unsupported", f"io 'int8' is for .tflite models; leave it out for .{task.format}")
    CarriedState(task.state, info)
    for output in task.outputs or [task.output]:
        judged = ScoredOutput(info, task, output)
        if output.kind is not None:
            resolve_kind(output, shaped(info.outputs[judged.position], output), None)


def shaped(spec: TensorSpec, output: Output) -> list[Array]:
    """An output of the shape that the model declares; none where it leaves that open, or more than it is judged."""
    if None in spec.shape[1:] or output.boxes or output.kind == "anomaly":
        return []
    return [np.broadcast_to(np.zeros((), spec.dtype), [size or 1 for size in spec.shape])]
