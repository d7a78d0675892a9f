"""Caches the rows of a set for several passes, if they are few and small.

Reading a row of an archive again takes as long as scoring one with a small model. Each pass, and each step back in the
file, reads it from the start.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.split import Split

MOST_BYTES = 8 << 20
"""The limit for all rows of a set together. For larger rows, reading is a small part of a pass."""


class KeptRows:
    """The rows of one set, as :meth:`edge_agent.worker.data.dataset.DataSet.rows` gives them.

    Callers must not modify a row, because all callers share it.
    """

    def __init__(self, data: DataSet, split: Split) -> None:
        """Read nothing yet."""
        self._data = data
        self._split = split
        self._kept: list[Row] | None = None
        self._passes = 0

    def __call__(self, places: Sequence[int]) -> Iterator[Row]:
        """The rows at these ascending places."""
        self._passes += 1
        if self._passes == 2:  # noqa: PLR2004  # rows that are read only once need no cache
            self._kept = self._read()
        if self._kept is None:
            return self._data.rows(self._split, places)
        return iter([self._kept[place] for place in places])

    def _read(self) -> list[Row] | None:
        """All rows; None if they take too much memory."""
        count = self._data.count(self._split)
        rows: list[Row] = []
        for row in self._data.rows(self._split):
            if count * sum(array.nbytes for array in row.feeds.values()) > MOST_BYTES:
                return None
            own = {
                name: np.array(array) for name, array in row.feeds.items()
            }  # a view would keep its whole base in memory
            rows.append(replace(row, feeds=own))
        return rows
