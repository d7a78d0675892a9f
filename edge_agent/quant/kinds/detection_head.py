"""Detection before suppression: int8 finds the boxes that float finds.

Detectors are mostly exported without their last steps. The output is thousands of candidates, boxes beside scores, of
which a handful count. int8's errors in the others do not matter. An error over the whole tensor would reflect only the
boxes, whose values are a hundred times those of scores. So the outputs of float and int8 are decoded and suppressed
(:mod:`edge_agent.quant.detection`), as the application does it, and then compared box by box.

A window agrees if every box of float at the threshold has its own partner among int8's, and every box of int8's among
float's: same class, an intersection over union of at least ``tolerance`` (0.5). A partner may score slightly below the
threshold where the two scores are close, as both have then found the box and the threshold only separates their
rounding: :data:`edge_agent.quant.detection.match.SCORE_SLACK`. A dead int8 head, with all scores 0, finds no partners.

``[output] threshold`` is the least score that counts, float's operating point, usually the application's. By default it
is that of the exporters' own applications (0.25 for YOLO, 0.5 for SSD and DETR, 0.3 for CenterNet). ``[output] head``
names the layout; by default it is found (:mod:`edge_agent.quant.detection.layouts`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.class_recall import Kept
from edge_agent.quant.detection import COLUMNS, SCORE
from edge_agent.quant.detection.decode import decode
from edge_agent.quant.detection.labels import all_found, are_boxes, labelled_boxes, rightly_found
from edge_agent.quant.detection.layouts import USUAL, settle
from edge_agent.quant.detection.match import LEAST_OVERLAP, Counts, counts_by_class, shares_found, slack
from edge_agent.quant.detection.room import used_up, worth_a_look
from edge_agent.quant.detection.suppress import suppress
from edge_agent.quant.kinds.kind import ScaledKind, with_defaults
from edge_agent.wire.detection_head import Head
from edge_agent.wire.manifest import Output


class _Compared(NamedTuple):
    """One window by float and by int8: the outputs, and the boxes ``[N, 6]`` of each that are :func:`worth_a_look`."""

    reference: NDArray[Any]
    target: NDArray[Any]
    wanted: NDArray[np.float64]
    got: NDArray[np.float64]
    counts: dict[int, Counts]


class DetectionHead(ScaledKind):
    """Boxes before suppression.

    The error is measured by groups of channels, as scores are small compared with boxes.
    """

    ANY_SHAPE = True

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._last: _Compared | None = None
        """The last compared window, as several methods need it."""

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """Fill in the layout, the least score and the least overlap."""
        head = settle(given_head(output), sample, separate=bool(output.boxes))
        if not head.layout:
            return output
        usual = USUAL[head.layout].threshold
        return with_defaults(msgspec.structs.replace(output, head=head), threshold=usual, tolerance=LEAST_OVERLAP)

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The boxes that count."""
        return detections(output, self.output)

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether every box of either has a partner."""
        return all(one.complete for one in self.counts_by_class(reference, target).values())

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """The share of its boxes' room that the error has used up."""
        compared = self._compared(reference, target)
        return used_up(compared.wanted, compared.got, self._threshold, self._overlap, slack(self._threshold))

    def correct(self, output: NDArray[Any], label: Any) -> bool | None:
        """Whether the boxes that count match the label's boxes one to one; None if the label has no boxes."""
        if not are_boxes([label]):
            return None
        return all_found(labelled_boxes(label), self.answer(output), self._overlap)

    def counts_by_class(self, reference: NDArray[Any], target: NDArray[Any]) -> dict[int, Counts]:
        """Numbers of boxes with a partner in one window: recall and precision relative to float."""
        return self._compared(reference, target).counts

    def kept_classes(self, reference: NDArray[Any], target: NDArray[Any], label: Any = None) -> Kept:
        """The share of float's boxes that int8 finds, for each class."""
        if label is None or not are_boxes([label]):
            return shares_found(self.counts_by_class(reference, target))
        compared = self._compared(reference, target)
        close = compared.wanted[:, SCORE] >= self._threshold - slack(self._threshold)
        right = rightly_found(compared.wanted[close], label, self._overlap)
        return shares_found(counts_by_class(right, compared.got, self._threshold, self._overlap))

    def _compared(self, reference: NDArray[Any], target: NDArray[Any]) -> _Compared:
        last = self._last
        if last is None or last.reference is not reference or last.target is not target:
            wanted, got = self._worth_a_look(reference), self._worth_a_look(target)
            found = counts_by_class(wanted, got, self._threshold, self._overlap)
            last = self._last = _Compared(reference, target, wanted, got, found)
        return last

    @property
    def _threshold(self) -> float:
        return self.output.threshold or 0.0

    @property
    def _overlap(self) -> float:
        return LEAST_OVERLAP if self.output.tolerance is None else self.output.tolerance

    def _worth_a_look(self, output: NDArray[Any]) -> NDArray[np.float64]:
        every = _candidates(output, self.output, 0.0)
        return _suppressed(worth_a_look(every, self._threshold), self.output)


def given_head(output: Output) -> Head:
    """The layout in ``[output]``."""
    return output.head or Head()


def head_found(output: Output) -> str:
    """A description of the found layout, to append to that of the kind; empty while it is unknown."""
    head = given_head(output)
    if not head.activation:
        return ""
    scores = "scores" if head.activation == "none" else f"{head.activation} of the scores"
    return (
        f"; layout {head.layout} ({head.box_format} in {head.units}, {scores}), boxes that score {output.threshold:g}"
    )


def detections(output: NDArray[Any], meaning: Output) -> NDArray[np.float64]:
    """The boxes ``[N, 6]`` of one window that count, the strongest first.

    Args:
        output: the model's output, with separate outputs joined.
        meaning: the result of :meth:`DetectionHead.resolve`.

    Raises:
        ContractError: ``shape_mismatch``: the output does not have its layout, or no layout is known.
    """
    return _suppressed(_candidates(output, meaning, meaning.threshold or 0.0), meaning)


def _candidates(output: NDArray[Any], meaning: Output, least_score: float) -> NDArray[np.float64]:
    """The detections of one window before suppression; raises ``ContractError`` as :func:`detections` does."""
    head = given_head(meaning)
    if head.layout and head.activation:
        return decode(output, head, least_score)
    if not output.any():  # a placeholder for an output whose values are not known yet
        return np.zeros((0, COLUMNS))
    raise ContractError(
        "shape_mismatch",
        f"an output of shape {output.shape} does not show how its boxes and scores are laid out; set head under "
        "[output]",
    )


def _suppressed(found: NDArray[np.float64], meaning: Output) -> NDArray[np.float64]:
    most = given_head(meaning).max_overlap
    return suppress(found, 1.0 if most is None else most)
