"""How many independent windows a run of windows is worth: neighbours in time resemble each other.

The design effect (Kish 1965, "Survey Sampling") is the variance of a share, with whole blocks of windows as its units,
over what it would be if windows were independent. Blocks are recordings where they are known, else stretches of √n
windows. Two corrections make it hold for few disagreements and few blocks:

* A share of at most 5 % is to be proved, so the question is how *that many* disagreements would lie in time. While
  there are fewer, the windows whose outputs differ most stand in for the missing ones; the larger of both effects
  counts. (With stand-ins alone, or with disagreements alone, one more disagreement could make a proof easier.)
* From few blocks the variance itself is a guess: it is widened by the squared ratio of Student's to the normal quantile
  (Korn & Graubard 1998, see ``bounds``).

Dependence that lasts longer than a block cannot be seen from within. Measured over simulated captures of 300 windows
whose true agreement is exactly 95 %: the gate accepts 3 % where windows are independent and 3 to 5 % at a correlation
of 0.5 to 0.8 from one window to the next (8 to 19 % if windows were simply counted), 9 % where the output differences
say little about disagreement, but 20 % where one situation lasts 30 windows (40 %). Captures in 2 to 12 rounds accept
1 to 5 % (100 windows) and 2 to 6 % (300) at correlations of 0 to 0.8.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.bounds import CONFIDENCE, student_quantile

STAND_IN_SHARE = 0.05
_FEWEST = 4  # fewer windows are no series
_FEWEST_BLOCKS = 8  # with fewer, the guess at the variance is widened until hardly any window counts


def design_effect(
    disagree: Sequence[bool],
    differences: Sequence[float],
    groups: Sequence[int | None] | None = None,
    *,
    in_time: bool = False,
) -> float:
    """How many windows count as one; at least 1.

    Args:
        disagree: in the order of time, whether int8 disagrees on the window.
        differences: how far int8's output is from float's there; only the order matters.
        groups: the recording of each window. Only one recording: blocks of time.
        in_time: windows follow each other in time, so that a few groups may be cut finer: two long blocks of a
            sensor's stream tell less of its dependence than √n short ones. Windows that neither follow each other nor
            are of recordings are independent.
    """
    n = len(disagree)
    dependent = in_time or (groups is not None and any(group is not None for group in groups))
    if not dependent or n < _FEWEST:
        return 1.0
    flags = np.asarray(disagree, np.float64)
    blocks = _blocks(n, groups, fewest=_FEWEST_BLOCKS if in_time else 2)
    wanted = math.ceil(STAND_IN_SHARE * n)
    effect = _variance_ratio(flags, blocks)
    if flags.sum() < wanted:
        worst = np.lexsort((-np.asarray(differences, np.float64), -flags))[:wanted]
        padded = np.zeros(n)
        padded[worst] = 1.0
        effect = max(effect, _variance_ratio(padded, blocks))
    widening = student_quantile(CONFIDENCE, int(blocks.max())) / NormalDist().inv_cdf(CONFIDENCE)
    return min(float(n), max(1.0, effect * widening**2))


def effective_windows(windows: int, effect: float) -> float:
    """How many independent windows ``windows`` are worth."""
    return windows / effect


def _blocks(n: int, groups: Sequence[int | None] | None, *, fewest: int) -> NDArray[np.intp]:
    """The block of each window, numbered from 0: its recording if there are ``fewest`` of them, else one of time."""
    if groups is not None and len(set(groups)) >= fewest:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        return np.array([numbers[group] for group in groups], np.intp)
    return np.arange(n) * max(2, round(math.sqrt(n))) // n


def _variance_ratio(series: NDArray[np.float64], blocks: NDArray[np.intp]) -> float:
    """Variance of the mean with blocks as units, over its variance with windows as units; 1 for a constant series."""
    n, count = len(series), int(blocks.max()) + 1
    centred = series - series.mean()
    alone = float(centred @ centred) * n / (n - 1)
    if not alone:
        return 1.0
    sums = np.bincount(blocks, weights=centred, minlength=count)
    return float(sums @ sums) * count / (count - 1) / alone
