"""What later stages read: the rows of each set, one at a time, as the model wants them.

Capture leaves ``sets.json``, which says where the rows are: in an operator's ``.npz`` (then by number), or in shards
of raw samples that this device captured (then steps turn each window into a tensor here, on reading).

Invariant: rows come in ascending order and always the same, so what one stage kept row by row fits what another reads.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from edge_agent.backends import Array, ModelInfo
from edge_agent.errors import StageError
from edge_agent.preprocess import Preprocess
from edge_agent.task import Stage, Task
from edge_agent.wire.manifest import InputContract
from edge_agent.worker.arrays import ArrayFile
from edge_agent.worker.context import Context
from edge_agent.worker.inputs import GROUPS, LABELS, constant, feed, match_arrays
from edge_agent.worker.split import Split

SETS_FILE = "sets.json"


class RowSet(msgspec.Struct, frozen=True):
    """One set as rows of an ``.npz``."""

    file: str
    rows: list[int]

    @property
    def count(self) -> int:
        """Rows."""
        return len(self.rows)


class Shard(msgspec.Struct, frozen=True):
    """A block of one set: float32 ``[samples, channels]`` without a gap, in a file of the capture folder."""

    file: str
    windows: int
    size: int
    step: int


class ArraySets(msgspec.Struct, frozen=True, tag="arrays", tag_field="kind"):
    """``sets.json`` of an operator's files."""

    calibration: RowSet
    search: RowSet
    heldout: RowSet


class ShardSets(msgspec.Struct, frozen=True, tag="shards", tag_field="kind"):
    """``sets.json`` of a capture; ``channels`` are the columns of every shard."""

    channels: list[str]
    calibration: list[Shard]
    search: list[Shard]
    heldout: list[Shard]


@dataclass(frozen=True, slots=True)
class Row:
    """One window, or one row of an ``.npz``.

    Attributes:
        feeds: model input → array of its full shape, batch axis included.
        label: what the operator says the answer is (a number, a string or an array), or None.
        group: number of the recording it is from, or None if rows have nothing to do with each other.
        index: its place in its file (``.npz``), or in its set.
    """

    feeds: dict[str, Array]
    label: Any | None
    group: int | None
    index: int


class DataSet(Protocol):
    """The three sets."""

    @property
    def labels(self) -> bool:
        """Whether rows of the held-out set have labels."""
        ...

    @property
    def ordered_in_time(self) -> bool:
        """Whether neighbours are neighbours in time, so that they may resemble each other."""
        ...

    def count(self, split: Split) -> int:
        """How many rows a set has."""
        ...

    def rows(self, split: Split) -> Iterator[Row]:
        """The rows of a set, streamed."""
        ...


def open_dataset(context: Context, info: ModelInfo) -> DataSet:
    """What the capture stage left, for the model ``info``; raises ``StageError`` if it is not readable."""
    folder = context.folder(Stage.CAPTURE)
    try:
        sets = msgspec.json.decode((folder / SETS_FILE).read_bytes(), type=ArraySets | ShardSets)
    except (OSError, msgspec.DecodeError) as error:
        raise StageError("stage_crashed", f"{folder / SETS_FILE}: {error}") from None
    if isinstance(sets, ArraySets):
        return ArrayData(sets, info, context.task, context.out_dir)
    return ShardData(sets, folder, info, context.task)


def fixed_feeds(info: ModelInfo, task: Task) -> dict[str, Array]:
    """The inputs that the contract gives a constant for."""
    specs = {spec.name: spec for spec in info.inputs}
    return {
        contract.name: constant(contract.constant, specs[contract.name])
        for contract in task.inputs
        if contract.constant is not None and contract.name in specs
    }


