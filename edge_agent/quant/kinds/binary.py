"""Binary: every element on the same side of the threshold: 0.5 for probabilities, 0 for logits. Labels are 0 or 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.kinds.kind import Kind, are_fractions, numbers, row, with_defaults
from edge_agent.wire.manifest import Output


class Binary(Kind):
    """One or several decisions of yes or no."""

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """With the threshold that float's outputs suggest."""
        return with_defaults(output, threshold=0.5 if are_fractions(sample) else 0.0)

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The sides."""
        return np.asarray(row(output) >= (self.output.threshold or 0.0))

    def correct(self, output: NDArray[Any], label: Any) -> bool | None:
        """Whether every element is on its label's side; -1 means no, as 0 does."""
        kind = self.output.kind or "binary"
        wanted = f"{output.size} times 0 or 1 (or -1 and 1)"
        truth = numbers(kind, label, output.size, wanted, (-1, 0, 1))
        return bool(np.isfinite(output).all()) and np.array_equal(self.answer(output), truth > 0.0)
