"""Arrays whose rows already fit a model's inputs: used unchanged, together with labels and groups."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import ModelInfo
from edge_agent.contract.feeding import check_dtype, fed_shape
from edge_agent.errors import ContractError
from edge_agent.worker.capture.rows_asked import Asked, evenly
from edge_agent.worker.data.array_matching import GROUPS, LABELS, RESERVED, match_arrays
from edge_agent.worker.data.npz_rows import ArrayFile
from edge_agent.worker.data.row_store import RowStore

Array = NDArray[Any]


def ready_rows(files: Sequence[Path], asked: Asked, scratch: Path) -> dict[str, Array] | None:
    """The rows of the files that fit, evenly spaced over the files; None if no file fits.

    Labels and groups are included if every file has them. Groups of different files stay separate.
    """
    fitting = [one for path in files if (one := _opened(path, asked.info, scratch)) is not None]
    if not fitting:
        return None
    keys = set.intersection(*(one.keys for one in fitting))
    each = -(-asked.most_rows // len(fitting))
    beside: dict[str, list[Array]] = {key: [] for key in RESERVED if key in keys}
    inputs = keys.difference(RESERVED)
    with RowStore(scratch, {key: np.result_type(*(one.dtype(key) for one in fitting)) for key in inputs}) as store:
        for number, one in enumerate(fitting):
            places = one.places(each, in_order=asked.in_order)
            for row in one.rows(inputs, places):
                store.add(row)
            for key, parts in beside.items():
                values = one.load(key, places)
                several = key == GROUPS and len(fitting) > 1
                parts.append(np.array([f"{number}:{group}" for group in values]) if several else values)
        return store.arrays() | {key: np.concatenate(parts) for key, parts in beside.items()}


class _Fitting:
    """A file whose arrays fit inputs of the model."""

    def __init__(self, rows: int, arrays: dict[str, Array] | ArrayFile, names: dict[str, str]) -> None:
        self._rows = rows
        self._arrays = arrays
        self._names = names
        """Name of an array in the result → its name in the file."""

    @property
    def keys(self) -> set[str]:
        """The names of the file's arrays in the result."""
        return set(self._names)

    def dtype(self, key: str) -> np.dtype[Any]:
        """The type of the array that becomes ``key``."""
        name = self._names[key]
        return self._arrays[name].dtype if isinstance(self._arrays, dict) else self._arrays.members[name].dtype

    def places(self, most: int, *, in_order: bool) -> list[int]:
        """Places of at most ``most`` rows: evenly spaced, or the first consecutive ones if ``in_order``."""
        return list(range(min(self._rows, most))) if in_order else evenly(self._rows, most)

    def rows(self, keys: Collection[str], places: Sequence[int]) -> Iterator[dict[str, Array]]:
        """The rows of the model's inputs at these places, one by one."""
        columns = [self._column(self._names[key], places) for key in keys]
        for values in zip(*columns, strict=True):
            yield dict(zip(keys, values, strict=True))

    def load(self, key: str, places: Sequence[int]) -> Array:
        """Labels or groups of the rows at these places."""
        name = self._names[key]
        whole = self._arrays[name] if isinstance(self._arrays, dict) else self._arrays.load(name)
        return np.asarray(whole[list(places)])

    def _column(self, name: str, places: Sequence[int]) -> Iterator[Array]:
        if isinstance(self._arrays, dict):
            mapped = self._arrays[name]
            return (mapped[place] for place in places)
        return self._arrays.rows(name, places)


def _opened(path: Path, info: ModelInfo, scratch: Path) -> _Fitting | None:
    if path.suffix.lower() == ".npy":
        return _single(path, info)
    try:
        file = ArrayFile(path, scratch)
        matched = match_arrays(file.members, info)
        specs = {spec.name: spec for spec in info.inputs}
        for name, array in matched.items():
            fed_shape(file.members[array].shape[1:], specs[name], "a row")
            check_dtype(file.members[array].dtype, specs[name], "a row")
    except (ContractError, IndexError):
        return None
    if info.inputs[0].name not in matched:
        return None
    names = {_key(name): array for name, array in matched.items()}
    names |= {name: name for name in (LABELS, GROUPS) if name in file.members}
    return _Fitting(min(file.members[array].rows for array in names.values()), file, names)


def _single(path: Path, info: ModelInfo) -> _Fitting | None:
    """A ``.npy`` file with rows of the first input; None if it does not fit."""
    try:
        data = np.load(path, allow_pickle=False, mmap_mode="r")
        fed_shape(data.shape[1:], info.inputs[0], "a row")
        check_dtype(data.dtype, info.inputs[0], "a row")
    except (ContractError, OSError, ValueError, EOFError):
        return None
    if data.ndim < 2:  # noqa: PLR2004  # a row of at least one value
        return None
    name = info.inputs[0].name
    return _Fitting(len(data), {name: data}, {_key(name): name})


def _key(name: str) -> str:
    return f"input:{name}" if name in RESERVED else name
