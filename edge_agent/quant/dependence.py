"""How many independent windows a run of windows is worth: neighbours in time resemble each other.

Windows come in blocks: recordings where they are known, else stretches of √n windows. How much more a share varies
when whole blocks are drawn than when windows are (Kish 1965, "Survey Sampling": the design effect) tells how alike the
windows of a block are. A share of at most 5 % is to be proved, so the question is how *that many* disagreements would
lie in time, and mostly there are fewer:

* The windows that came nearest to a disagreement stand in for the missing ones. Windows that came equally near share
  what is missing, so that ties are no order of time.
* Stand-ins are a guess, as what nearly disagrees may lie elsewhere than what does. The disagreements' own effect takes
  its place as they become more: it weighs as much as there are pairs of them, the stand-ins' as much as one pair does.
* From few blocks a variance is a guess, too: its upper 90 % limit counts.

The likeness then says how likely so few disagreements are, if 5 % of all windows disagree: the number in each block is
beta-binomial (Skellam 1948, J. R. Statist. Soc. B 10). As many independent windows as make it as likely are what the
windows are worth. To divide all counts by the variance ratio instead (Korn & Graubard 1998) counts fewer, as if the
disagreements of a block came all or none.

Dependence that lasts longer than a block cannot be seen from within, nor can a situation that no block shows: where
int8 fails in one recording of twenty and nowhere else, twelve recordings miss it in every second draw. Simulated by
``tests/bench/dependence_error.py``, with its table in ``docs/verdicts.md``.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.bounds import regularised_beta

SHARE = 0.05
"""Of windows that disagree: what the default gate is to exclude."""
_LIMIT = NormalDist().inv_cdf(0.9)
_FEWEST = 4  # fewer windows are no series
_FEWEST_BLOCKS = 8  # of fewer the variance's limit is so wide that hardly any window counts
_MOST_ALIKE = 0.99
_CONSTANT = 1e-12

Series = NDArray[np.float64]
Blocks = NDArray[np.intp]


def design_effect(
    disagree: Sequence[bool],
    nearness: Sequence[float],
    groups: Sequence[int | None] | None = None,
    *,
    in_time: bool = False,
) -> float:
    """How many windows count as one; at least 1.

    Args:
        disagree: in the order of time, whether int8 disagrees on the window.
        nearness: how near the window came to it; only the order matters.
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
    sizes = np.bincount(blocks)
    usual = float(sizes @ sizes) / n
    if len(sizes) == 1 or usual <= 1.0:  # one block has no variance
        return 1.0
    effect = _upper_limit(_expected_effect(flags, np.asarray(nearness, np.float64), blocks), len(sizes) - 1)
    effect = min(float(n), max(1.0, effect))
    wrong = int(flags.sum())
    if wrong >= SHARE * n:
        return effect
    alike = min(_MOST_ALIKE, (effect - 1.0) / (usual - 1.0))
    return _equivalent(wrong, n, _chance(wrong, sizes, alike), effect)


def effective_windows(windows: int, effect: float) -> float:
    """How many independent windows ``windows`` are worth."""
    return windows / effect


def _blocks(n: int, groups: Sequence[int | None] | None, *, fewest: int) -> Blocks:
    """The block of each window, numbered from 0: its recording if there are ``fewest`` of them, else one of time."""
    if groups is not None and len(set(groups)) >= fewest:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        return np.array([numbers[group] for group in groups], np.intp)
    return np.arange(n) * max(2, round(math.sqrt(n))) // n


def _expected_effect(flags: Series, nearness: Series, blocks: Blocks) -> float:
    """The variance ratio to be expected of :data:`SHARE` of all windows."""
    wanted, wrong = math.ceil(SHARE * len(flags)), float(flags.sum())
    own = _variance_ratio(flags, blocks)
    if wrong >= wanted:
        return own
    pairs = wrong * (wrong - 1.0) / 2.0
    return (_variance_ratio(_with_stand_ins(flags, nearness, wanted), blocks) + pairs * own) / (1.0 + pairs)


def _with_stand_ins(flags: Series, nearness: Series, wanted: int) -> Series:
    """``wanted`` disagreements, those that are missing shared out among the windows that came nearest."""
    order = np.where(flags > 0.0, math.inf, nearness)
    last = np.sort(order)[-wanted]
    above, tied = order > last, order == last
    return np.asarray(above + tied * (wanted - above.sum()) / tied.sum(), np.float64)


def _variance_ratio(series: Series, blocks: Blocks) -> float:
    """Variance of the mean with blocks as units, over its variance with windows as units; 1 for a constant series."""
    n, count = len(series), int(blocks.max()) + 1
    if np.ptp(series) < _CONSTANT:
        return 1.0
    centred = series - series.mean()
    sums = np.bincount(blocks, weights=centred, minlength=count)
    return float(sums @ sums) * count / (count - 1) / (float(centred @ centred) * n / (n - 1))


def _upper_limit(variance: float, degrees: int) -> float:
    """The largest variance that one of ``degrees`` degrees of freedom does not contradict at 90 %.

    By the 10th percentile of χ² (Wilson & Hilferty 1931); infinite where it is as good as zero.
    """
    spread = 2.0 / (9.0 * degrees)
    root = 1.0 - spread - _LIMIT * math.sqrt(spread)
    return variance / root**3 if root > 0.0 else math.inf


def _chance(wrong: int, sizes: NDArray[np.intp], alike: float) -> float:
    """How likely at most ``wrong`` windows disagree where :data:`SHARE` of them do, and those of a block are alike.

    Args:
        wrong: windows.
        sizes: of the blocks.
        alike: the correlation of two windows of a block; 0: they are independent.
    """
    total = np.array([1.0])
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        power, blocks = _beta_binomial(int(size), alike)[: wrong + 1], int(count)
        while blocks:  # a sum of so many blocks by halves: there may be tens of thousands
            if blocks % 2:
                total = np.convolve(total, power)[: wrong + 1]
            power, blocks = np.convolve(power, power)[: wrong + 1], blocks // 2
    return float(total.sum())


def _beta_binomial(size: int, alike: float) -> Series:
    """The chances that 0 to ``size`` windows of a block disagree, with a mean of :data:`SHARE`.

    The share of a block is Beta(a, b) with a + b = 1 / alike - 1; here as products, which hold for alike = 0 as well.
    """
    step = np.arange(size) * alike / (1.0 - alike)
    wrong, right, all_ = (np.concatenate([[0.0], np.cumsum(np.log(one + step))]) for one in (SHARE, 1.0 - SHARE, 1.0))
    ways = np.concatenate([[0.0], np.cumsum(np.log(np.arange(size, 0, -1) / np.arange(1, size + 1)))])
    chances: Series = np.exp(ways + wrong + right[::-1] - all_[-1])
    return chances


def _equivalent(wrong: int, n: int, chance: float, most: float) -> float:
    """The effect, from 1 to ``most``, by which ``wrong`` of ``n`` are as likely among so many independent windows."""
    low, high = 1.0, most
    while high - low > 1e-6 * high:
        middle = (low + high) / 2.0
        if 1.0 - regularised_beta(SHARE, wrong / middle + 1.0, (n - wrong) / middle) < chance:
            low = middle
        else:
            high = middle
    return high if low > 1.0 else 1.0
