"""Mean average precision of detections against labelled boxes, as COCO defines it.

Average precision is the area under the precision-recall curve, where precision is the largest at any larger recall,
sampled at 101 recalls (Lin et al. 2014, "Microsoft COCO", and its public evaluation). The mean is over the classes that
have labels, and over ten overlaps from 0.5 to 0.95; :meth:`AveragePrecision.at` uses one overlap. A window's detections
of one class take labels in the order of their scores, each the best one left; at most 100 detections count.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.detection import CLASS, SCORE
from edge_agent.quant.detection.match import overlaps

OVERLAPS = tuple(np.linspace(0.5, 0.95, 10).tolist())
_MOST = 100
_RECALLS = np.linspace(0.0, 1.0, 101)
_LABEL_CLASS = 4


class AveragePrecision:
    """Adds up windows. Classes are the labels' own numbers, which are the model's."""

    def __init__(self) -> None:
        self._labels: dict[int, int] = defaultdict(int)
        self._found: dict[int, list[tuple[NDArray[np.float64], NDArray[np.bool_]]]] = defaultdict(list)

    def add(self, labels: NDArray[np.float64], detections: NDArray[np.float64]) -> None:
        """Add one window.

        Args:
            labels: ``[M, 5]``: x1, y1, x2, y2, class.
            detections: ``[N, 6]``: x1, y1, x2, y2, score, class; including those with low scores.
        """
        for number in np.unique(np.concatenate([labels[:, _LABEL_CLASS], detections[:, CLASS]])):
            truth = labels[labels[:, _LABEL_CLASS] == number]
            mine = detections[detections[:, CLASS] == number]
            mine = mine[np.argsort(-mine[:, SCORE], kind="stable")][:_MOST]
            self._labels[int(number)] += len(truth)
            self._found[int(number)].append((mine[:, SCORE], _hits(overlaps(mine, truth))))

    def mean(self) -> float | None:
        """The mean over all overlaps and all classes that have labels; None without a label."""
        means = [self.at(overlap) for overlap in OVERLAPS]
        return float(np.mean(means)) if None not in means else None  # type: ignore[arg-type]  # no None is left here

    def at(self, overlap: float) -> float | None:
        """The mean over all classes that have labels, at one of :data:`OVERLAPS`."""
        place = int(np.argmin(np.abs(np.subtract(OVERLAPS, overlap))))
        areas = [self._area(number, place) for number, count in self._labels.items() if count]
        return float(np.mean(areas)) if areas else None

    def _area(self, number: int, place: int) -> float:
        scores = np.concatenate([scores for scores, _ in self._found[number]])
        hits = np.concatenate([hits[place] for _, hits in self._found[number]])
        hits = hits[np.argsort(-scores, kind="stable")]
        right = np.cumsum(hits)
        recall = right / self._labels[number]
        precision = np.maximum.accumulate((right / np.arange(1, len(hits) + 1))[::-1])[::-1]
        places = np.searchsorted(recall, _RECALLS, side="left")
        return float(np.append(precision, 0.0)[places.clip(0, len(precision))].mean())


def _hits(overlap: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the detections that match a label, at each of :data:`OVERLAPS`: ``[overlaps, detections]``."""
    hits = np.zeros((len(OVERLAPS), len(overlap)), bool)
    for place, least in enumerate(OVERLAPS):
        left = overlap.copy()
        for row in range(len(left)):
            if left.shape[1] and left[row].max() >= least:
                hits[place, row] = True
                left[:, np.argmax(left[row])] = -1.0
    return hits
