"""Checks a task against device and model before any data are gathered, because a capture may take hours. Pure."""

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
"""Memory of a worker with numpy, onnx and a runtime, before it opens a model."""


def check_memory(memory_bytes: int, model_bytes: int, copies: float) -> None:
    """Reject a model whose job certainly needs more memory than a worker may take.

    Args:
        memory_bytes: memory limit of a worker; 0: no limit.
        model_bytes: size of the model's file.
        copies: the format's :attr:`edge_agent.backends.Backend.JOB_COPIES`.

    Raises:
        LimitError: ``out_of_memory``.
    """
    least = _IMPORTS_BYTES + int(copies * model_bytes)
    if memory_bytes and least > memory_bytes:
        raise LimitError(
            "out_of_memory",
            f"a job for this model of {_mib(model_bytes)} takes at least {_mib(least)} of memory, but a worker may "
            f"take only {_mib(memory_bytes)} here; free memory, raise [limits] worker_memory_bytes, or "
            "use a smaller model",
        )


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.0f} MiB"


def check_asked(task: Task, info: ModelInfo) -> None:
    """Reject a task that a later stage would reject for any data.

    Raises:
        RecipeError: ``recipe_unsupported``: incompatible methods, or an output that the model lacks.
        ContractError: ``shape_mismatch``: the output's shape does not fit its kind.
        ModelError: ``model_unsupported``: a declared state that the model lacks, or a model without inputs.
    """
    if not info.inputs:
        raise ModelError("model_unsupported", "the model has no input, so its output is constant; export it again")
    check_recipe(task.recipe)
    if task.recipe.io == "int8" and task.format != "tflite":
        raise RecipeError("recipe_unsupported", f"io 'int8' is for .tflite models; leave it out for .{task.format}")
    CarriedState(task.state, info)
    for output in task.outputs or [task.output]:
        judged = ScoredOutput(info, task, output)
        if output.kind is not None:
            resolve_kind(output, shaped(info.outputs[judged.position], output), None)


def shaped(spec: TensorSpec, output: Output) -> list[Array]:
    """Zeros in the model's declared shape of an output; empty if the shape is open, or other outputs are judged too."""
    if None in spec.shape[1:] or output.boxes or output.kind == "anomaly":
        return []
    return [np.broadcast_to(np.zeros((), spec.dtype), [size or 1 for size in spec.shape])]
