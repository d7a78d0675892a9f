"""Detection: boxes match one to one, of the same class, each pair with an intersection over union of at least 0.5.

What is judged is ``[N, 6]`` after non-maximum suppression, with or without a batch axis of one: x1, y1, x2, y2, score,
class; or y1, x1, y2, x2, as that changes no overlap. Boxes whose score is below ``[output] threshold`` (0.5) do not
count, so padding may follow. A model with separate outputs names them in ``[output]``: ``boxes`` ``[N, 4]``,
``scores`` ``[N]`` and, unless there is one class only, ``classes`` ``[N]``. ``tolerance`` is the least overlap.
Boxes given by centre and size, or before suppression, are not judged as detections: set kind = "raw".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.kinds.kind import Kind, with_defaults
from edge_agent.wire.manifest import Output

_COLUMNS = 6
_SCORE, _CLASS = 4, 5


class Detection(Kind):
    """Boxes."""

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """With the least score and the least overlap that count."""
        for one in sample:
            _table(one)
        return with_defaults(output, threshold=0.5, tolerance=0.5)

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The boxes that count."""
        table = _table(output)
        return table[table[:, _SCORE] >= (self.output.threshold or 0.0)]

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether each box has its own partner."""
        wanted, got = self.answer(reference), self.answer(target)
        if len(wanted) != len(got):
            return False
        alike = overlaps(wanted, got) >= (self.output.tolerance or 0.0)
        return _all_paired(alike & (wanted[:, None, _CLASS] == got[None, :, _CLASS]))


def overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of each of ``first`` [n, >= 4] with each of ``second`` [m, >= 4]: [n, m]."""
    low = np.maximum(first[:, None, 0:2], second[None, :, 0:2])
    high = np.minimum(first[:, None, 2:4], second[None, :, 2:4])
    shared = np.prod(np.maximum(high - low, 0.0), axis=2)
    union = _area(first)[:, None] + _area(second)[None, :] - shared
    same = np.all(first[:, None, :4] == second[None, :, :4], axis=2)  # also where there is no area
    overlap: NDArray[np.float64] = np.divide(shared, union, out=same.astype(np.float64), where=union > 0.0)
    return overlap


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = np.prod(np.maximum(boxes[:, 2:4] - boxes[:, 0:2], 0.0), axis=1)
    return area


def _table(output: NDArray[Any]) -> NDArray[np.float64]:
    if output.ndim < 2 or output.shape[-1] != _COLUMNS or any(size != 1 for size in output.shape[:-2]):  # noqa: PLR2004  # a table
        raise ContractError(
            "shape_mismatch",
            f"an output of shape {output.shape} is no table [N, 6] of detections (x1, y1, x2, y2, score, class after "
            "suppression); name boxes, scores and classes under [output], or set another output kind",
        )
    table = output.reshape(-1, _COLUMNS).astype(np.float64)
    table[:, _CLASS] = np.rint(table[:, _CLASS])  # in one int8 output with the corners it is no whole number
    return table


def _all_paired(alike: NDArray[np.bool_]) -> bool:
    """Whether each row has its own column (augmenting paths, Kuhn 1955): taking the best pairs first may miss it."""
    partner: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column in np.flatnonzero(alike[row]).tolist():
            if column in tried:
                continue
            tried.add(column)
            if column not in partner or place(partner[column], tried):
                partner[column] = row
                return True
        return False

    return all(place(row, set()) for row in range(len(alike)))
