"""Binary: every element lies on the same side of the threshold: 0.5 for probabilities, 0 for logits. Labels: 0 or 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.class_recall import Kept
from edge_agent.quant.kinds.kind import Kind, are_fractions, numbers, row, with_defaults
from edge_agent.quant.near import ValueRange, at_threshold
from edge_agent.wire.manifest import Output

_MOST_DECISIONS = 128
"""With more decisions per output, no decision is a class of its own: a map of decisions is of the kind mask."""


class Binary(Kind):
    """One or several yes-or-no decisions, each with its own scale."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._range = ValueRange()

    def observe(self, output: NDArray[Any]) -> None:
        """Learn the range of each of float's values, including the threshold."""
        values = row(output)
        self._range.add(values)
        self._range.add(np.full_like(values, self.output.threshold or 0.0))

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """Fill in the threshold that float's outputs suggest."""
        return with_defaults(output, threshold=0.5 if are_fractions(sample) else 0.0)

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The side of the threshold of each element."""
        return np.asarray(row(output) >= (self.output.threshold or 0.0))

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether all sides are the same; an int8 value exactly at the threshold is undecided."""
        return row(reference).shape == row(target).shape and bool(self._same(reference, target).all())

    def kept_classes(self, reference: NDArray[Any], target: NDArray[Any], label: Any = None) -> Kept:
        """0 or 1 for a single decision; for several, each decision's yes and no."""
        sides = self.answer(reference)
        if sides.size > _MOST_DECISIONS:
            return {}
        same = self._same(reference, target) if row(target).shape == sides.shape else np.zeros(sides.shape, bool)
        right = np.ones(sides.shape, bool) if label is None else sides == self._truth(reference, label)
        return {
            (int(side) if sides.size == 1 else f"{place} ({'yes' if side else 'no'})"): (1.0, float(kept))
            for place, (side, kept, counts) in enumerate(zip(sides.flat, same.flat, right.flat, strict=True))
            if counts
        }

    def _same(self, reference: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        wanted, got = row(reference), row(target)
        threshold = self.output.threshold or 0.0
        undecided = at_threshold(wanted, got, threshold, self._range.near)
        same: NDArray[np.bool_] = (self.answer(reference) == self.answer(target)) & ~undecided
        return same

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """How far int8 lies beyond the threshold, seen from float's side, in the furthest element."""
        threshold = self.output.threshold or 0.0
        beyond = (row(target) - threshold) * np.where(self.answer(reference), -1.0, 1.0)
        return float(beyond.max(initial=-np.inf))

    def correct(self, output: NDArray[Any], label: Any) -> bool | None:
        """Whether every element is on its label's side; -1 means no, like 0."""
        truth = self._truth(output, label)
        return bool(np.isfinite(output).all()) and np.array_equal(self.answer(output), truth)

    def _truth(self, output: NDArray[Any], label: Any) -> NDArray[np.bool_]:
        kind = self.output.kind or "binary"
        wanted = f"{'' if output.size == 1 else f'{output.size} times '}0 or 1 (or -1 and 1)"
        return np.reshape(numbers(kind, label, output.size, wanted, (-1, 0, 1)) > 0.0, row(output).shape)
