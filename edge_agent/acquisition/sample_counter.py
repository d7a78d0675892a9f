"""Where samples are missing, by what the sensor sends with each of them. Pure."""

from itertools import pairwise

import numpy as np

from edge_agent.acquisition.framing import Numbers

_WRAPS = tuple(float(2**bits) for bits in (8, 16, 24, 32, 64))


def stretches(rows: Numbers, breaks: list[int]) -> list[tuple[Numbers, bool]]:
    """``rows`` cut before each of ``breaks``, and whether each stretch follows on what came before it."""
    edges = sorted({0, *breaks, len(rows)})
    return [(rows[start:stop], start not in breaks) for start, stop in pairwise(edges)]


class Counter:
    """The first column of every row counts up by one.

    Args:
        modulus: at what it begins again; 0: at any of the usual sizes of an integer.
    """

    def __init__(self, modulus: int = 0) -> None:
        self._wraps = (float(modulus),) if modulus else _WRAPS
        self._next: float | None = None

    def restart(self) -> None:
        """The stream was interrupted, and somebody has said so already."""
        self._next = None

    def split(self, rows: Numbers) -> list[tuple[Numbers, bool]]:
        """Stretches of ``rows`` without the counter's column, and whether each follows on what came before it.

        A row that repeats the count before it is the same sample once more, and is dropped.
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
        if not len(values):  # the sample before, once more
            return []
        self._next = float(values[-1, 0]) + 1
        return stretches(values[:, 1:], breaks.tolist())
