"""The number of independent windows that a run of windows is worth, as neighbours in time resemble each other.

Windows come in blocks: recordings where they are known, otherwise segments of √n windows. The design effect (Kish 1965,
"Survey Sampling") is the variance of a share when whole blocks are drawn, over its variance when windows are drawn. It
shows how similar the windows of a block are. The proof concerns a share of at most 5 %, so the question is how *that
many* disagreements would be spread over time. Mostly there are fewer:

* The windows that came nearest to a disagreement stand in for the missing ones. Windows that came equally near share
  the missing count, so that ties do not follow the order in time.
* Stand-ins are a guess, as near disagreements may lie elsewhere than real ones. The effect of the real disagreements
  takes over as they become more: its weight is their number of pairs, and the weight of the stand-ins is one pair.
* A variance from few blocks is a guess, too: its upper 90 % limit is used.

The similarity then gives the probability of so few disagreements if 5 % of all windows disagree: the number per block
is beta-binomial (Skellam 1948, J. R. Statist. Soc. B 10). The windows are worth as many independent windows as give the
same probability. Dividing all counts by the variance ratio instead (Korn & Graubard 1998) would count fewer, as if the
disagreements of a block came all at once or not at all.

Dependence that lasts longer than a block is invisible from within, and so is a situation that no block contains. If
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
"""Share of disagreeing windows that the default gate must exclude."""
_LIMIT = NormalDist().inv_cdf(0.9)
_FEWEST = 4  # fewer windows are not a series
_FEWEST_BLOCKS = 8  # with fewer the variance's limit is so wide that hardly any window counts
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
    """The number of windows that count as one; at least 1.

    Args:
        disagree: in order of time, whether int8 disagrees on the window.
        nearness: how near the window came to a disagreement; only the order matters.
        groups: the recording of each window. With only one recording, blocks are taken by time.
        in_time: whether windows follow each other in time, so that a few groups may be cut finer: two long blocks of a
            sensor's stream tell less about its dependence than √n short ones. Windows that neither follow each other
            nor belong to recordings are independent.
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
    """The number of independent windows that ``windows`` are worth."""
    return windows / effect


def _blocks(n: int, groups: Sequence[int | None] | None, *, fewest: int) -> Blocks:
    """The block of each window, numbered from 0: its recording if there are ``fewest`` of them, otherwise by time."""
    if groups is not None and len(set(groups)) >= fewest:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        return np.array([numbers[group] for group in groups], np.intp)
    return np.arange(n) * max(2, round(math.sqrt(n))) // n


def _expected_effect(flags: Series, nearness: Series, blocks: Blocks) -> float:
    """The expected variance ratio if :data:`SHARE` of all windows disagree."""
    wanted, wrong = math.ceil(SHARE * len(flags)), float(flags.sum())
    own = _variance_ratio(flags, blocks)
    if wrong >= wanted:
        return own
    pairs = wrong * (wrong - 1.0) / 2.0
    return (_variance_ratio(_with_stand_ins(flags, nearness, wanted), blocks) + pairs * own) / (1.0 + pairs)


def _with_stand_ins(flags: Series, nearness: Series, wanted: int) -> Series:
    """``wanted`` disagreements; the missing ones are shared among the windows that came nearest."""
    order = np.where(flags > 0.0, math.inf, nearness)
    last = np.sort(order)[-wanted]
    above, tied = order > last, order == last
    return np.asarray(above + tied * (wanted - above.sum()) / tied.sum(), np.float64)


def _variance_ratio(series: Series, blocks: Blocks) -> float:
    """Variance of the mean with blocks as units over that with windows as units; 1 for a constant series."""
    n, count = len(series), int(blocks.max()) + 1
    if np.ptp(series) < _CONSTANT:
        return 1.0
    centred = series - series.mean()
    sums = np.bincount(blocks, weights=centred, minlength=count)
    return float(sums @ sums) * count / (count - 1) / (float(centred @ centred) * n / (n - 1))


def _upper_limit(variance: float, degrees: int) -> float:
    """The largest true variance that an estimate with ``degrees`` degrees of freedom does not contradict at 90 %.

    By the 10th percentile of χ² (Wilson & Hilferty 1931); infinite where that is practically zero.
    """
    spread = 2.0 / (9.0 * degrees)
    root = 1.0 - spread - _LIMIT * math.sqrt(spread)
    return variance / root**3 if root > 0.0 else math.inf


def _chance(wrong: int, sizes: NDArray[np.intp], alike: float) -> float:
    """The chance of at most ``wrong`` disagreements if :data:`SHARE` of windows disagree and blocks are correlated.

    Args:
        wrong: number of disagreeing windows.
        sizes: sizes of the blocks.
        alike: the correlation of two windows of a block; 0: they are independent.
    """
    total = np.array([1.0])
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        power, blocks = _beta_binomial(int(size), alike)[: wrong + 1], int(count)
        while blocks:  # repeated squaring, as there may be tens of thousands of blocks
            if blocks % 2:
                total = np.convolve(total, power)[: wrong + 1]
            power, blocks = np.convolve(power, power)[: wrong + 1], blocks // 2
    return float(total.sum())


def _beta_binomial(size: int, alike: float) -> Series:
    """The probabilities that 0 to ``size`` windows of a block disagree, with a mean of :data:`SHARE`.

    The share of a block is Beta(a, b) with a + b = 1 / alike - 1, computed as products, which also hold for alike = 0.
    """
    step = np.arange(size) * alike / (1.0 - alike)
    wrong, right, all_ = (np.concatenate([[0.0], np.cumsum(np.log(one + step))]) for one in (SHARE, 1.0 - SHARE, 1.0))
    ways = np.concatenate([[0.0], np.cumsum(np.log(np.arange(size, 0, -1) / np.arange(1, size + 1)))])
    chances: Series = np.exp(ways + wrong + right[::-1] - all_[-1])
    return chances


def _equivalent(wrong: int, n: int, chance: float, most: float) -> float:
    """The effect, from 1 to ``most``, at which ``wrong`` of ``n`` independent windows have probability ``chance``."""
    low, high = 1.0, most
    while high - low > 1e-6 * high:
        middle = (low + high) / 2.0
        if 1.0 - regularised_beta(SHARE, wrong / middle + 1.0, (n - wrong) / middle) < chance:
            low = middle
        else:
            high = middle
    return high if low > 1.0 else 1.0
