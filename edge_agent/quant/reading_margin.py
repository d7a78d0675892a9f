"""The margin by which the scores of a sequence decide its string. Pure.

Greedy decoding takes the largest score of each step (Graves et al. 2006, best path). If another score overtakes it, the
string usually changes, but not always: a symbol that begins a step earlier or ends a step later reads the same. So each
other symbol of each step is tried in place of the largest one. That step and the next are decoded again, and the
difference of the two scores counts if the string changes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_NOTHING = -1


def reading_margin(scores: NDArray[Any], blank: int) -> float:
    """The smallest increase of one score that changes the string; infinite if none does.

    Args:
        scores: ``[T, C]``.
        blank: number of the blank symbol, 0 to C - 1.
    """
    values = np.asarray(scores, np.float64)
    steps, symbols = values.shape
    best = np.argmax(values, axis=1)
    before = np.append(_NOTHING, best[:-1])[:, None]
    after = np.append(best[1:], blank)[:, None]
    other = np.broadcast_to(np.arange(symbols), (steps, symbols))
    was, would_be = _read(before, best[:, None], after, blank), _read(before, other, after, blank)
    changed = (was[0] != would_be[0]) | (was[1] != would_be[1])
    behind = values[np.arange(steps), best][:, None] - values
    return float(behind.min(where=changed, initial=np.inf))


def _read(
    before: NDArray[np.intp], symbol: NDArray[np.intp], after: NDArray[np.intp], blank: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The symbols that ``symbol`` and the one ``after`` it add to the string: up to two, as first and second."""
    own = np.where((symbol != before) & (symbol != blank), symbol, _NOTHING)
    next_own = np.where((after != symbol) & (after != blank), after, _NOTHING)
    return np.where(own != _NOTHING, own, next_own), np.where(own != _NOTHING, next_own, _NOTHING)
