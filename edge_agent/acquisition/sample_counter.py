"""Finds missing samples by the counter that the sensor sends with each sample. Pure."""

from itertools import pairwise

import numpy as np

from edge_agent.acquisition.framing import Numbers

_WRAPS = tuple(float(2**bits) for bits in (8, 16, 24, 32, 64))


def stretches(rows: Numbers, breaks: list[int]) -> list[tuple[Numbers, bool]]:
    """Cut ``rows`` before each of ``breaks``; return the stretches, and whether each one continues the previous one."""
    edges = sorted({0, *breaks, len(rows)})
    return [(rows[start:stop], start not in breaks) for start, stop in pairwise(edges)]


class Counter:
    """A counter in the first column of every row, which counts up by one.

    Args:
        modulus: the value at which it wraps; 0: that of any usual integer size.
    """

    def __init__(self, modulus: int = 0) -> None:
        self._wraps = (float(modulus),) if modulus else _WRAPS
        self._next: float | None = None

    def restart(self) -> None:
        """Restart after an interruption that was already reported."""
        self._next = None

    def split(self, rows: Numbers) -> list[tuple[Numbers, bool]]:
        """Return stretches of ``rows`` without the counter, and whether each one continues the previous one.

        A row that repeats the previous count is a duplicate, and is dropped.
        """
        if not len(rows):
            return []
        counts = rows[:, 0]
        if self._next is not None:
            counts = np.concatenate([[self._next - 1], counts])
        steps = np.diff(counts)
        wrapped = (counts[1:] == 0) & np.isin(counts[:-1] + 1, self._wraps)
        if self._next is None:
            steps, wrapped = np.concatenate([[1.0], steps]), np.concatenate([[False], wrapped])
        fresh = steps != 0
        breaks = np.flatnonzero(~(steps[fresh] == 1) & ~wrapped[fresh])
        values = rows[fresh]
        if not len(values):  # a duplicate of the previous sample
            return []
        self._next = float(values[-1, 0]) + 1
        return stretches(values[:, 1:], breaks.tolist())
