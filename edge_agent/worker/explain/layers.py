"""Finds the layers that lose most as int8, with cause and remedy. Pure: values in, sentences out.

Each layer that a candidate quantizes, or would quantize without its float layers, gets two figures from a few windows:
the SQNR of its weights on their int8 grid, and the worst SQNR of the tensors around it on the grids of the candidate's
ranges. A tensor's error is split into *clipping* (the value lies outside the range) and *rounding* (the grid is coarse
for the bulk of the values), because their remedies are opposite.

SQNR measures the loss of a tensor and not that of the output: weights of a thousandth matter if the large weights meet
zeros. If the search has measured the effect of each rounding on the output, that effect decides which layers are worst.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Array, CandidateSpec, Layer, Range
from edge_agent.jobs.result import MAX_LAYERS, NOTHING_TO_DO, LayerLoss
from edge_agent.quant.affine import fake_quantize, params, quantize, weight_params
from edge_agent.quant.metrics import ErrorMetrics
from edge_agent.worker.search.layer_selection import Sensitivity

FAITHFUL_DB = 30.0
"""At this SQNR a tensor's error is a thousandth of its signal's power, so the tensor is no suspect."""

MATTERS = 0.05
"""A layer with at least this part of the output's error is a cause of it."""

FOLDED = ("Relu", "Clip", "Relu6")
"""Activation layers that runtimes fold into the layer before."""
FAITHFUL = "faithful by itself"
_ENOUGH_WINDOWS = 8
"""With fewer windows, the number of windows that reach the end of a range is not reported."""
_LEAVE_FLOAT = "leave it float"
_FINER = 'set [recipe] calibration = "mse" or "percentile"'
_OUTLIER = 20.0
"""A weight of this many medians is an outlier: the largest of a million normal weights has 7."""
_OFTEN = 0.05
"""If more pairs of weights than this can saturate, some will; for bell-shaped weights it is about 2 %."""
_BLOCK = 65_536
"""Values that are processed together."""
_HALFWAY = 0.5
"""A window whose values come this far towards the farther end of a range reaches it."""


class TensorLoss:
    """The loss of a tensor on the grid of one range, over any number of windows."""

    def __init__(self, found: Range) -> None:
        self._range = found
        self._grid = params(found.low, found.high, dtype="uint8")
        self._error = 0.0
        self._clipped = 0.0
        self._peak = 0.0
        self._windows = 0
        self._reached = 0
        self.metrics = ErrorMetrics()

    def add(self, value: Array) -> None:
        """Add one window's value in parts, because the scratch memory is five times as large as a part."""
        flat = value.reshape(-1)
        for first in range(0, flat.size, _BLOCK):
            self._add_part(flat[first : first + _BLOCK])
        self._windows += 1
        low, high = self._range.low, self._range.high
        farthest = np.max(value, initial=0.0) if high >= -low else np.min(value, initial=0.0)
        self._reached += bool(abs(farthest) > _HALFWAY * max(high, -low))

    def _add_part(self, value: Array) -> None:
        quantized = fake_quantize(value, self._grid)
        self.metrics.add(value, quantized)
        error = np.square(np.subtract(value, quantized, dtype=np.float64))
        outside = (value < self._range.low) | (value > self._range.high)
        self._error += float(np.sum(error))
        self._clipped += float(np.sum(error[outside]))
        self._peak = max(self._peak, float(np.max(np.abs(value), initial=0.0)))

    def cause(self, name: str) -> tuple[str, str]:
        """The cause and the remedy of the larger part of the error."""
        low, high = self._range.low, self._range.high
        if self._clipped > self._error / 2:
            return (
                f"the range [{low:.4g}, {high:.4g}] of tensor {name!r} cuts off values up to {self._peak:.4g}",
                'calibrate with data that reach these values, or set [recipe] calibration = "minmax"',
            )
        if self._windows >= _ENOUGH_WINDOWS and self._reached <= 1:
            few = f"{self._reached} of {self._windows} windows reach half of the range [{low:.4g}, {high:.4g}]"
            cause = f"{few} of tensor {name!r}: a single calibration window may have set it"
            return cause, f"{_FINER}, or {_LEAVE_FLOAT}"
        step = float(self._grid.scale)
        cause = f"few large values stretch the range [{low:.4g}, {high:.4g}] of tensor {name!r}; one step is {step:.3g}"
        return cause, f"{_FINER}, or {_LEAVE_FLOAT}"


