"""By how little the scores of a sequence decide what is read. Pure.

Greedy decoding takes the largest score of each step (Graves et al. 2006, best path). Where another one overtakes it,
the string mostly changes, but not always: a symbol that begins a step earlier or ends a step later reads the same. So
each other symbol of each step is put in place of the largest one, that step and the next are read again, and the
difference of the two scores counts where the string is another.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_NOTHING = -1


def reading_margin(scores: NDArray[Any], blank: int) -> float:
    """The least by which one score would have to rise for another string; infinite if no score can do it.

    Args:
        scores: ``[T, C]``.
        blank: the symbol's number that stands for none, 0 to C - 1.
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
    """What ``symbol`` and the one ``after`` it add to the string: up to two symbols, as first and second."""
    own = np.where((symbol != before) & (symbol != blank), symbol, _NOTHING)
    next_own = np.where((after != symbol) & (after != blank), after, _NOTHING)
    return np.where(own != _NOTHING, own, next_own), np.where(own != _NOTHING, next_own, _NOTHING)
