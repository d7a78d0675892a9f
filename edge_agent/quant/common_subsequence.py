"""The symbols that two sequences share in the same order: a longest common subsequence. Pure.

Wagner & Fischer (1974), "The string-to-string correction problem", Journal of the ACM 21, with insertions and deletions
only: the alignment is as long as possible, so a doubled or missing symbol does not shift the others.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def aligned(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    """Mask of the places in ``first`` [n] that have a partner in ``second`` [m], for one of the longest alignments."""
    if np.array_equal(first, second):
        return np.ones(len(first), bool)
    found = np.zeros(len(first), bool)
    longest = np.zeros((len(first) + 1, len(second) + 1), np.int32)
    for row, symbol in enumerate(first, 1):
        above = longest[row - 1]
        longest[row, 1:] = np.maximum.accumulate(np.maximum(above[1:], above[:-1] + (second == symbol)))
    row, column = len(first), len(second)
    while row and column:
        if longest[row, column] == longest[row - 1, column]:
            row -= 1
        elif longest[row, column] == longest[row, column - 1]:
            column -= 1
        else:
            found[row - 1] = True
            row, column = row - 1, column - 1
    return found