class Explainer:
    """Collects the losses of tensors under one candidate. Add windows, then call :meth:`worst`."""

    def __init__(
        self,
        layers: Iterable[Layer],
        ranges: Mapping[str, Range],
        spec: CandidateSpec,
        known: Sensitivity | None = None,
        *,
        fed: Collection[str] = (),
        same_range: Mapping[str, str] = MappingProxyType({}),
        saturating: bool = False,
    ) -> None:
        """Prepare the tensors to watch.

        Args:
            layers: the model's quantizable layers.
            ranges: the ranges of the candidate's range method.
            spec: the candidate.
            known: the effect of each rounding on the output, if it was measured.
            fed: names of the model's inputs.
            same_range: tensor that calibration did not observe → tensor with the same range.
            saturating: whether this processor sums the candidate's products with saturation.
        """
        self._layers = [layer for layer in layers if not spec.operators or layer.operator in spec.operators]
        self._float = spec.float_layers
        self._spec = spec
        self._saturating = saturating
        self._known = known
        self._shares = {} if known is None else known.shares()
        self._on_integers = {name for layer in self._layers for name in layer.outputs} | set(fed)
        self._tensors = _blame(self._layers, ranges, same_range)
        self._losses = {name: TensorLoss(ranges[name]) for names in self._tensors.values() for name in names}

    @property
    def names(self) -> list[str]:
        """The tensors to feed."""
        return list(self._losses)

    def add(self, name: str, value: Array) -> None:
        """Add one window's value of a tensor."""
        self._losses[name].add(value)

    def worst(self) -> list[LayerLoss]:
        """At most ``MAX_LAYERS`` layers, worst first."""
        known = [layer for layer in self._layers if self._tensors[layer.name] or layer.weights is not None]
        explained = [self._explain(layer) for layer in known]
        return sorted(explained, key=_badness)[:MAX_LAYERS]

    def _explain(self, layer: Layer) -> LayerLoss:
        worst = min(self._tensors[layer.name], key=lambda name: _db(self._losses[name].metrics), default="")
        activations = _db(self._losses[worst].metrics) if worst else math.inf
        weights = math.inf if layer.weights is None else weights_sqnr_db(layer, self._spec)
        place = self._worst_place(layer)
        if place in self._losses and _db(self._losses[place].metrics) < FAITHFUL_DB:
            cause, remedy = self._losses[place].cause(place)
        elif place and place not in self._losses and _reach(layer) > _OUTLIER:
            cause, remedy = _weights_cause(layer), _LEAVE_FLOAT
        elif self._saturating and min(weights, activations) >= FAITHFUL_DB and saturable(layer) > _OFTEN:
            cause, remedy = _saturation(layer), f"unsigned weights (types u8u8, which auto tries), or {_LEAVE_FLOAT}"
        elif place and min(weights, activations) >= FAITHFUL_DB:
            share = self._shares[layer.name]
            cause, remedy = f"{FAITHFUL}, but {share:.0%} of the output's error comes from this layer", _LEAVE_FLOAT
        elif min(weights, activations) >= FAITHFUL_DB:
            cause, remedy = self._faithful(layer)
        elif weights < activations:
            cause, remedy = _weights_cause(layer), _LEAVE_FLOAT
        else:
            cause, remedy = self._losses[worst].cause(worst)
        if layer.name in self._float:
            remedy = "left float"
        return LayerLoss(
            name=layer.name,
            op=layer.operator,
            tensor=worst or None,
            sqnr_db=_finite(min(weights, activations)),
            weights_sqnr_db=_finite(weights) if layer.weights is not None else None,
            activations_sqnr_db=_finite(activations) if worst else None,
            cause=cause,
            remedy=remedy,
            output_share=self._shares.get(layer.name),
        )

    def _worst_place(self, layer: Layer) -> str:
        """The place of the layer with the largest effect on the output; empty if the effect is small or unknown."""
        if self._known is None or self._shares.get(layer.name, 0.0) < MATTERS:
            return ""
        mine = [place for place, wanted in self._known.needed_by.items() if layer.name in wanted]
        return max(mine, key=lambda place: self._known.effects[place] if self._known else 0.0)

    def _faithful(self, layer: Layer) -> tuple[str, str]:
        """The cause and the remedy for a layer that loses nothing: it may still cost time."""
        read = {name for other in self._layers for name in other.inputs}
        between = self._on_integers.isdisjoint(layer.inputs) and read.isdisjoint(layer.outputs)
        if between and layer.weights is not None and len(self._layers) > 1:
            cause = f"{FAITHFUL}, but between float operators: its values are converted to int8 and back to float"
            return cause, f"{_LEAVE_FLOAT} if that costs no time"
        return FAITHFUL, NOTHING_TO_DO


