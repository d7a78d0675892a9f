"""Float outputs stored on disk: computed once, read for every candidate, never in memory as a whole.

The file is one flat sequence of rows, which may differ in shape (a detector's do). Only the index is in memory, a few
dozen bytes per row. The file is temporary: it belongs to the run that wrote it, and no later stage reads it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge_agent.backends import Array


class OutputStore:
    """An append-only list of arrays in one file.

    The creator must close it. Iterating reads one row at a time, in the order appended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b", buffering=0)
        self._rows: list[tuple[int, tuple[int, ...], np.dtype[np.generic]]] = []
        self._end = 0

    def append(self, row: Array) -> None:
        """Store a copy of ``row``."""
        data = np.ascontiguousarray(row)
        data.tofile(self._file)
        self._rows.append((self._end, row.shape, data.dtype))
        self._end += data.nbytes

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> Array:
        offset, shape, dtype = self._rows[place]
        self._file.seek(offset)
        count = int(np.prod(shape, dtype=np.int64))
        return np.fromfile(self._file, dtype=dtype, count=count).reshape(shape)

    def __iter__(self) -> Iterator[Array]:
        return (self[place] for place in range(len(self)))

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)
