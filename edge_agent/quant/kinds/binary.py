"""Binary: every element on the same side of the threshold: 0.5 for probabilities, 0 for logits. Labels are 0 or 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.kinds.kind import Kind, are_fractions, numbers, row, with_defaults
from edge_agent.wire.manifest import Output

_NEAR = 1 / 64
"""Of the range of float's values: four steps of int8."""


class Binary(Kind):
    """One or several decisions of yes or no."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._low = self._high = output.threshold or 0.0

    def observe(self, output: NDArray[Any]) -> None:
        """Learn the range of float's values."""
        if output.size:
            self._low = min(self._low, float(np.min(output)))
            self._high = max(self._high, float(np.max(output)))

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """With the threshold that float's outputs suggest."""
        return with_defaults(output, threshold=0.5 if are_fractions(sample) else 0.0)

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The sides."""
        return np.asarray(row(output) >= (self.output.threshold or 0.0))

    def named_class(self, output: NDArray[Any]) -> int | None:
        """0 or 1, where there is one decision."""
        return int(self.answer(output).item()) if output.size == 1 else None

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether all sides are the same; an int8 value at the very threshold has not decided.

        Dead outputs come to lie there. Where float itself is near, rounding may lead there, and nothing is said by it.
        """
        wanted, got = row(reference), row(target)
        if wanted.shape != got.shape:
            return False
        threshold = self.output.threshold or 0.0
        undecided = (got == threshold) & (np.abs(wanted - threshold) > _NEAR * (self._high - self._low))
        return not undecided.any() and np.array_equal(self.answer(reference), self.answer(target))

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """How far int8 is beyond the threshold, seen from float's side, in the element that is furthest."""
        threshold = self.output.threshold or 0.0
        beyond = (row(target) - threshold) * np.where(self.answer(reference), -1.0, 1.0)
        return float(beyond.max())

    def correct(self, output: NDArray[Any], label: Any) -> bool | None:
        """Whether every element is on its label's side; -1 means no, as 0 does."""
        kind = self.output.kind or "binary"
        wanted = f"{output.size} times 0 or 1 (or -1 and 1)"
        truth = numbers(kind, label, output.size, wanted, (-1, 0, 1))
        return bool(np.isfinite(output).all()) and np.array_equal(self.answer(output), truth > 0.0)