def _badness(layer: LayerLoss) -> tuple[float, float]:
    """Sort key, worst first; a layer without SQNR loses nothing."""
    return -(layer.output_share or 0.0), math.inf if layer.sqnr_db is None else layer.sqnr_db


def _finite(value: float) -> float | None:
    """The value, or None for an infinite one, because JSON has no infinity."""
    return value if math.isfinite(value) else None


def _blame(layers: list[Layer], ranges: Mapping[str, Range], same_range: Mapping[str, str]) -> dict[str, list[str]]:
    """Layer name → its own tensors: those that it computes, and those that it is the first to read.

    A tensor that only an activation layer reads belongs to no layer: runtimes fold the activation into the layer before
    it, and the tensor between them is never on a grid. A tensor that a layer only moves stays with its first layer.
    """
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    seen = {name for name, reading in readers.items() if all(reader.operator in FOLDED for reader in reading)}
    seen &= {name for layer in layers for name in layer.outputs}
    blamed: dict[str, list[str]] = {}
    for layer in layers:
        around = [name for name in (*layer.inputs, *layer.outputs) if name in ranges and name not in seen]
        mine = [name for name in dict.fromkeys(same_range.get(name, name) for name in around) if name not in seen]
        seen.update(mine)
        blamed[layer.name] = mine
    return blamed


def weights_sqnr_db(layer: Layer, spec: CandidateSpec) -> float:
    """SQNR (dB) of a layer's weights on the candidate's grids."""
    weights = _weights(layer)
    axis = layer.weight_axis if spec.per_channel else None
    metrics = ErrorMetrics()
    metrics.add(weights, fake_quantize(weights, weight_params(weights, axis, symmetric=spec.symmetric_weights)))
    return _db(metrics)


def saturable(layer: Layer) -> float:
    """The share of a layer's pairs of neighbouring weights for which the sum of two products can exceed 16 bits.

    Kernels that multiply unsigned by signed integers in pairs saturate there. Depthwise convolutions use other kernels.
    """
    if layer.weights is None or layer.depthwise:
        return 0.0
    rows = np.moveaxis(_weights(layer), layer.weight_axis, 0).reshape(layer.weights.shape[layer.weight_axis], -1)
    integers = quantize(rows, weight_params(rows, 0)).astype(np.int32)
    sums = integers[:, 0 : rows.shape[1] // 2 * 2 : 2] + integers[:, 1::2]
    return float(np.mean(np.abs(sums) * np.iinfo(np.uint8).max > np.iinfo(np.int16).max)) if sums.size else 0.0


def _saturation(layer: Layer) -> str:
    return (
        f"saturating accumulation: {saturable(layer):.0%} of its pairs of neighbouring weights, times large "
        "activations, exceed the 16 bits in which this processor sums their products"
    )


def _reach(layer: Layer) -> float:
    """The largest weight as a multiple of the median; infinite if most weights are zero, 0 without weights."""
    if layer.weights is None:
        return 0.0
    values = np.abs(_weights(layer))
    typical = float(np.median(values))
    return float(values.max()) / typical if typical else math.inf


def _weights_cause(layer: Layer) -> str:
    reach = _reach(layer)
    size = f"{reach:.0f} times the median" if math.isfinite(reach) else "the rest zero"
    return f"a few weights are much larger than the others (largest: {size}), so one step is coarse for these"


def _weights(layer: Layer) -> NDArray[np.float32]:
    return np.asarray(layer.weights, np.float32)


def _db(metrics: ErrorMetrics) -> float:
    return math.inf if metrics.sqnr_db is None else metrics.sqnr_db
