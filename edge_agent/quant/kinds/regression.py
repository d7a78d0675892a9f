"""Regression: every element within ``tolerance`` (5 %) of the spread of float's outputs, 1st to 99th percentile."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.kinds.kind import ScaledKind, numbers, row, with_defaults
from edge_agent.quant.scale_groups import NOTHING, STILL
from edge_agent.wire.manifest import Output

_PERCENTILES = (1.0, 99.0)
_VALUES = 4_000_000  # float32 values kept for the spread: 16 MB
_TINY = 1e-300  # an output that never varies has no spread
_ROWS = 32  # minimum number of rows, as percentiles of fewer mean nothing


class Regression(ScaledKind):
    """Numbers that are estimates."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._random = np.random.default_rng(0)
        self._seen = 0
        self._kept: list[NDArray[np.float32]] = []
        self._spread: NDArray[np.float64] | None = None

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:  # noqa: ARG003  # one signature
        """Fill in the largest share of the spread."""
        return with_defaults(output, tolerance=0.05)

    def observe(self, output: NDArray[Any]) -> None:
        """Keep every row while there are few, otherwise a uniform sample (reservoir, Vitter 1985, algorithm R).

        Raises:
            ContractError: ``shape_mismatch``: the number of values changes, or is zero.
        """
        super().observe(output)
        values = row(output).astype(np.float32)
        self._seen += 1
        self._spread = None
        if not values.size or (self._kept and values.shape != self._kept[0].shape):
            raise ContractError(
                "shape_mismatch",
                f"an output of shape {values.shape} is no regression of fixed size; set another output kind",
            )
        room = max(_ROWS, _VALUES // values.size)
        if len(self._kept) < room:
            self._kept.append(values)
        elif (place := int(self._random.integers(self._seen))) < room:
            self._kept[place] = values

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether every element is within its tolerance."""
        wanted, got = row(reference), row(target)
        return wanted.shape == got.shape and self._within_spread(got - wanted)

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """The largest difference, as a share of the element's spread."""
        difference = np.abs(row(target) - row(reference))
        return float(np.max(difference / np.maximum(self._spreads, _TINY)))

    def correct(self, output: NDArray[Any], label: Any) -> bool | None:
        """Whether every element is within tolerance of its label."""
        values = row(output)
        if values.ndim == 1:
            wanted = f"{values.size} numbers, or integers if they are class numbers,"
            if values.size == 1:
                wanted = "a number, or an integer if it is a class number,"
            truth = numbers("regression", label, values.size, wanted, None)
        else:
            truth = numbers("regression", np.ravel(label), values.size, f"an array of shape {values.shape}", None)
            truth = truth.reshape(values.shape)
        return bool(np.isfinite(values).all()) and self._within_spread(values - truth)

    @property
    def _spreads(self) -> NDArray[np.float64]:
        if self._spread is None:
            self._spread = _spread(self._kept)
        return self._spread

    def _within_spread(self, difference: NDArray[np.float64]) -> bool:
        return bool(np.all(np.abs(difference) <= (self.output.tolerance or 0.0) * self._spreads))


def _spread(rows: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Float's 1st to 99th percentile of each element.

    One that moves only by rounding gets the whole output's spread.
    """
    values = np.stack(rows)
    low, high = np.percentile(values, _PERCENTILES, axis=0)
    spread = np.asarray(high - low, np.float64)
    still = spread <= np.maximum(STILL * np.maximum(np.abs(low), np.abs(high)), NOTHING * spread.max())
    if still.any():
        low, high = np.percentile(values, _PERCENTILES)
        spread[still] = high - low
    return spread
