"""One standard form of file, on which ``taps``, ``graph`` and ``rewriting`` rely.

A prepared model computes the same function as the original, and has these properties:

* Every operator has a ``builtin_code``. Files from before 2020 lack it, and readers take all their operators for ADD.
* There is one signature of the main graph.
* All weights are float32 and inside the flatbuffer, and no float tensor has a grid.
* Tensor names are short and unique; the model's inputs and outputs have their public names.

Preparation is deterministic. Converters name a fused tensor after all its sources, in hundreds of characters; only the
first of these names is kept.
"""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.graph import PreparedGraph, called_graphs
from edge_agent.backends.tflite.inspection import float_weights, read_info
from edge_agent.backends.tflite.operators import LSTM, WEIGHTED
from edge_agent.backends.tflite.reading import Model, Tensor, read_model, unique
from edge_agent.backends.tflite.shared_tables import look_up_shared
from edge_agent.backends.tflite.writing import Drafter, drop_unread, generated, load_objects, save_objects
from edge_agent.errors import ModelError

_RESHAPES = ("SQUEEZE", "EXPAND_DIMS")
_LOW_NIBBLE = 0x0F
_NIBBLE_SIGN = 8


def prepare_model(path: Path, out: Path) -> None:
    """Write the prepared form of ``path`` to ``out``.

    Raises:
        ModelError: as inspection, or ``model_unsupported`` if int8 gains nothing on this model.
    """
    read_info(path)
    model = read_model(path)
    objects = load_objects(path)
    _use_reshape(model, objects)
    _store_floats(model, objects)
    look_up_shared(objects)
    drop_unread(objects)
    _rename(model, objects)
    _sign(model, objects)
    save_objects(objects, out)
    if not _has_layers(read_model(out)):
        raise ModelError(
            "model_unsupported",
            f"nothing in {path.name} would gain from int8: it has no float convolution, fully connected layer, "
            f"matrix product or {LSTM}; serve it as it is",
        )


def _has_layers(model: Model) -> bool:
    """Whether some method can make a layer int8, in the main graph or in one that it calls."""
    graphs = [PreparedGraph(model), *(PreparedGraph(model, one) for one in called_graphs(model))]
    return any(graph.quantizable(WEIGHTED) for graph in graphs) or bool(graphs[0].lstms())


def as_float(model: Model, tensor: Tensor) -> NDArray[np.float32]:
    """The floats that stored weights represent."""
    if tensor.type == schema.FLOAT16:
        return np.asarray(model.value(tensor), np.float32)
    if tensor.type == schema.INT4:
        pairs = model.raw(tensor)
        nibbles = np.stack([pairs & _LOW_NIBBLE, pairs >> 4], axis=1).reshape(-1)[: prod(tensor.shape)]
        integers = ((nibbles.astype(np.int16) ^ _NIBBLE_SIGN) - _NIBBLE_SIGN).reshape(tensor.shape)
    else:
        integers = model.value(tensor).astype(np.int16)
    zero_points = tensor.zero_points.astype(np.int32) if len(tensor.zero_points) else np.zeros(1, np.int32)
    along = [1] * len(tensor.shape)
    if len(tensor.scales) > 1:
        along[tensor.axis] = -1
        if len(zero_points) == len(tensor.scales):
            zero_points = zero_points.reshape(along)
    return np.asarray((integers - zero_points) * tensor.scales.reshape(along), np.float32)


def _store_floats(model: Model, objects: Any) -> None:
    """Convert weights of reduced precision to float; each DEQUANTIZE of them is replaced by the constant."""
    drafter = Drafter(objects)
    for graph, made in zip(model.graphs, objects.subgraphs, strict=True):
        for tensor in made.tensors[: len(graph.tensors)]:
            if tensor.type == schema.FLOAT32:
                tensor.quantization = None
        stored = set(float_weights(graph))
        for index in stored:
            _become(made.tensors[index], drafter.buffer(as_float(model, graph.tensors[index])))
        gone = set()
        for number, operator in enumerate(graph.operators):
            if operator.name == "DEQUANTIZE" and operator.inputs[0] in stored:
                _become(made.tensors[operator.outputs[0]], made.tensors[operator.inputs[0]].buffer)
                gone.add(number)
            elif hasattr(made.operators[number].builtinOptions, "asymmetricQuantizeInputs"):
                made.operators[number].builtinOptions.asymmetricQuantizeInputs = False
        made.operators = [operator for number, operator in enumerate(made.operators) if number not in gone]


def _become(tensor: Any, buffer: int) -> None:
    """Turn a tensor into a float constant."""
    tensor.type, tensor.quantization, tensor.buffer = schema.FLOAT32, None, buffer


def _use_reshape(model: Model, objects: Any) -> None:
    """Replace SQUEEZE and EXPAND_DIMS by RESHAPE, which accepts int8; the quantizer would convert to float first."""
    drafter = Drafter(objects)
    for operator, made in zip(model.main.operators, objects.subgraphs[0].operators, strict=True):
        if operator.name not in _RESHAPES:
            continue
        before, after = model.main.tensors[operator.inputs[0]], model.main.tensors[operator.outputs[0]]
        free = sum(size is None for size in after.dims)
        if free <= 1 and after.dims and prod(before.shape) == prod(after.shape) > 0:
            shape = np.array([-1 if size is None else size for size in after.dims], np.int32)
            wanted = drafter.constant(f"{after.name}/shape", shape, schema.INT32)
            vars(made).update(vars(drafter.operator("RESHAPE", [operator.inputs[0], wanted], made.outputs)))


def _rename(model: Model, objects: Any) -> None:
    main = model.main
    public = dict(zip(main.outputs, model.output_names, strict=True))
    public |= dict(zip(main.inputs, model.input_names, strict=True))
    others = [
        (number, index)
        for number, graph in enumerate(model.graphs)
        for index in range(len(graph.tensors))
        if number or index not in public
    ]
    others.sort(key=lambda place: model.graphs[place[0]].tensors[place[1]].constant)  # nodes are named after the others
    places = [*((0, index) for index in public), *others]
    names = [
        public[index] if not number and index in public else _short(model.graphs[number].tensors[index].name, index)
        for number, index in places
    ]
    added = objects.subgraphs[0].tensors[len(main.tensors) :]
    made = unique([*names, *(tensor.name for tensor in added)])
    for (number, index), name in zip(places, made, strict=False):
        objects.subgraphs[number].tensors[index].name = name
    for tensor, name in zip(added, made[len(places) :], strict=True):
        tensor.name = name


def _short(name: str, index: int) -> str:
    return name.partition(";")[0].strip() or f"tensor_{index}"


def _sign(model: Model, objects: Any) -> None:
    """Write one signature with every input and output of the main graph; signatures of other graphs stay."""
    made = generated()
    main, signature = model.main, model.signature

    def mapped(names: tuple[str, ...], indices: tuple[int, ...]) -> list[Any]:
        return [made.TensorMapT(name=name, tensorIndex=index) for name, index in zip(names, indices, strict=True)]

    ours = made.SignatureDefT(
        inputs=mapped(model.input_names, main.inputs),
        outputs=mapped(model.output_names, main.outputs),
        signatureKey=signature.key if signature else "serving_default",
        subgraphIndex=0,
    )
    given = zip(model.signatures, objects.signatureDefs or [], strict=True)
    objects.signatureDefs = [ours, *(one for known, one in given if known is not signature)]
