"""Classes: the same largest element, or for an integer output the same class numbers. Labels are class numbers.

Equal largest int8 scores name no class (:mod:`edge_agent.quant.near`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.class_recall import Kept
from edge_agent.quant.kinds.kind import Kind, numbers, row
from edge_agent.quant.near import ValueRange, tied
from edge_agent.wire.manifest import Output


class Classes(Kind):
    """One score per class, as logits or probabilities; or the class numbers themselves, as integers."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._range = ValueRange()

    def observe(self, output: NDArray[Any]) -> None:
        """Learn the range of float's scores."""
        self._range.add_whole(output)

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """``output`` unchanged; each output must be integers, or one row of at least two scores."""
        for one in sample:
            if not _are_numbers(one) and (row(one).ndim != 1 or one.size < 2):  # noqa: PLR2004  # two classes
                raise ContractError(
                    "shape_mismatch", f"an output of shape {one.shape} holds no classes; set another output kind"
                )
        return output

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The class, or the classes of an integer output."""
        return row(output) if _are_numbers(output) else np.atleast_1d(np.argmax(row(output)))

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether the largest element is the same; scores that are all equal name no class."""
        if not super().agrees(reference, target):
            return False
        if _are_numbers(target) or target.size < 2:  # noqa: PLR2004  # no tie is possible
            return True
        wanted, got = row(reference), row(target)
        dead = bool(np.ptp(got) == 0.0 != np.ptp(wanted))
        return not dead and not tied(wanted, got, self._range.near)

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """How far another score exceeds that of float's class in int8's output; negative if none does."""
        if _are_numbers(reference):
            return super().nearness(reference, target)
        scores, given = row(target).copy(), int(self.answer(reference)[0])
        own, scores[given] = scores[given], -np.inf
        return float(scores.max() - own)

    def kept_classes(self, reference: NDArray[Any], target: NDArray[Any], label: Any = None) -> Kept:
        """The class of the window; for several class numbers, each number by its share of places."""
        if label is not None and not self.correct(reference, label):
            return {}
        wanted = self.answer(reference).ravel()
        if wanted.size == 1:
            return {int(wanted[0]): (1.0, float(self.agrees(reference, target)))}
        got = self.answer(target).ravel()
        same = wanted == got if wanted.shape == got.shape else np.zeros(wanted.shape, bool)
        return {int(number): (1.0, float(same[wanted == number].mean())) for number in np.unique(wanted)}

    def correct(self, output: NDArray[Any], label: Any) -> bool | None:
        """Whether the label's class is the largest."""
        if _are_numbers(output):
            return np.array_equal(self.answer(output), numbers("classes", label, output.size, "class numbers", None))
        last = output.size - 1
        truth = numbers("classes", label, 1, f"one class number from 0 to {last}", range(last + 1))
        return bool(np.isfinite(output).all()) and np.array_equal(self.answer(output), truth)


def _are_numbers(output: NDArray[Any]) -> bool:
    """Whether an output holds class numbers instead of scores."""
    return output.dtype.kind in "iub"
