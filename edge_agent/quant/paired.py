"""How much worse int8 is at most, where that is no share of windows: one-sided 95 % bounds from paired numbers. Pure.

* AUC: DeLong, DeLong & Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver operating
  characteristic curves: a nonparametric approach", Biometrics 44. Float and int8 score the same windows, so what counts
  is how much the difference of their placements varies, which is little where they order windows alike.
* a mean, as of absolute errors: Student's, of the differences.

Both hold for many windows. In simulations the true drop in AUC lay above the bound in 4 to 10 of 100 cases, the most
where one side had 20 windows or AUC was above 0.98; with fewer windows that int8 places differently it was up to 20, so
then there is no bound, nor where nothing differs at all. They are shown beside what they bound; no gate rests on them.
"""

import math

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.bounds import CONFIDENCE, student_quantile

Floats = NDArray[np.float64]
_FEWEST = 2
"""Of fewer there is no variance."""
_FEWEST_MOVED = 10
"""Windows of each side that int8 places differently."""


def mean_upper(differences: Floats, effect: float = 1.0) -> float | None:
    """The largest mean that ``differences`` do not contradict; None: there is no bound.

    Args:
        differences: one number a window.
        effect: how many windows count as one.
    """
    count = len(differences)
    if count < _FEWEST:
        return None
    return _bound(float(differences.mean()), float(differences.var(ddof=1)) / count, count, effect)


def auc_drop_upper(reference: Floats, target: Floats, positive: NDArray[np.bool_], effect: float = 1.0) -> float | None:
    """The largest drop in the area under the ROC curve that the scores do not contradict; None: there is no bound.

    Args:
        reference: float's score of each window.
        target: int8's.
        positive: what each window is.
        effect: how many windows count as one.
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
    """``variance`` is that of the mean if windows were independent, as guessed from ``count`` of them."""
    if not variance > 0.0:
        return None
    return mean + student_quantile(CONFIDENCE, count - 1) * math.sqrt(variance * effect)


def _placements(scores: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For each positive window the share of negative ones that it beats, and for each of those by how many it is."""
    high, low = scores[positive], scores[~positive]
    return _beats(high, low), 1.0 - _beats(low, high)


def _beats(scores: Floats, others: Floats) -> Floats:
    """For each of ``scores`` the share of ``others`` below it, equal ones counting half."""
    ordered = np.sort(others)
    less, at_most = np.searchsorted(ordered, scores, "left"), np.searchsorted(ordered, scores, "right")
    return (less + at_most) / (2.0 * len(others))
