"""Metrics of float and int8 against labels: share of right windows, order of scores, size of errors.

* accuracy: the share of right windows, as the output's kind defines it. The bound of its drop is Tango's, see
  :mod:`.bounds`.
* auc (binary, anomaly; one score per window): the probability that a positive window has a larger score than a negative
  one, where equal scores count half: Mann & Whitney (1947), "On a test of whether one of two random variables is
  stochastically larger than the other", Annals of Mathematical Statistics 18.
* map and map50 (detection, detection_head): mean average precision, over overlaps from 0.5 to 0.95 and at 0.5,
  see :mod:`.detection.average_precision`. They have no bound.
* mae (regression): the absolute error, averaged over elements and windows.

The bounds of the drop of auc and mae are in :mod:`.paired`.

Pure: outputs and labels in, numbers out. Labels must fit, which :meth:`.agreement.Judge.correct` checks before.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.jobs.data_summary import Metric
from edge_agent.quant.bounds import tango_upper
from edge_agent.quant.detection.average_precision import AveragePrecision
from edge_agent.quant.detection.labels import labelled_boxes
from edge_agent.quant.findings import Measured
from edge_agent.quant.kinds import KINDS
from edge_agent.quant.kinds.kind import Kind, row
from edge_agent.quant.paired import auc_drop_upper, mean_upper
from edge_agent.wire.manifest import Output, OutputKind

_SCORES: tuple[OutputKind, ...] = ("binary", "anomaly")
_BOXES: tuple[OutputKind, ...] = ("detection", "detection_head")
_FAINTEST = 0.001
"""Boxes with lower scores change no average precision; the exporters' own evaluations use the same value."""


class LabelledOutputs:
    """Adds up labelled windows for the metrics that need more than right or wrong."""

    def __init__(self, kind: OutputKind, output: Output | None = None) -> None:
        """``output``: the resolved meaning of a detector's outputs."""
        self._kind = kind
        self._detector: Kind | None = None
        if kind in _BOXES and output is not None:
            self._detector = KINDS[kind](msgspec.structs.replace(output, threshold=_FAINTEST))
        self._precisions = AveragePrecision(), AveragePrecision()
        self._scores: list[tuple[bool, float, float]] = []
        self._errors: list[tuple[float, float]] = []

    def add(self, label: Any, reference: NDArray[Any], target: NDArray[Any]) -> None:
        """Add one window's label, float's output and int8's output, of equal shape."""
        if self._kind in _SCORES and reference.size == target.size == 1:
            self._scores.append((bool(row(label)[0] > 0.0), float(row(reference)[0]), float(row(target)[0])))
        elif self._detector is not None:
            for precision, output in zip(self._precisions, (reference, target), strict=True):
                precision.add(labelled_boxes(label), self._detector.answer(output))
        elif self._kind == "regression":
            self._errors.append((_mean_error(label, reference), _mean_error(label, target)))

    def metrics(self, effect: float = 1.0) -> list[Metric]:
        """AUC, MAE or mAP, if the kind has one and the labels have both sides.

        ``effect``: windows that count as one.
        """
        if self._scores:
            positive, *both = (np.array(column) for column in zip(*self._scores, strict=True))
            before, after = (area_under_curve(scores, positive) for scores in both)
            if before is None:
                return []
            drop = None if after is None else before - after
            return [Metric("auc", before, after, drop, auc_drop_upper(both[0], both[1], positive, effect))]
        if self._errors:
            reference, target = np.array(self._errors).T
            before, after = float(reference.mean()), float(target.mean())
            return [Metric("mae", before, after, after - before, mean_upper(target - reference, effect))]
        return list(self._average_precision())

    def _average_precision(self) -> Iterator[Metric]:
        before, after = self._precisions
        for name, measure in (("map", AveragePrecision.mean), ("map50", lambda one: one.at(0.5))):
            float_has, int8_has = measure(before), measure(after)
            if float_has is not None and int8_has is not None:
                yield Metric(name, float_has, int8_has, float_has - int8_has)


def accuracy(measured: Measured) -> Metric | None:
    """The share of right labelled windows, with the bound of the drop; None if labels cannot check the kind."""
    lost, won, right = measured.lost, measured.won, measured.float_right
    if lost is None or won is None or right is None or not measured.windows:
        return None
    n, effect = measured.windows, measured.design_effect
    bound = tango_upper(lost / effect, won / effect, measured.windows_effective)
    return Metric("accuracy", right / n, (right - lost + won) / n, (lost - won) / n, bound)


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    """The area under the ROC curve; None if only one side is present or a score is NaN."""
    above, below = int(positive.sum()), int((~positive).sum())
    if not above or not below or np.isnan(scores).any():
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0  # equal scores share the middle of their ranks
    return float((ranks[place][positive].sum() - above * (above + 1) / 2.0) / (above * below))


def _mean_error(label: Any, output: NDArray[Any]) -> float:
    difference = np.ravel(output).astype(np.float64) - np.ravel(np.asarray(label, np.float64))
    return float(np.mean(np.abs(difference)))
