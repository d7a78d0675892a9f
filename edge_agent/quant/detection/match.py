"""Matches the boxes of two tables of detections: same class, enough overlap, one partner each."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.detection import CLASS, SCORE

LEAST_OVERLAP = 0.5
SCORE_SLACK = 0.02
"""How much of float's score int8 may lose where that takes the box below the threshold.

If float scores a box 0.251 and int8 0.249, both have found it, and the threshold of 0.25 only separates their rounding.
A tensor of logits that spans 16 has int8 steps of 1/16. Near a probability of 0.25 one step changes the probability by
0.012, and two steps are allowed. A box with a high score has no such excuse, and neither has a score of 0, as the slack
is at most a quarter of the threshold.
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of boxes in one table that have a partner in the other. Counts of several windows add up.

    Attributes:
        reference: float's boxes at its threshold.
        found: those of them that int8 finds; ``found / reference`` is int8's recall.
        target: int8's boxes at the threshold.
        confirmed: those of them that float has; ``confirmed / target`` is int8's precision.
    """

    reference: int = 0
    found: int = 0
    target: int = 0
    confirmed: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.reference + other.reference,
            self.found + other.found,
            self.target + other.target,
            self.confirmed + other.confirmed,
        )

    @property
    def complete(self) -> bool:
        """Whether every box has a partner."""
        return self.found == self.reference and self.confirmed == self.target


def slack(threshold: float) -> float:
    """:data:`SCORE_SLACK`, or less for a small threshold."""
    return max(0.0, min(SCORE_SLACK, threshold / 4))


def counts(
    reference: NDArray[np.float64], target: NDArray[np.float64], threshold: float, least_overlap: float = LEAST_OVERLAP
) -> Counts:
    """The matches between float's boxes and int8's.

    Args:
        reference: float's detections ``[N, 6]`` with scores down to ``threshold - slack(threshold)`` or lower.
        target: int8's detections.
        threshold: the least score that counts.
        least_overlap: the least intersection over union of matching boxes.
    """
    same = alike(reference, target, least_overlap)
    wanted, got = reference[:, SCORE], target[:, SCORE]
    close = np.abs(wanted[:, None] - got[None, :]) <= slack(threshold)
    strong, strong_too = wanted >= threshold, got >= threshold
    found = pairs((same & (strong_too[None, :] | close))[strong])
    confirmed = pairs((same & (strong[:, None] | close))[:, strong_too].T)
    return Counts(len(found), int((found >= 0).sum()), len(confirmed), int((confirmed >= 0).sum()))


def counts_by_class(
    reference: NDArray[np.float64], target: NDArray[np.float64], threshold: float, least_overlap: float = LEAST_OVERLAP
) -> dict[int, Counts]:
    """The same counts for each class that either table has at the threshold."""
    strong = [one[one[:, SCORE] >= threshold, CLASS] for one in (reference, target)]
    return {
        int(number): counts(
            reference[reference[:, CLASS] == number], target[target[:, CLASS] == number], threshold, least_overlap
        )
        for number in np.unique(np.concatenate(strong))
    }


def shares_found(by_class: Mapping[int, Counts]) -> dict[int, tuple[float, float]]:
    """For one window: class → (1, share of float's boxes that int8 finds), for the classes that float finds.

    Each window has equal weight: boxes of one window are found or lost together, so a found crowd must not outweigh
    many windows that each lose a single box. :mod:`.kept` counts all boxes equally.
    """
    return {number: (1.0, one.found / one.reference) for number, one in by_class.items() if one.reference}


def alike(
    reference: NDArray[np.float64], target: NDArray[np.float64], least_overlap: float = LEAST_OVERLAP
) -> NDArray[np.bool_]:
    """Mask of possible matches, ``[n, m]``: same class, enough overlap."""
    same: NDArray[np.bool_] = reference[:, None, CLASS] == target[None, :, CLASS]
    return same & (overlaps(reference, target) >= least_overlap)


def pairs(alike: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The column assigned to each row, -1 for none; no other assignment serves more rows.

    By augmenting paths (Kuhn 1955), as a greedy choice of the best pairs may miss some. A free column is taken at once,
    and the search ends when all columns are taken. Otherwise, where all boxes overlap, the paths through other rows'
    columns would be long.
    """
    column_of = np.full(len(alike), -1, np.intp)
    row_of = np.full(alike.shape[1], -1, np.intp)
    wanted = alike.any(axis=0)

    def place(row: int, tried: NDArray[np.bool_]) -> bool:
        free = np.flatnonzero(alike[row] & (row_of < 0))[:1].tolist()
        for column in free or np.flatnonzero(alike[row]).tolist():
            if tried[column]:
                continue
            tried[column] = True
            if row_of[column] < 0 or place(int(row_of[column]), tried):
                row_of[column] = row
                column_of[row] = column
                return True
        return False

    for row in np.flatnonzero(alike.any(axis=1)).tolist():
        if not (wanted & (row_of < 0)).any():
            break
        place(row, np.zeros(alike.shape[1], np.bool_))
    return column_of


def overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of each of ``first`` [n, >= 4] with each of ``second`` [m, >= 4]: [n, m]."""
    low = np.maximum(first[:, None, 0:2], second[None, :, 0:2])
    high = np.minimum(first[:, None, 2:4], second[None, :, 2:4])
    shared = np.prod(np.maximum(high - low, 0.0), axis=2)
    union = _area(first)[:, None] + _area(second)[None, :] - shared
    same = np.all(first[:, None, :4] == second[None, :, :4], axis=2)  # equal boxes match even without an area
    overlap: NDArray[np.float64] = np.divide(shared, union, out=same.astype(np.float64), where=union > 0.0)
    return overlap


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = np.prod(np.maximum(boxes[:, 2:4] - boxes[:, 0:2], 0.0), axis=1)
    return area
