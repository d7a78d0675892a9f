"""Stores rows in files as they are made, so that memory holds only one of them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError, LimitError
from edge_agent.strict import why

Array = NDArray[Any]


class RowStore:
    """A row is an array of each input; all rows have one shape and one type: the first row's, or the given one.

    Its files have no names: each is gone when the store is closed and nothing refers to its array any more.

    Attributes:
        count: rows that were added.
    """

    def __init__(self, folder: Path, dtypes: Mapping[str, np.dtype[Any]] = MappingProxyType({})) -> None:
        """Store files in ``folder``. ``dtypes``: types of inputs whose rows may differ in type."""
        self._folder = folder
        self._dtypes = dtypes
        self._columns: dict[str, _Column] = {}
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for column in self._columns.values():
            column.close()

    def add(self, row: Mapping[str, Array]) -> None:
        """Append a row.

        Raises:
            ContractError: ``shape_mismatch``, ``dtype_mismatch``: it is not like the first.
            LimitError: ``no_space``.
        """
        try:
            if not self.count:
                self._columns = {
                    name: _Column(self._folder, name, values.shape, self._dtypes.get(name, values.dtype))
                    for name, values in row.items()
                }
            for name, column in self._columns.items():
                column.add(row[name])
        except OSError as error:
            raise _no_space(self._folder, error) from None
        self.count += 1

    def arrays(self) -> dict[str, Array]:
        """Name → ``[rows, ...]``, mapped from its file. The arrays outlive the store."""
        return {name: column.mapped(self.count) for name, column in self._columns.items()}


def save_rows(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write an uncompressed ``.npz``, because compression is not worth its time. Raises ``LimitError`` (no_space)."""
    named: dict[str, Any] = dict(arrays)  # numpy 2 takes a bool by name, so arrays alone do not fit its signature
    try:
        np.savez(path, **named)
    except OSError as error:
        raise _no_space(path.parent, error) from None


def _no_space(folder: Path, error: OSError) -> LimitError:
    return LimitError("no_space", f"{folder} has no room for the rows: {why(error)}; free space there, or use fewer")


class _Column:
    """The rows of one input."""

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._name = name
        self._shape, self._dtype = shape, dtype
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # mapped for as long as it is used

    def add(self, values: Array) -> None:
        if values.shape != self._shape:
            text = f"input {self._name!r}: a row is {list(values.shape)}, those before are {list(self._shape)}"
            raise ContractError("shape_mismatch", f"{text}; give rows of one shape")
        if not np.can_cast(values.dtype, self._dtype, "safe"):  # any other may wrap
            text = f"input {self._name!r}: a row is of type {values.dtype}, those before are {self._dtype}"
            raise ContractError("dtype_mismatch", f"{text}; give rows of one type")
        self._file.write(np.ascontiguousarray(values, self._dtype).tobytes())

    def close(self) -> None:
        self._file.close()

    def mapped(self, count: int) -> Array:
        shape = (count, *self._shape)
        self._file.flush()
        if not count or 0 in shape:
            return np.empty(shape, self._dtype)
        mapped: Array = np.memmap(self._file, dtype=self._dtype, mode="r", shape=shape)
        return mapped
