"""The content of a ``.tflite`` file, and whether it is a float model that this agent can quantize.

Judges by tensor types and operators, never by names: a file named float may hold int8 weights (hybrid), and converters
write 16-bit weights with a DEQUANTIZE. Such weights are converted to floats, and a note reports it.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edge_agent.backends import ModelInfo, TensorSpec
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.operators import OWN_CUSTOM, STATEFUL
from edge_agent.backends.tflite.reading import Graph, Model, Operator, Tensor, read_model
from edge_agent.errors import ModelError
from edge_agent.strict import counted

_INTEGERS = (schema.INT8, schema.UINT8, schema.INT16)
_SMALL = (schema.INT8, schema.UINT8, schema.INT4)
"""Types of stored weights that represent floats, with one scale or one per channel."""
_NO_NUMBERS = (schema.STRING, schema.RESOURCE, schema.VARIANT)


def read_info(path: Path) -> ModelInfo:
    """Inspect a file.

    Raises:
        ModelError: ``model_unreadable``, ``external_data``, ``already_quantized``, ``custom_operator`` or
            ``model_unsupported``.
    """
    model = read_model(path)
    if model.external:
        raise ModelError("external_data", f"{path.name} stores weights in another file; save the model as one file")
    for graph in model.graphs:
        for operator in graph.operators:
            _refuse_operator(operator)
        _refuse_quantized(graph)
        _refuse_types(graph)
    _refuse_custom(path, model)
    main = model.main
    return ModelInfo(
        format="tflite",
        inputs=tuple(_specs(model.input_names, [main.tensors[index] for index in main.inputs])),
        outputs=tuple(_specs(model.output_names, [main.tensors[index] for index in main.outputs])),
        operators=dict(Counter(operator.name for graph in model.graphs for operator in graph.operators)),
        version="schema 3",
        size_bytes=model.size,
        notes=tuple(_notes(model)),
        custom=tuple(sorted({operator.custom for operator, _ in _custom(model)})),
        rounds=any(
            graph.tensors[index].type != schema.FLOAT16 for graph in model.graphs for index in float_weights(graph)
        ),
    )


def float_weights(graph: Graph) -> list[int]:
    """Indices of constants in reduced precision whose readers need floats (hybrid and 16-bit weights)."""
    found: dict[int, None] = {}
    for operator in graph.operators:
        for index in operator.inputs:
            tensor = graph.tensors[index]
            if index >= 0 and tensor.constant and not tensor.stored_otherwise and _stands_for_float(tensor):
                found[index] = None
    return list(found)


def _stands_for_float(tensor: Tensor) -> bool:
    return tensor.type == schema.FLOAT16 or (tensor.type in _SMALL and len(tensor.scales) > 0)


def _refuse_operator(operator: Operator) -> None:
    if operator.name in ("DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"):
        raise ModelError(
            "model_unreadable", f"the file has a {operator.name} in it, which no converter writes; convert it again"
        )
    if operator.name in STATEFUL:
        raise ModelError(
            "model_unsupported",
            f"{operator.name} keeps state inside the runtime; export the model with its state as input and output",
        )


def _refuse_custom(path: Path, model: Model) -> None:
    """Reject custom operators that no installed runtime has; runtimes are asked only if there is one."""
    found = next(iter(_custom(model)), None)
    if found is None:
        return
    operator, graph = found
    if operator.custom.startswith("Flex"):
        raise ModelError(
            "custom_operator",
            f"{operator.custom.removeprefix('Flex')} is an operator of TensorFlow, which is not installed; "
            "convert with TFLITE_BUILTINS only",
        )
    if why := _refused_by_runtimes(path):
        where = f" that gives {graph.tensors[operator.outputs[0]].name!r}" if operator.outputs else ""
        raise ModelError(
            "custom_operator",
            f"operator {operator.custom!r}{where} is custom, and no installed runtime has it ({why}); export with "
            "builtin operators",
        )


def _custom(model: Model) -> list[tuple[Operator, Graph]]:
    """Custom operators that the runtimes do not include, with their graphs."""
    every = ((operator, graph) for graph in model.graphs for operator in graph.operators)
    return [(one, graph) for one, graph in every if one.name == "CUSTOM" and one.custom not in OWN_CUSTOM]


def _refused_by_runtimes(path: Path) -> str:
    """The reasons why no installed runtime loads the file; empty if one does."""
    from edge_agent.backends.tflite.runtimes import RUNTIMES  # noqa: PLC0415  # most models need no runtime here
    from edge_agent.backends.tflite.session import open_model  # noqa: PLC0415

    reasons = []
    for runtime in RUNTIMES:
        try:
            open_model(path, runtime=runtime)
        except ModelError as error:
            reasons.append(error.message)
        else:
            return ""
    return "; ".join(reasons)


def _refuse_quantized(graph: Graph) -> None:
    for tensor in graph.tensors:
        if not tensor.constant and tensor.type in _INTEGERS and len(tensor.scales):
            raise ModelError(
                "already_quantized",
                f"tensor {tensor.name!r} is quantized to {schema.NUMPY[tensor.type]}; push the float model",
            )


def _refuse_types(graph: Graph) -> None:
    for tensor in graph.tensors:
        if tensor.constant and tensor.stored_otherwise:
            raise ModelError(
                "model_unsupported",
                f"weights {tensor.name!r} are stored {tensor.stored_otherwise}; export the model in plain float32",
            )
        if not tensor.constant and tensor.type in (schema.FLOAT16, schema.BFLOAT16):
            raise ModelError("model_unsupported", f"{tensor.name!r} is 16-bit float; export the model in float32")


def _specs(names: tuple[str, ...], tensors: list[Tensor]) -> Iterator[TensorSpec]:
    for name, tensor in zip(names, tensors, strict=True):
        if tensor.type in _NO_NUMBERS or tensor.type not in schema.NUMPY:
            raise ModelError("model_unsupported", f"{name!r} is not numeric; export a model of numbers")
        yield TensorSpec(name, schema.NUMPY[tensor.type], tensor.dims)


def _notes(model: Model) -> Iterator[str]:
    stored = [graph.tensors[index] for graph in model.graphs for index in float_weights(graph)]
    half = sum(tensor.type == schema.FLOAT16 for tensor in stored)
    if half:
        yield f"{half} weight tensors are stored in 16-bit float and were read as 32-bit float"
    if small := len(stored) - half:
        yield (
            f"the file is hybrid, not float: {small} weight tensors are stored in 8 bits or fewer and were read as the "
            "floats that they represent; this file does not show their earlier loss"
        )
    if len(model.graphs) > 1:
        yield (
            f"{counted(len(model.graphs) - 1, 'graph')} inside others (IF, WHILE) or beside the first: static "
            "candidates leave their activations float"
        )
    signature = model.signature
    if signature is not None and len(model.signatures) > 1:
        others = ", ".join(repr(one.key) for one in model.signatures if one is not signature)
        count = len(model.signatures)
        yield f"the file has {count} signatures; {signature.key!r} is quantized and judged, {others} kept"
