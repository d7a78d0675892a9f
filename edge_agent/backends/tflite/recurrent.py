"""LSTMs with int8 weights, which litert-quantizer leaves float.

Dynamic: the runtimes' hybrid kernel multiplies integers and quantizes input and state at run time; it reads one scale
per weight (tensorflow/lite/kernels/lstm_eval.cc, EvalHybrid). Measured on x86 with VNNI, 128 cells and 50 steps: 0.76
of float's time on ai-edge-litert, 1.7 on tflite-runtime. Uniform: DEQUANTIZE converts the weights to float at the first
call.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from edge_agent.backends import Method
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.graph import lstm_weights
from edge_agent.backends.tflite.operators import LSTM
from edge_agent.backends.tflite.writing import Drafter, drop_unread, generated
from edge_agent.quant.affine import quantize, weight_params

_HYBRID_VERSION = 2
"""The first version of the operator that accepts int8 weights."""


def store_lstms(objects: Any, layers: Collection[str], method: Method) -> None:
    """Give the LSTMs named in ``layers`` int8 weights, in the main graph of a file's objects."""
    drafter, graph = Drafter(objects), objects.subgraphs[0]
    stored: dict[int, int] = {}
    operators: list[Any] = []
    for one in graph.operators:
        code = objects.operatorCodes[one.opcodeIndex]
        if schema.OPERATORS[code.builtinCode] == LSTM and _text(graph.tensors[one.outputs[0]].name) in layers:
            for index in lstm_weights(one):
                if index not in stored:
                    stored[index] = _integers(drafter, index)
                    if method == "uniform":
                        stored[index] = _unpacked(drafter, stored[index], operators)
            one.inputs = [stored.get(index, index) for index in one.inputs]
            if method == "dynamic":
                code.version = max(code.version, _HYBRID_VERSION)
        operators.append(one)
    graph.operators = operators
    drop_unread(objects)


def _integers(drafter: Drafter, index: int) -> int:
    """Add the weight of this index as an int8 constant with one scale; returns the constant's index."""
    tensor = drafter.graph.tensors[index]
    values = np.frombuffer(drafter.model.buffers[tensor.buffer].data, np.float32).reshape(tensor.shape)
    grid = weight_params(values, None)
    held = generated().QuantizationParametersT(
        scale=grid.scale.reshape(1).astype(np.float32), zeroPoint=np.zeros(1, np.int64)
    )
    made = drafter.constant(f"{_text(tensor.name)}/int8", quantize(values, grid), schema.INT8)
    drafter.graph.tensors[made].quantization = held
    return made


def _unpacked(drafter: Drafter, index: int, operators: list[Any]) -> int:
    """Add a DEQUANTIZE of an integer tensor to ``operators``; returns the index of its float output."""
    tensor = drafter.graph.tensors[index]
    made = drafter.tensor(f"{tensor.name}/float", tensor.shape, schema.FLOAT32)
    operators.append(drafter.operator("DEQUANTIZE", [index], [made], "DequantizeOptions"))
    return made


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
