"""Divides the rows of rare regimes between calibration and search. Pure.

A seeded shuffle leaves four impacts among 450 rows to chance: one draw in five puts none into the search set, and one
in eighty puts none into calibration, so that ranges clip them all. Therefore the rows are sorted by float's answers:
first by the predicted class (the rarest one, if float predicts several), then by how unusual outputs and inputs are.
The search set takes its share evenly from this order, from a seeded start (systematic sampling: Cochran, Sampling
Techniques, chapter 8). Each regime, named or not, is then in both sets in proportion.

A class of one row goes to calibration, because ranges come from there. No other row is assigned to calibration for its
values: a search set without the rows that set the ranges would show less clipping than the held-out windows do.

Memory is :data:`NUMBERS` numbers per array and row.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Array

Numbers = NDArray[np.float64]
_STRETCHES = 8
_FIRST_STRETCH = 3
NUMBERS = _FIRST_STRETCH + _STRETCHES
"""The number of values that describe an array."""
_LARGEST = 1e30
"""Larger or infinite values count as this unusual; the search refuses them."""
_USUAL = 0.9
"""Nine rows in ten lie within a feature's scale. With the maximum as the scale, one outlier would make all other rows
look alike."""


def describe(arrays: Iterable[Array]) -> NDArray[np.float32]:
    """A row as a few numbers: for each array its root mean square, maximum, minimum, and the means of its segments."""
    parts = []
    with np.errstate(over="ignore", invalid="ignore"):
        for array in arrays:
            flat = array.reshape(-1).astype(np.float64)
            described = np.zeros(NUMBERS)
            if flat.size:
                starts, lengths = _stretches(flat.size)
                described[0] = math.sqrt(np.dot(flat, flat) / flat.size)
                described[1:_FIRST_STRETCH] = flat.max(), flat.min()
                described[_FIRST_STRETCH : _FIRST_STRETCH + len(starts)] = np.add.reduceat(flat, starts) / lengths
            parts.append(described)
        return np.concatenate(parts).astype(np.float32)


@lru_cache(maxsize=64)
def _stretches(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Starts and lengths of the segments of ``size`` values."""
    count = min(_STRETCHES, size)
    starts = np.arange(count) * size // count
    return starts, np.diff(np.append(starts, size))


def unusual(described: NDArray[np.float32]) -> Numbers:
    """The distance of each row of ``[n, features]`` from the median row: that of its worst feature, in its scale."""
    farthest = np.zeros(len(described))
    for feature in described.T:  # one at a time: all together would take several copies
        finite = np.nan_to_num(feature.astype(np.float64)).clip(-_LARGEST, _LARGEST)
        away = np.abs(finite - np.median(finite))
        scale = float(np.quantile(away, _USUAL, method="higher")) or float(away.max())
        if scale:
            np.maximum(farthest, away / scale, out=farthest)
    return farthest


def rarest(classes: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """For each row, the rarest of the classes that float predicts; -1 for a row without a class."""
    known = Counter(number for given in classes for number in set(given))
    return np.array([min(given, key=lambda number: (known[number], number), default=-1) for given in classes], np.int64)


def search_rows(strata: NDArray[np.int64], away: Numbers, count: int, *, seed: int) -> NDArray[np.bool_]:
    """The rows of the search set.

    Args:
        strata: the class of each row.
        away: how unusual each row is.
        count: number of rows in the search set; the rest belong to calibration.
        seed: determines the order of equally unusual rows, and where sampling starts within each class.

    Returns:
        A mask that selects ``count`` rows. A class of two or more rows is in both sets as far as ``count`` allows.
    """
    taken = np.zeros(len(strata), bool)
    left, rows = count, len(strata)
    random = np.random.default_rng(seed)
    shuffled = random.permutation(rows)
    names, sizes = np.unique(strata, return_counts=True)
    for size, name in sorted(zip(sizes.tolist(), names.tolist(), strict=True)):
        share = min(max(round(left * size / rows), 1), size - 1, left)
        share = max(share, left - (rows - size))
        members = shuffled[strata[shuffled] == name]
        members = members[np.argsort(away[members], kind="stable")]
        if share:
            taken[members[((np.arange(share) + random.random()) * size / share).astype(np.intp)]] = True
        left, rows = left - share, rows - size
    return taken
