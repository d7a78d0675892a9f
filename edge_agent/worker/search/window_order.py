"""In which order a pass takes the windows of a set, so that what is bad shows early. Pure.

Rows of a file often lie class by class, so the first of them say little of the whole. A seeded permutation mends that,
and as it is the same for every candidate, two of them that have each seen a part have seen the same windows first.

Files are read forward, compressed ones at no small cost, so a permutation is cut into three *sweeps* of growing size,
each from the front of the set to its end. Windows that follow each other in one recording stay together, so what is
carried from one to the next is right.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

FIRST = 10
"""The fewest windows of the first sweep. No pass ends earlier."""
_MOST_SWEEPS = 3
_LARGER = 4
"""Times as many windows as all before it a sweep has at least."""
_SEED = 0


def in_order(windows: int) -> list[Sequence[int]]:
    """One sweep over all windows."""
    return [range(windows)]


def sweeps(groups: Sequence[int | None]) -> list[Sequence[int]]:
    """The sweeps over a set, each a list of ascending places; together they hold every place once.

    Args:
        groups: the recording of each window, or None where it is of none.
    """
    stretches = list(_stretches(groups))
    order = [stretches[number] for number in np.random.default_rng(_SEED).permutation(len(stretches))]
    found: list[Sequence[int]] = []
    taken: list[int] = []
    before = 0
    for number, stretch in enumerate(order, start=1):
        taken += stretch
        full = len(taken) >= max(FIRST, _LARGER * before) and len(found) < _MOST_SWEEPS - 1
        if full or number == len(order):
            found.append(sorted(taken))
            before, taken = before + len(taken), []
    return found


def _stretches(groups: Sequence[int | None]) -> Iterator[list[int]]:
    """The places that stay together: those of one recording, as far as nothing lies between them."""
    alone = ((place, None) if group is None else (-1, group) for place, group in enumerate(groups))
    for _, stretch in groupby(enumerate(alone), key=lambda one: one[1]):
        yield [place for place, _ in stretch]
