"""Checks that float itself fits its labels better than a constant answer. Pure.

If it does not, the labels are wrong: counted from 1, inverted, or in another unit. Then float and int8 are equally
wrong, and no drop of accuracy is visible. The constant answer depends on the kind:

* classes, binary, sequence: the commonest label; compared by the number of right windows.
* anomaly: anomalies are rare, so "usual" is nearly always right, and the threshold is arbitrary. A constant score
  separates nothing: its area under the ROC curve is 0.5 (Mann & Whitney 1947, see :mod:`.labelled`).
* regression: the mean of the labels. Float's squared error is compared with that of the mean, which requires a
  coefficient of determination of 0 or more, over all elements as they are (Wright 1921, "Correlation and causation").
* detection, detection_head: no box at all. Float that finds none of the labelled boxes is no better.
"""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.class_recall import Kept
from edge_agent.quant.detection.labels import are_boxes, labelled_boxes
from edge_agent.quant.kinds.kind import row
from edge_agent.quant.labelled import area_under_curve
from edge_agent.strict import counted
from edge_agent.wire.manifest import OutputKind

COUNTED: tuple[OutputKind, ...] = ("classes", "binary", "sequence")
_BOXES: tuple[OutputKind, ...] = ("detection", "detection_head")
_CHANCE = 0.5


class FloatSkill:
    """Adds up labelled windows. Labels must fit the output's shape."""

    def __init__(self, kind: OutputKind) -> None:
        self._kind = kind
        self._labels: Counter[Any] = Counter()
        self._scores: list[tuple[bool, float]] = []
        self._squares = _Squares()
        self._boxed = 0
        self._found = False

    def add(self, label: Any, reference: NDArray[Any], right: Kept | None = None) -> None:
        """Add one window's label and float's output; ``right``: the classes that float finds in it correctly."""
        if self._kind in COUNTED:
            values = np.asarray(label).reshape(-1).tolist()
            self._labels[values[0] if len(values) == 1 else tuple(values)] += 1
        elif self._kind == "anomaly" and reference.size == 1:
            self._scores.append((bool(row(label)[0] > 0.0), float(row(reference)[0])))
        elif self._kind == "regression":
            self._squares.add(np.ravel(np.asarray(label, np.float64)), np.ravel(np.asarray(reference, np.float64)))
        elif self._kind in _BOXES and are_boxes([label]) and len(labelled_boxes(label)):
            self._boxed += 1
            self._found = self._found or bool(right)

    @property
    def commonest(self) -> int | None:
        """Number of windows with the commonest label, for kinds that are compared by this number."""
        return max(self._labels.values(), default=None)

    @property
    def worse(self) -> str:
        """Where float is worse than a constant answer, for kinds without a number of right windows.

        Empty if it is not.
        """
        if self._scores:
            positive, scores = (np.array(column) for column in zip(*self._scores, strict=True))
            area = area_under_curve(scores, positive)
            if area is not None and area < _CHANCE:
                return (
                    f"float scores a labelled anomaly above another window in {area:.0%} of all pairs, a constant "
                    "answer would in 50 %"
                )
        if self._boxed and not self._found:
            return f"float finds none of the labelled boxes of {counted(self._boxed, 'window')}"
        return self._squares.worse


class _Squares:
    """Float's squared errors, and those of the labels' mean (Welford 1962), in constant memory."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: NDArray[np.float64] = np.zeros(1)
        self._apart: NDArray[np.float64] = np.zeros(1)
        self._off = 0.0

    def add(self, label: NDArray[np.float64], output: NDArray[np.float64]) -> None:
        self._count += 1
        before = label - self._mean
        self._mean = self._mean + before / self._count
        self._apart = self._apart + before * (label - self._mean)
        self._off += float(np.sum(np.square(output - label)))

    @property
    def worse(self) -> str:
        apart = float(self._apart.sum())
        if not apart or self._off <= apart:
            return ""
        values = self._count * self._mean.size
        return (
            f"float is {(self._off / values) ** 0.5:.4g} off the labels (RMS), their own mean would be "
            f"{(apart / values) ** 0.5:.4g} off"
        )
