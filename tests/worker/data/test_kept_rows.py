"""Rows that several passes read: the same as the set's, read from the file twice at most where they are small."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from edge_agent.worker.data import kept_rows
from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.kept_rows import KeptRows

COUNT = 6
BLOCK = np.arange(COUNT * 4, dtype=np.float32).reshape(COUNT, 4)


class Rows:
    """A set whose rows are views of one block; how often a row was read."""

    def __init__(self) -> None:
        self.read = 0

    def count(self, _split: str) -> int:
        return COUNT

    def rows(self, _split: str, places: Sequence[int] | None = None) -> Iterator[Row]:
        for place in range(COUNT) if places is None else places:
            self.read += 1
            yield Row({"x": BLOCK[place : place + 1]}, f"label {place}", place // 2, place)


def values(rows: Iterator[Row]) -> list[tuple[float, Any, int | None, int]]:
    return [(float(row.feeds["x"][0, 0]), row.label, row.group, row.index) for row in rows]


@pytest.mark.parametrize("places", [range(COUNT), [1, 4], [0, 5]])
def test_every_pass_gives_what_the_set_gives(places: Sequence[int]) -> None:
    data = Rows()
    kept = KeptRows(cast("DataSet", data), "search")
    wanted = values(data.rows("search", places))

    assert [values(kept(places)) for _ in range(4)] == [wanted] * 4


def test_from_the_second_pass_on_rows_are_in_memory_and_hold_nothing_else_there() -> None:
    data = Rows()
    kept = KeptRows(cast("DataSet", data), "search")

    values(kept([2, 3]))
    assert data.read == 2
    values(kept([0, 1, 4, 5]))
    assert data.read == 2 + COUNT
    rows = [row for _ in range(3) for row in kept(range(COUNT))]
    assert data.read == 2 + COUNT
    assert all(row.feeds["x"].flags.owndata for row in rows)


def test_large_rows_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rows, "MOST_BYTES", BLOCK.nbytes - 1)
    data = Rows()
    kept = KeptRows(cast("DataSet", data), "search")

    for _ in range(3):
        values(kept(range(COUNT)))

    assert data.read == 3 * COUNT + 1, "one row says that they are large"
