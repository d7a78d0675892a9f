"""Rows of a set that several passes read, in memory where they are few and small.

To read a row of an archive again takes as long as to score one with a small model, and rows in another order than the
file's are read as often as the file has to be begun anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.split import Split

MOST_BYTES = 8 << 20
"""Of all rows of a set together. Of larger ones, reading is a small part of a pass."""


class KeptRows:
    """The rows of one set, as :meth:`edge_agent.worker.data.dataset.DataSet.rows` gives them.

    Whoever is given a row must leave it as it is: others are given the same one.
    """

    def __init__(self, data: DataSet, split: Split) -> None:
        """Nothing is read yet."""
        self._data = data
        self._split = split
        self._kept: list[Row] | None = None
        self._passes = 0

    def __call__(self, places: Sequence[int]) -> Iterator[Row]:
        """The rows at these places, in this order, which is ascending."""
        self._passes += 1
        if self._passes == 2:  # noqa: PLR2004  # what is read once is not kept
            self._kept = self._read()
        if self._kept is None:
            return self._data.rows(self._split, places)
        return iter([self._kept[place] for place in places])

    def _read(self) -> list[Row] | None:
        """All rows; None where they take too much."""
        count = self._data.count(self._split)
        rows: list[Row] = []
        for row in self._data.rows(self._split):
            if count * sum(array.nbytes for array in row.feeds.values()) > MOST_BYTES:
                return None
            own = {name: np.array(array) for name, array in row.feeds.items()}  # a view would keep all that it is of
            rows.append(replace(row, feeds=own))
        return rows
