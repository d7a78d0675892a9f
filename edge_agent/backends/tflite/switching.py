"""The float model with a switch at every int8 rounding, so that one interpreter can measure each rounding's cost.

Each tensor that the int8 model would hold on a grid passes QUANTIZE and DEQUANTIZE. SELECT_V2 selects the rounded or
the exact value by a boolean input of the graph. A layer with weights is computed twice, with exact and with rounded
weights, and the result is selected likewise: weights from a SELECT_V2 would not be constants, and such convolutions run
on a kernel several times slower. A set of float layers is then a set of inputs instead of a model: it needs one run,
without rewriting or loading.

The simulation covers the roundings, which cause the loss of accuracy, on the grids of the static candidate. It covers
neither the processor's integer sums nor integer biases, so the int8 model itself is measured before a choice counts.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.backends import Array, CandidateSpec, Feeds, Range
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.fake_quant_points import FakeQuantPoints
from edge_agent.backends.tflite.graph import PreparedGraph
from edge_agent.backends.tflite.reading import read_model
from edge_agent.backends.tflite.rewriting import check_ranges, chosen_operators, weight_peaks
from edge_agent.backends.tflite.session import TfliteSession, create_interpreter
from edge_agent.backends.tflite.writing import Drafter, generated, load_objects, packed
from edge_agent.quant.affine import params


class TfliteSwitches:
    """A prepared model with switches; implements :class:`edge_agent.backends.FakeQuantSwitches`."""

    def __init__(self, prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, *, runtime: str = "") -> None:
        model = read_model(prepared)
        graph = PreparedGraph(model)
        chosen = chosen_operators(graph, spec)
        check_ranges(graph, chosen, ranges)
        peaks = weight_peaks(graph, chosen, ranges, per_channel=spec.per_channel)
        places = FakeQuantPoints(graph, chosen, ranges, peaks)
        self.needed_by: Mapping[str, Sequence[str]] = places.needed_by
        wiring = _Wiring(load_objects(prepared), places)
        wiring.lay({graph.name(operator) for operator in chosen})
        self._flags = wiring.flags
        self._interpreter = create_interpreter(runtime=runtime, model_content=packed(wiring.model))
        self._session = TfliteSession(self._interpreter, model)

    def run(self, feeds: Feeds, rounded: Collection[str]) -> list[Array]:
        """The model's outputs with these places rounded; errors as :meth:`.session.TfliteSession.run`."""
        for place, index in self._flags.items():
            self._interpreter.set_tensor(index, np.array([place in rounded]))
        return self._session.run(feeds)


class _Wiring:
    """Puts the switches into a model.

    Attributes:
        flags: place → the boolean input that switches it.
    """

    def __init__(self, model: Any, places: FakeQuantPoints) -> None:
        self.model = model
        self.flags: dict[str, int] = {}
        self._places = places
        self._drafter = Drafter(model)
        self._graph = model.subgraphs[0]
        self._now: dict[int, int] = {}
        """Tensor → the tensor that its readers read instead."""
        self._rounded: dict[int, int] = {}
        """Constant → its rounded form."""

    def lay(self, layers: Collection[str]) -> None:
        """Replace the graph's operators by ones with switches; ``layers`` are those that become int8."""
        tensors = self._graph.tensors
        index = {tensor.name.decode(): number for number, tensor in enumerate(tensors)}
        for place in self._places.needed_by:
            self.flags[place] = self._drafter.tensor(f"{place}/switch", [1], schema.BOOL)
        for name, value in self._places.constants.items():
            self._rounded[index[name]] = self._drafter.constant(f"{name}/rounded", value)
        originals, self._graph.operators = self._graph.operators, []
        for number in self._graph.inputs:
            self._switch(number)
        for operator in originals:
            operator.inputs = [self._now.get(number, number) for number in operator.inputs]
            self._graph.operators.append(operator)
            if operator.outputs and tensors[operator.outputs[0]].name.decode() in layers:
                self._compute_twice(operator)
            for number in operator.outputs:
                self._switch(number)
        self._graph.outputs = [self._now.get(number, number) for number in self._graph.outputs]
        self._graph.inputs += self.flags.values()
        self.model.signatureDefs = None  # a signature would have to name the switches

    def _compute_twice(self, operator: Any) -> None:
        """Add the operator again with rounded constants, and a switch that selects a result."""
        for position, number in enumerate(operator.inputs):
            if number in self._rounded:
                twin = copy.copy(operator)
                twin.inputs = list(operator.inputs)
                twin.inputs[position] = self._rounded[number]
                output = operator.outputs[0]
                twin.outputs = [self._like(output, "twin")]
                self._graph.operators.append(twin)
                place = self._graph.tensors[number].name.decode()
                self._choose(output, place, twin.outputs[0], output)

    def _switch(self, number: int) -> None:
        """Add a switch behind a tensor: rounded to its grid, or exact."""
        if number < 0 or (place := _text(self._graph.tensors[number].name)) not in self._places.grids:
            return
        found = self._places.grids[place]
        grid = params(found.low, found.high)
        held = generated().QuantizationParametersT(
            scale=grid.scale.reshape(1), zeroPoint=grid.zero_point.reshape(1).astype(np.int64)
        )
        exact = self._now.get(number, number)
        integers, back = self._like(number, "integers", schema.INT8, held), self._like(number, "rounded")
        self._graph.operators.append(self._drafter.operator("QUANTIZE", [exact], [integers], "QuantizeOptions"))
        self._graph.operators.append(self._drafter.operator("DEQUANTIZE", [integers], [back], "DequantizeOptions"))
        self._choose(number, place, back, exact)

    def _choose(self, number: int, place: str, rounded: int, exact: int) -> None:
        chosen = self._like(number, f"{place}/chosen")
        inputs = [self.flags[place], rounded, exact]
        self._graph.operators.append(self._drafter.operator("SELECT_V2", inputs, [chosen], "SelectV2Options"))
        self._now[number] = chosen

    def _like(self, number: int, what: str, kind: int = schema.FLOAT32, grid: Any = None) -> int:
        model = self._graph.tensors[number]
        shape = [] if model.shape is None else [int(size) for size in model.shape]
        return self._drafter.tensor(
            f"{_text(model.name)}/{what}", shape, kind, signature=model.shapeSignature, grid=grid
        )


def _text(name: Any) -> str:
    """A name as text; the generated code holds bytes if it was read, and text if it was set."""
    return name.decode() if isinstance(name, bytes) else str(name)