class ArrayData:
    """Rows of an operator's ``.npz`` files."""

    def __init__(self, sets: ArraySets, info: ModelInfo, task: Task, scratch: Path) -> None:
        """Open the files; ``scratch`` is a folder for temporary files. Raises ``ContractError`` (data_unreadable)."""
        self._sets = sets
        self._info = info
        self._fixed = fixed_feeds(info, task)
        files = {part.file for part in (sets.calibration, sets.search, sets.heldout)}
        self._files = {file: ArrayFile(Path(file), scratch) for file in sorted(files)}

    @property
    def labels(self) -> bool:
        """Whether the held-out file has an array ``labels``."""
        return LABELS in self._files[self._sets.heldout.file].members

    @property
    def ordered_in_time(self) -> bool:
        """Never: the operator's rows count as independent unless ``groups`` says otherwise."""
        return False

    def count(self, split: Split) -> int:
        """How many rows a set has."""
        return self._part(split).count

    def rows(self, split: Split) -> Iterator[Row]:
        """The rows of a set; each array of the file is read beside the others, row by row."""
        part = self._part(split)
        file = self._files[part.file]
        specs = {spec.name: spec for spec in self._info.inputs}
        matched = match_arrays(file.members, self._info)
        streams = {name: file.rows(array, part.rows) for name, array in matched.items()}
        labels = map(_scalar, file.rows(LABELS, part.rows)) if LABELS in file.members else repeat(None)
        groups: Iterator[int | None] = repeat(None)
        if GROUPS in file.members:
            groups = iter(recording_numbers(file.load(GROUPS))[part.rows].tolist())
        for index, label, group in zip(part.rows, labels, groups, strict=False):
            feeds = {
                name: feed(next(stream), specs[name], f"row {index} of {matched[name]!r}")
                for name, stream in streams.items()
            }
            yield Row({**self._fixed, **feeds}, label, group, index)

    def _part(self, split: Split) -> RowSet:
        part: RowSet = getattr(self._sets, split)
        return part


class ShardData:
    """Windows of a capture."""

    def __init__(self, sets: ShardSets, folder: Path, info: ModelInfo, task: Task) -> None:
        """Prepare each input's steps; raises ``RecipeError`` or ``ContractError`` if they do not fit."""
        self._sets = sets
        self._folder = folder
        self._fixed = fixed_feeds(info, task)
        self._makers = window_makers(sets.channels, info, task)

    @property
    def labels(self) -> bool:
        """Never: a sensor does not know the answer."""
        return False

    @property
    def ordered_in_time(self) -> bool:
        """Always: windows come in the order in which they were captured."""
        return True

    def count(self, split: Split) -> int:
        """How many windows a set has."""
        return sum(shard.windows for shard in self._shards(split))

    def rows(self, split: Split) -> Iterator[Row]:
        """The windows of a set; its ``group`` is the number of its block, as no recording goes on over a gap."""
        index = 0
        for number, shard in enumerate(self._shards(split)):
            samples = np.load(self._folder / shard.file, mmap_mode="r")
            for start in range(0, shard.windows * shard.step, shard.step):
                window = np.array(samples[start : start + shard.size])
                feeds = {name: make(window) for name, make in self._makers.items()}
                yield Row({**self._fixed, **feeds}, None, number, index)
                index += 1

    def _shards(self, split: Split) -> list[Shard]:
        shards: list[Shard] = getattr(self._sets, split)
        return shards


def sensor_inputs(info: ModelInfo, task: Task) -> dict[str, InputContract]:
    """Model input → the contract that feeds it from a source; an unnamed contract feeds the first free input."""
    named = {contract.name for contract in task.inputs if contract.name} | {state.input for state in task.state}
    free = [spec.name for spec in info.inputs if spec.name not in named]
    return {
        contract.name or (free[0] if free else info.inputs[0].name): contract
        for contract in task.inputs
        if contract.constant is None
    }


def window_makers(columns: list[str], info: ModelInfo, task: Task) -> dict[str, Callable[[Array], Array]]:
    """For each input that a source feeds: raw window ``[size, columns]`` → what the model is fed.

    Raises:
        RecipeError: ``recipe_unsupported`` for an unknown step.
        ContractError: by the function, if steps or result do not fit the input.
    """
    specs = {spec.name: spec for spec in info.inputs}

    def maker(name: str, contract: InputContract) -> Callable[[Array], Array]:
        preprocess = Preprocess(contract)
        picked = [columns.index(channel) for channel in contract.channels or columns]
        return lambda window: feed(preprocess(window[:, picked]), specs[name], "a window after its steps")

    return {name: maker(name, contract) for name, contract in sensor_inputs(info, task).items()}


def recording_numbers(groups: Array) -> Array:
    """Recording ids (integers or strings) as numbers 0, 1, ..."""
    return np.unique(groups, return_inverse=True)[1].reshape(-1)


def _scalar(label: Array) -> Any:
    return label.item() if label.ndim == 0 else label
