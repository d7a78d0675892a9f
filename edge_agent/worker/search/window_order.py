"""The order in which a pass takes the windows of a set, so that a bad candidate fails early. Pure.

The rows of a file are often grouped by class, so the first rows do not represent the set. A seeded permutation does. It
is the same for every candidate, so two candidates that stop early have seen the same windows first.

Files are read forward, and compressed ones at a high cost. The permutation is therefore cut into three *sweeps* of
growing size, each from the front of the set to its end. Consecutive windows of one recording stay together, so that the
state carried from one to the next is correct.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

FIRST = 10
"""The minimum number of windows in the first sweep. No pass ends earlier."""
_MOST_SWEEPS = 3
_LARGER = 4
"""The minimum size of a sweep, as a multiple of all windows before it."""
_SEED = 0


def in_order(windows: int) -> list[Sequence[int]]:
    """One sweep over all windows."""
    return [range(windows)]


def sweeps(groups: Sequence[int | None]) -> list[Sequence[int]]:
    """The sweeps over a set, each a list of ascending places; together they hold every place once.

    Args:
        groups: the recording of each window, or None for a window without a recording.
    """
    segments = list(_segments(groups))
    order = [segments[number] for number in np.random.default_rng(_SEED).permutation(len(segments))]
    found: list[Sequence[int]] = []
    taken: list[int] = []
    before = 0
    for number, segment in enumerate(order, start=1):
        taken += segment
        full = len(taken) >= max(FIRST, _LARGER * before) and len(found) < _MOST_SWEEPS - 1
        if full or number == len(order):
            found.append(sorted(taken))
            before, taken = before + len(taken), []
    return found


def _segments(groups: Sequence[int | None]) -> Iterator[list[int]]:
    """Yield the places that stay together: consecutive windows of one recording."""
    alone = ((place, None) if group is None else (-1, group) for place, group in enumerate(groups))
    for _, segment in groupby(enumerate(alone), key=lambda one: one[1]):
        yield [place for place, _ in segment]
