"""One-sided 95 % bounds for int8's loss in metrics that are no share of windows, from paired numbers. Pure.

* AUC: DeLong, DeLong & Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver operating
  characteristic curves: a nonparametric approach", Biometrics 44. Float and int8 score the same windows, so the bound
  depends on the variance of the difference of their placements, which is small where they order windows alike.
* a mean, such as that of absolute errors: Student's bound, of the differences.

Both hold for many windows. In simulations the true drop in AUC lay above the bound in 4 to 10 of 100 cases, most often
where one side had 20 windows or AUC was above 0.98. With fewer windows that int8 places differently it was up to 20, so
then there is no bound, nor where nothing differs. The bounds are shown beside the metrics; no gate depends on them.
"""

import math

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.bounds import CONFIDENCE, student_quantile

Floats = NDArray[np.float64]
_FEWEST = 2
"""Minimum number of values for a variance."""
_FEWEST_MOVED = 10
"""Minimum number of windows per side that int8 places differently."""


def mean_upper(differences: Floats, effect: float = 1.0) -> float | None:
    """The largest mean that ``differences`` do not contradict; None if there is no bound.

    Args:
        differences: one number per window.
        effect: the number of windows that count as one.
    """
    count = len(differences)
    if count < _FEWEST:
        return None
    return _bound(float(differences.mean()), float(differences.var(ddof=1)) / count, count, effect)


def auc_drop_upper(reference: Floats, target: Floats, positive: NDArray[np.bool_], effect: float = 1.0) -> float | None:
    """The largest drop in the area under the ROC curve that the scores do not contradict; None if there is no bound.

    Args:
        reference: float's score of each window.
        target: int8's score of each window.
        positive: whether each window is positive.
        effect: the number of windows that count as one.
    """
    above, below = int(positive.sum()), int((~positive).sum())
    if not (above and below and np.isfinite(reference).all() and np.isfinite(target).all()):
        return None
    before, after = _placements(reference, positive), _placements(target, positive)
    high, low = before[0] - after[0], before[1] - after[1]
    if min(np.count_nonzero(high), np.count_nonzero(low)) < _FEWEST_MOVED:
        return None
    variance = float(high.var(ddof=1)) / above + float(low.var(ddof=1)) / below
    bound = _bound(float(high.mean()), variance, min(above, below), effect)
    return None if bound is None else min(1.0, bound)


def _bound(mean: float, variance: float, count: int, effect: float) -> float | None:
    """The bound of a mean.

    ``variance`` is that of the mean for independent windows, estimated from ``count`` of them.
    """
    if not variance > 0.0:
        return None
    return mean + student_quantile(CONFIDENCE, count - 1) * math.sqrt(variance * effect)


def _placements(scores: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For each positive window the share of negative ones below it, and for each negative one the share above it."""
    high, low = scores[positive], scores[~positive]
    return _beats(high, low), 1.0 - _beats(low, high)


def _beats(scores: Floats, others: Floats) -> Floats:
    """For each of ``scores`` the share of ``others`` below it; equal ones count half."""
    ordered = np.sort(others)
    less, at_most = np.searchsorted(ordered, scores, "left"), np.searchsorted(ordered, scores, "right")
    return (less + at_most) / (2.0 * len(others))
