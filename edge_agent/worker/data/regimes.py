"""Which rows are of a rare regime, and how calibration and search set share them. Pure.

A seeded shuffle leaves four impacts among 450 rows to chance: in one draw of five no search row is one, and in one of
eighty no calibration row is, so that ranges clip them all. So the rows are put in order by what float makes of them,
first by the class that it gives, the rarest where it gives several, then by how unusual output and inputs are; and the
search set takes its share evenly from that order, from a place on that the seed says (systematic sampling: Cochran,
Sampling Techniques, chapter 8). Each regime, whether it has a name or not, is then in both sets in proportion. A class
of one row goes to calibration, as ranges come from there. No other row does for what it holds: a search set without the
rows at which ranges end would show less clipping than the held-out windows do.

Memory is :data:`NUMBERS` an array and row.
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
"""How many numbers describe an array."""
_LARGEST = 1e30
"""What is larger, or infinite, is as unusual as this; the search refuses it."""
_USUAL = 0.9
"""Nine rows in ten lie within a feature's scale; by the largest row's value one mad row would make the others alike."""


def describe(arrays: Iterable[Array]) -> NDArray[np.float32]:
    """A row in a few numbers: of each array strength, largest and smallest value, and the means of its stretches."""
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
    """Where the stretches of so many values begin, and how long they are."""
    count = min(_STRETCHES, size)
    starts = np.arange(count) * size // count
    return starts, np.diff(np.append(starts, size))


def unusual(described: NDArray[np.float32]) -> Numbers:
    """How far each of the rows ``[n, features]`` is from the usual one: its worst feature's distance, in its scale."""
    farthest = np.zeros(len(described))
    for feature in described.T:  # one at a time: of all together there would be several copies
        finite = np.nan_to_num(feature.astype(np.float64)).clip(-_LARGEST, _LARGEST)
        away = np.abs(finite - np.median(finite))
        scale = float(np.quantile(away, _USUAL, method="higher")) or float(away.max())
        if scale:
            np.maximum(farthest, away / scale, out=farthest)
    return farthest


def rarest(classes: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Of the classes that float gives each row, the one that the fewest rows have; -1 for a row without."""
    known = Counter(number for given in classes for number in set(given))
    return np.array([min(given, key=lambda number: (known[number], number), default=-1) for given in classes], np.int64)


def search_rows(strata: NDArray[np.int64], away: Numbers, count: int, *, seed: int) -> NDArray[np.bool_]:
    """Which rows the search set takes.

    Args:
        strata: the class of each row.
        away: how unusual each row is.
        count: rows of the search set; the rest are calibration's.
        seed: of the order of rows that are equally unusual, and of where in the order of each class sampling begins.

    Returns:
        A mask with ``count`` rows. A class of two rows or more is in both sets as far as ``count`` allows.
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
