"""The quantizable nodes of a prepared model, the tensors that need a range, and the weights.

Pure: reads plain values of a file. Operators have no names in this format, so a node is named after its first output.
Activations inside IF and WHILE, as in a recurrent layer's step, cannot be observed, so only methods without ranges
change those graphs (:func:`called_graphs`).
"""

from collections.abc import Iterable, Iterator
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.backends import Flow, Layer, Node
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.operators import (
    BIAS,
    CALLED,
    CALLING,
    JOINING,
    LSTM,
    LSTM_WEIGHTS,
    OTHER_LAYERS,
    OWN_CUSTOM,
    QUANTIZABLE,
    TABLES,
    WEIGHT,
    WEIGHTED,
)
from edge_agent.backends.tflite.reading import Graph, Model, Operator, Tensor, read_model

_ADJOINT_WEIGHTS = 1
"""BatchMatMulOptions' field ``adj_y``."""


class PreparedGraph:
    """A prepared model's main graph, or a graph that it calls, with queries about its operators."""

    def __init__(self, model: Model, called: Graph | None = None) -> None:
        self.model = model
        graph = model.main if called is None else called
        self.tensors = graph.tensors
        self.operators = graph.operators
        self._finite: dict[range, bool] = {}

    def quantizable(self, operators: Iterable[str] = QUANTIZABLE) -> list[Operator]:
        """Operators of these types, in graph order, that compute on float."""
        wanted = set(operators)
        return [one for one in self.operators if one.name in wanted and self._computes_float(one)]

    def _computes_float(self, operator: Operator) -> bool:
        made = [self.tensors[index] for index in operator.outputs if index >= 0]
        named = bool(operator.outputs) and operator.outputs[0] >= 0
        return (
            named
            and bool(self.activations(operator))
            and not self._exceeds_grids(operator)
            and all(tensor.type == schema.FLOAT32 or operator.name in ("EQUAL", "NOT_EQUAL") for tensor in made)
        )

    def _exceeds_grids(self, operator: Operator) -> bool:
        """Whether an operator reads a float constant that no grid can represent, such as a mask of minus infinity."""
        read = (self.tensors[index] for index in operator.inputs if index >= 0)
        return not all(self._is_finite(one) for one in read if one.constant and one.type == schema.FLOAT32)

    def _is_finite(self, tensor: Tensor) -> bool:
        if tensor.data not in self._finite:
            self._finite[tensor.data] = bool(np.isfinite(self.model.value(tensor)).all())
        return self._finite[tensor.data]

    def adds_activation(self, operator: Operator) -> bool:
        """Whether a layer's bias is computed; litert-quantizer fails on such a layer."""
        position = BIAS.get(operator.name, len(operator.inputs))
        bias = operator.inputs[position] if position < len(operator.inputs) else -1
        return bias >= 0 and not self.tensors[bias].constant

    def lstms(self) -> list[Operator]:
        """LSTMs with finite, constant float weights."""
        return [one for one in self.operators if one.name == LSTM and self._is_float_lstm(one)]

    def _is_float_lstm(self, operator: Operator) -> bool:
        weights = [self.tensors[index] for index in lstm_weights(operator)]
        constant = all(one.constant and one.type == schema.FLOAT32 and self._is_finite(one) for one in weights)
        return bool(weights) and constant and self.tensors[operator.inputs[0]].type == schema.FLOAT32

    def name(self, operator: Operator) -> str:
        """The name of a node."""
        return self.tensors[operator.outputs[0]].name

    def activations(self, operator: Operator) -> list[str]:
        """The float tensors around an operator that are not constants: those that need a range."""
        around = [self.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
        return [tensor.name for tensor in around if tensor.type == schema.FLOAT32 and not tensor.constant]

    def weight(self, operator: Operator) -> Tensor | None:
        """A weighted operator's constant float weights, or None."""
        if operator.name not in (*WEIGHTED, *TABLES) or len(operator.inputs) <= WEIGHT:
            return None
        tensor = self.tensors[operator.inputs[WEIGHT]]
        return tensor if tensor.constant and tensor.type == schema.FLOAT32 else None

    def weighted(self) -> Iterator[tuple[str, str]]:
        """Type and name of every operator with weights, whether a method supports it or not."""
        layers = (one for one in self.operators if one.name in (*WEIGHTED, *OTHER_LAYERS) and one.outputs)
        return ((one.name, self.name(one)) for one in layers)

    def weight_count(self, operator: Operator) -> float:
        """Number of weights that an operator multiplies by; infinite if they are in another graph."""
        layers = (*WEIGHTED, *OTHER_LAYERS)
        if operator.name in CALLING:
            inner = (one.name for graph in self.model.graphs[1:] for one in graph.operators)
            return inf if not set(layers).isdisjoint(inner) else 0
        if operator.name not in layers and (operator.name != "CUSTOM" or operator.custom in OWN_CUSTOM):
            return 0
        constants = (self.tensors[index] for index in operator.inputs if index >= 0)
        return sum(prod(tensor.shape) for tensor in constants if tensor.constant)

    def output_axis(self, operator: Operator) -> int:
        """The axis of a weighted operator's weights that counts its output channels."""
        match operator.name:
            case "DEPTHWISE_CONV_2D":
                return 3
            case "BATCH_MATMUL":
                rank = len(self.tensors[operator.inputs[WEIGHT]].shape)
                turned = operator.options is not None and operator.options.number(_ADJOINT_WEIGHTS, "B")
                return rank - 2 if turned else rank - 1
            case _:
                return 0


def lstm_weights(operator: Any) -> list[int]:
    """The indices of an LSTM's existing weights: of input, state, peepholes and projection."""
    return [
        operator.inputs[place] for place in LSTM_WEIGHTS if place < len(operator.inputs) and operator.inputs[place] >= 0
    ]


def called_graphs(model: Model) -> list[Graph]:
    """The graphs that the main graph runs by IF and WHILE, except those that other signatures run too."""
    others = {one.graph for one in model.signatures if one.graph}
    called = _reached(model, [0]) - _reached(model, others) - {0}
    return [model.graphs[number] for number in sorted(called)]


def _reached(model: Model, numbers: Iterable[int]) -> set[int]:
    """These graphs and all graphs that they run, by number."""
    waiting, seen = list(numbers), set[int]()
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        for one in model.graphs[number].operators:
            slots = CALLED.get(one.name, ()) if one.options is not None else ()
            inner = (one.options.number(slot, "i") for slot in slots if one.options is not None)
            waiting += [index for index in inner if 0 <= index < len(model.graphs)]
    return seen


def read_layers(prepared: Path) -> list[Layer]:
    """Every quantizable node of a prepared model, in graph order."""
    graph = PreparedGraph(read_model(prepared))
    layers = []
    for operator in graph.quantizable():
        weight = graph.weight(operator)
        layers.append(
            Layer(
                name=graph.name(operator),
                operator=operator.name,
                inputs=tuple(graph.tensors[index].name for index in operator.inputs if index >= 0),
                outputs=tuple(graph.tensors[index].name for index in operator.outputs if index >= 0),
                weights=None if weight is None else graph.model.value(weight),
                weight_axis=0 if weight is None else graph.output_axis(operator),
                depthwise=operator.name == "DEPTHWISE_CONV_2D",
                multiplies=operator.name in WEIGHTED,
            )
        )
    return layers


def read_flow(prepared: Path) -> Flow:
    """A prepared model's main graph; a node without an output has no name."""
    graph = PreparedGraph(read_model(prepared))
    nodes = [
        Node(
            name=graph.name(operator) if operator.outputs and operator.outputs[0] >= 0 else "",
            inputs=tuple(graph.tensors[index].name for index in operator.inputs if index >= 0),
            outputs=tuple(graph.tensors[index].name for index in operator.outputs if index >= 0),
            weights=graph.weight_count(operator),
            joins=operator.name in JOINING,
            operator=operator.name,
        )
        for operator in graph.operators
    ]
    return Flow(nodes, [graph.tensors[index].name for index in graph.model.main.outputs])
