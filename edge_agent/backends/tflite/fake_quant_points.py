"""The places at which a static int8 model rounds, and their grids. Pure.

Follows the output of litert-quantizer 0.11. Every float tensor that an int8 operator reads or computes lies on a grid.
Operators that move values pass on the grid of their input, and operators that gather values need all inputs on the grid
of their output. For some operators, the runtime prescribes the output grid. Constants are rounded in advance.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Range
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.graph import PreparedGraph
from edge_agent.backends.tflite.operators import FIXED, GATHERING, PASSING
from edge_agent.backends.tflite.reading import Operator
from edge_agent.quant.affine import fake_quantize, params

_POOLING = ("AVERAGE_POOL_2D", "RESIZE_BILINEAR")
"""Operators that stay on the grid of their input but compute values between its steps."""
_ELEMENTWISE = ("ADD", "DIV", "MUL", "SQUARED_DIFFERENCE", "SUB")
"""Operators whose constant operand has its own grid."""


class FakeQuantPoints:
    """The tensors that a candidate rounds: around the operators that it makes int8.

    Attributes:
        needed_by: place (a tensor's name) → the layers that need it rounded.
        grids: computed place → the range of its grid.
        constants: constant place → its rounded values.
    """

    def __init__(
        self,
        graph: PreparedGraph,
        chosen: Iterable[Operator],
        ranges: Mapping[str, Range],
        peaks: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """Find the tensors; ``peaks``: the value of the largest integer of each weight."""
        self.needed_by: dict[str, tuple[str, ...]] = {}
        self.grids: dict[str, Range] = {}
        self.constants: dict[str, NDArray[np.float32]] = {}
        self._ranges = dict(ranges)
        self._source: dict[str, str] = {}
        for operator in chosen:
            self._add(graph, operator)
            self._add_constants(graph, operator, peaks)

    def _add(self, graph: PreparedGraph, operator: Operator) -> None:
        layer = graph.name(operator)
        fed, given = (_floats(graph, indices) for indices in (operator.inputs, operator.outputs))
        if operator.name in FIXED:
            self._ranges.update(dict.fromkeys(given, Range(*FIXED[operator.name])))
        if operator.name in PASSING and fed:
            source = self._source.setdefault(fed[0], fed[0])
            self._want(source, layer)
            if operator.name in _POOLING:
                self._ranges.update(dict.fromkeys(given, self._ranges[source]))
            else:
                self._source.update(dict.fromkeys(given, source))
                return
        elif operator.name not in GATHERING:
            for name in fed:
                self._want(self._source.setdefault(name, name), layer)
        for name in given:
            self._want(self._source.setdefault(name, name), layer)

    def _want(self, place: str, layer: str) -> None:
        layers = self.needed_by.get(place, ())
        if layer not in layers:
            self.needed_by[place] = (*layers, layer)
        self.grids[place] = self._ranges[place]

    def _add_constants(
        self, graph: PreparedGraph, operator: Operator, peaks: Mapping[str, NDArray[np.float64]]
    ) -> None:
        weight = graph.weight(operator)
        if weight is not None:
            peak = peaks[weight.name]
            grid = params(-peak, peak, symmetric=True)
            self._round(weight.name, graph.name(operator), fake_quantize(graph.model.value(weight), grid))
        elif operator.name in _ELEMENTWISE:
            for tensor in (graph.tensors[index] for index in operator.inputs):
                if tensor.constant and tensor.type == schema.FLOAT32:
                    value = graph.model.value(tensor)
                    grid = params(value.min(initial=0.0), value.max(initial=0.0))
                    self._round(tensor.name, graph.name(operator), fake_quantize(value, grid))

    def _round(self, name: str, layer: str, value: NDArray[np.float32]) -> None:
        self.constants[name] = value
        self.needed_by[name] = tuple(dict.fromkeys((*self.needed_by.get(name, ()), layer)))


def _floats(graph: PreparedGraph, indices: Iterable[int]) -> list[str]:
    """Names of the tensors that are float and computed."""
    tensors = [graph.tensors[index] for index in indices if index >= 0]
    return [tensor.name for tensor in tensors if tensor.type == schema.FLOAT32 and not tensor.constant]
