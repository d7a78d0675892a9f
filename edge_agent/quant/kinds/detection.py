"""Detection: boxes match one to one, of the same class, each pair with an intersection over union of at least 0.5.

The judged output is ``[N, 6]`` after non-maximum suppression, possibly with a batch axis of one: x1, y1, x2, y2, score,
class; or y1, x1, y2, x2, as that changes no overlap. Boxes with scores below ``[output] threshold`` (0.5) do not count,
so padding may follow. A model with separate outputs names them in ``[output]``: ``boxes`` ``[N, 4]``, ``scores``
``[N]`` and, unless there is only one class, ``classes`` ``[N]``. ``tolerance`` is the least overlap. Boxes before
suppression are of the kind ``detection_head``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.class_recall import Kept
from edge_agent.quant.detection import CLASS, COLUMNS, SCORE
from edge_agent.quant.detection.labels import all_found, are_boxes, labelled_boxes, rightly_found
from edge_agent.quant.detection.match import Counts, alike, counts_by_class, pairs, shares_found
from edge_agent.quant.detection.room import used_up, worth_a_look
from edge_agent.quant.kinds.kind import Kind, with_defaults
from edge_agent.wire.manifest import Output


class Detection(Kind):
    """Boxes after suppression."""

    ANY_SHAPE = True

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """Fill in the least score and the least overlap."""
        for one in sample:
            _table(one)
        return with_defaults(output, threshold=0.5, tolerance=0.5)

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The boxes that count."""
        table = _table(output)
        return table[table[:, SCORE] >= (self.output.threshold or 0.0)]

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether each box has a partner of its own."""
        wanted, got = self.answer(reference), self.answer(target)
        if len(wanted) != len(got):
            return False
        return bool((pairs(alike(wanted, got, self.output.tolerance or 0.0)) >= 0).all())

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """The share of its boxes' room that the error has used up."""
        threshold = self.output.threshold or 0.0
        wanted, got = (worth_a_look(_table(one), threshold) for one in (reference, target))
        return used_up(wanted, got, threshold, self.output.tolerance or 0.0)

    def correct(self, output: NDArray[Any], label: Any) -> bool | None:
        """Whether the boxes that count match the label's boxes one to one; None if the label has no boxes."""
        if not are_boxes([label]):
            return None
        return all_found(labelled_boxes(label), self.answer(output), self.output.tolerance or 0.0)

    def counts_by_class(self, reference: NDArray[Any], target: NDArray[Any]) -> dict[int, Counts]:
        """Numbers of boxes with a partner in one window."""
        return self._counted(self.answer(reference), self.answer(target))

    def kept_classes(self, reference: NDArray[Any], target: NDArray[Any], label: Any = None) -> Kept:
        """The share of float's boxes that int8 finds, for each class."""
        wanted = rightly_found(self.answer(reference), label, self.output.tolerance or 0.0)
        return shares_found(self._counted(wanted, self.answer(target)))

    def _counted(self, wanted: NDArray[np.float64], got: NDArray[np.float64]) -> dict[int, Counts]:
        return counts_by_class(wanted, got, self.output.threshold or 0.0, self.output.tolerance or 0.0)


def _table(output: NDArray[Any]) -> NDArray[np.float64]:
    if output.ndim < 2 or output.shape[-1] != COLUMNS or any(size != 1 for size in output.shape[:-2]):  # noqa: PLR2004  # a table
        raise ContractError(
            "shape_mismatch",
            f"an output of shape {output.shape} is no table [N, 6] of detections (x1, y1, x2, y2, score, class after "
            "suppression); name boxes, scores and classes under [output], or set another output kind",
        )
    table = output.reshape(-1, COLUMNS).astype(np.float64)
    table[:, CLASS] = np.rint(table[:, CLASS])  # in int8, on a scale shared with corners, it is no whole number
    return table
