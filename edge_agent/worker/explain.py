"""Which layers lose most when they become int8, why, and what helps. Pure: values in, sentences out.

For each layer that a candidate quantizes: the SQNR of its weights on their int8 grid, and the worst SQNR of the tensors
around it on the grids of the candidate's ranges, from a few windows. A tensor's error is split in two, *clipping* (the
value lies outside the range) and *rounding* (the grid is coarse for the bulk of the values), because their remedies
are opposite.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Array, CandidateSpec, Layer, Range
from edge_agent.quant.affine import fake_quantize, params
from edge_agent.quant.metrics import ErrorMetrics
from edge_agent.worker.result import MAX_LAYERS

FAITHFUL_DB = 30.0
"""From here on a tensor's error is a thousandth of its signal's power: no suspect."""

FOLDED = ("Relu", "Clip", "Relu6")
"""Activation layers that runtimes fold into the layer before."""
_LEAVE_FLOAT = "leave it float"


class TensorLoss:
    """What a tensor loses on the grid of one range, over any number of windows."""

    def __init__(self, found: Range) -> None:
        self._range = found
        self._grid = params(found.low, found.high, dtype="uint8")
        self._error = 0.0
        self._clipped = 0.0
        self._peak = 0.0
        self.metrics = ErrorMetrics()

    def add(self, value: Array) -> None:
        """Take one window's value into account."""
        quantized = fake_quantize(value, self._grid)
        self.metrics.add(value, quantized)
        error = np.square(np.subtract(value, quantized, dtype=np.float64))
        outside = (value < self._range.low) | (value > self._range.high)
        self._error += float(np.sum(error))
        self._clipped += float(np.sum(error[outside]))
        self._peak = max(self._peak, float(np.max(np.abs(value), initial=0.0)))

    def cause(self, name: str) -> tuple[str, str]:
        """(cause, remedy) of the larger part of the error."""
        low, high = self._range.low, self._range.high
        if self._clipped > self._error / 2:
            return (
                f"the range [{low:.4g}, {high:.4g}] of tensor {name!r} cuts off values up to {self._peak:.4g}",
                "calibrate with data that reach these values, or with minmax",
            )
        step = float(self._grid.scale)
        cause = f"few large values stretch the range [{low:.4g}, {high:.4g}] of tensor {name!r}; one step is {step:.3g}"
        return cause, f"calibrate with mse or percentile, or {_LEAVE_FLOAT}"


class Explainer:
    """Collects the tensors' losses under one candidate; feed it windows, then ask for :meth:`worst`."""

    def __init__(self, layers: Iterable[Layer], ranges: Mapping[str, Range], spec: CandidateSpec) -> None:
        self._layers = [
            layer
            for layer in layers
            if (not spec.operators or layer.operator in spec.operators) and layer.name not in spec.float_layers
        ]
        self._per_channel = spec.per_channel
        self._tensors = _blame(self._layers, ranges)
        self._losses = {name: TensorLoss(ranges[name]) for names in self._tensors.values() for name in names}

    @property
    def names(self) -> list[str]:
        """The tensors to feed."""
        return list(self._losses)

    def add(self, name: str, value: Array) -> None:
        """One window's value of a tensor."""
        self._losses[name].add(value)

    def worst(self) -> list[dict[str, Any]]:
        """At most ``MAX_LAYERS`` layers with the keys of the result object, the worst first."""
        told = [layer for layer in self._layers if self._tensors[layer.name] or layer.weights is not None]
        return sorted((self._explain(layer) for layer in told), key=_badness)[:MAX_LAYERS]

    def _explain(self, layer: Layer) -> dict[str, Any]:
        worst = min(self._tensors[layer.name], key=lambda name: _db(self._losses[name].metrics), default="")
        activations = _db(self._losses[worst].metrics) if worst else math.inf
        weights = math.inf if layer.weights is None else weights_sqnr_db(layer, per_channel=self._per_channel)
        if min(weights, activations) >= FAITHFUL_DB:
            cause, remedy = "faithful by itself", "nothing to do"
        elif weights < activations:
            cause, remedy = _weights_cause(layer.weights), _LEAVE_FLOAT
        else:
            cause, remedy = self._losses[worst].cause(worst)
        return {
            "name": layer.name,
            "op": layer.operator,
            "tensor": worst or None,
            "sqnr_db": min(weights, activations),
            "weights_sqnr_db": weights if layer.weights is not None else None,
            "activations_sqnr_db": activations if worst else None,
            "cause": cause,
            "remedy": remedy,
            "float_cost_ms": None,
        }


def _blame(layers: list[Layer], ranges: Mapping[str, Range]) -> dict[str, list[str]]:
    """Layer name → the tensors that it answers for: what it computes, and what it is the first to read.

    What only an activation layer reads is nobody's: runtimes fold that layer into the one before, and the tensor
    between them is never on a grid.
    """
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    seen = {name for name, reading in readers.items() if all(reader.operator in FOLDED for reader in reading)}
    seen &= {name for layer in layers for name in layer.outputs}
    blamed: dict[str, list[str]] = {}
    for layer in layers:
        mine = [name for name in dict.fromkeys((*layer.inputs, *layer.outputs)) if name in ranges and name not in seen]
        seen.update(mine)
        blamed[layer.name] = mine
    return blamed


def weights_sqnr_db(layer: Layer, *, per_channel: bool) -> float:
    """SQNR of a layer's weights on their symmetric int8 grid, one grid per output channel or one for all."""
    weights = _weights(layer)
    axes = tuple(axis for axis in range(weights.ndim) if axis != layer.weight_axis) if per_channel else None
    peak = np.max(np.abs(weights), axis=axes, keepdims=per_channel, initial=0.0)
    metrics = ErrorMetrics()
    metrics.add(weights, fake_quantize(weights, params(-peak, peak, symmetric=True)))
    return _db(metrics)


def _weights_cause(weights: Array | None) -> str:
    values = np.abs(np.asarray(weights))
    typical = float(np.median(values))
    reach = f"{float(values.max()) / typical:.0f} times the median" if typical else "the rest zero"
    return f"a few weights are much larger than the others (largest: {reach}), so one step is coarse for these"


def _weights(layer: Layer) -> NDArray[np.float32]:
    return np.asarray(layer.weights, np.float32)


def _db(metrics: ErrorMetrics) -> float:
    return math.inf if metrics.sqnr_db is None else metrics.sqnr_db


def _badness(layer: Mapping[str, Any]) -> float:
    return float(layer["sqnr_db"])
