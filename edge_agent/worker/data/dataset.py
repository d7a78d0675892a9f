"""The data set that later stages read: the rows of each set, one at a time, in the form that the model takes.

Capture leaves ``sets.json`` with the location of the rows. They are row numbers of an operator's ``.npz``, or shards of
raw samples that this device captured; the steps then turn each window into a tensor when it is read. The calibrate
stage may divide rows of an ``.npz`` again between calibration and search (:mod:`edge_agent.worker.data.division`).

Invariant: rows come in ascending order, or in the order of the requested places, and are always the same. So the data
that one stage stored per row match the rows that another stage reads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from msgspec.structs import replace

from edge_agent.backends import Array, Signature
from edge_agent.contract.feeding import feed, fixed_feeds, sensor_inputs, window_maker
from edge_agent.errors import ContractError, StageError
from edge_agent.jobs.task import Stage, Task
from edge_agent.preprocess.resample import Resampler
from edge_agent.strict import UNDECODABLE
from edge_agent.worker.context import Context
from edge_agent.worker.data.array_matching import GROUPS, LABELS, lead, match_arrays
from edge_agent.worker.data.division import DIVISION_FILE, Division, read_division
from edge_agent.worker.data.npz_rows import ArrayFile
from edge_agent.worker.data.sets import SETS_FILE, ArraySets, RowSet, Shard, ShardSets
from edge_agent.worker.data.split import Split


@dataclass(frozen=True, slots=True)
class Row:
    """One window, or one row of an ``.npz``.

    Attributes:
        feeds: model input → array of its full shape, batch axis included.
        label: the operator's answer for the row (a number, a string or an array), or None.
        group: number of the row's recording, or None if rows are independent.
        index: the row's place in its file (``.npz``), or in its set.
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
        """Whether adjacent rows are adjacent in time, so that they may resemble each other."""
        ...

    @property
    def exchangeable(self) -> bool:
        """Whether calibration and search may swap rows: no recordings, no order, no stratification by labels."""
        ...

    def channels(self, name: str) -> list[str]:
        """Names of the channels of an input; empty: unknown."""
        ...

    def count(self, split: Split) -> int:
        """The number of rows in a set."""
        ...

    def groups(self, split: Split) -> list[int | None]:
        """The ``group`` of each row."""
        ...

    def rows(self, split: Split, places: Sequence[int] | None = None) -> Iterator[Row]:
        """The rows of a set, streamed; ``places``: only the rows at these ascending places in the set."""
        ...


def open_dataset(context: Context, info: Signature, division: Division | None = None) -> DataSet:
    """The data set that the capture stage left, for the model ``info``; raises ``StageError`` if it is unreadable.

    ``division``: the calibrate stage's division of the rows; None: it is read from that stage's folder.
    """
    folder = context.folder(Stage.CAPTURE)
    try:
        sets = msgspec.json.decode((folder / SETS_FILE).read_bytes(), type=ArraySets | ShardSets)
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{folder / SETS_FILE}: {error}") from None
    if isinstance(sets, ArraySets):
        division = division or read_division(context.folder(Stage.CALIBRATE))
        return ArrayData(_divided(sets, division), info, context.task, context.out_dir)
    return ShardData(sets, folder, info, context.task)


def _divided(sets: ArraySets, division: Division | None) -> ArraySets:
    if division is None:
        return sets
    if not division.same_rows(sets.calibration.rows, sets.search.rows):
        raise StageError("stage_crashed", f"{DIVISION_FILE} divides other rows than capture drew")
    calibration, search = (RowSet(sets.calibration.file, rows) for rows in (division.calibration, division.search))
    return replace(sets, calibration=calibration, search=search)


class ArrayData:
    """Rows of an operator's ``.npz`` files."""

    def __init__(self, sets: ArraySets, info: Signature, task: Task, scratch: Path) -> None:
        """Open the files; ``scratch``: a folder for temporary files. Raises ``ContractError`` (data_unreadable)."""
        self._sets = sets
        self._info = info
        self._fixed = fixed_feeds(info, task)
        self._states = [state.input for state in task.state]
        files = {part.file for part in (sets.calibration, sets.search, sets.heldout, sets.eval) if part.file}
        self._files = {file: ArrayFile(Path(file), scratch) for file in sorted(files)}

    @property
    def labels(self) -> bool:
        """Whether the held-out file has an array ``labels``."""
        return LABELS in self._files[self._sets.heldout.file].members

    @property
    def ordered_in_time(self) -> bool:
        """Always False: an operator's rows count as independent, unless ``groups`` joins them."""
        return False

    @property
    def exchangeable(self) -> bool:
        """True unless there are recordings, state carried from row to row, or labels that name a class."""
        members = self._files[self._sets.calibration.file].members
        labels = members.get(LABELS)
        led = labels is not None and lead(labels.dtype, labels.shape)
        carried = any(name not in match_arrays(members, self._info) for name in self._states)
        return not (led or carried or GROUPS in members)

    def channels(self, name: str) -> list[str]:  # noqa: ARG002  # an array has no channel names
        """Always unknown."""
        return []

    def count(self, split: Split) -> int:
        """The number of rows in a set."""
        return self._part(split).count

    def groups(self, split: Split) -> list[int | None]:
        """The recording of each row, from the file's array ``groups``; None if the file has none."""
        part = self._part(split)
        return self._groups(self._files[part.file], part.rows)

    def rows(self, split: Split, places: Sequence[int] | None = None) -> Iterator[Row]:
        """The rows of a set; all arrays of the file are read in parallel, row by row."""
        part = self._part(split)
        rows = part.rows if places is None else [part.rows[place] for place in places]
        file = self._files[part.file]
        specs = {spec.name: spec for spec in self._info.inputs}
        matched = match_arrays(file.members, self._info)
        streams = {name: file.rows(array, rows) for name, array in matched.items()}
        labels = map(_scalar, file.rows(LABELS, rows)) if LABELS in file.members else repeat(None)
        for index, label, group in zip(rows, labels, self._groups(file, rows), strict=False):
            feeds = {
                name: feed(next(stream), specs[name], f"row {index} of {matched[name]!r}")
                for name, stream in streams.items()
            }
            yield Row({**self._fixed, **feeds}, label, group, index)

    def _groups(self, file: ArrayFile, rows: Sequence[int]) -> list[int | None]:
        if GROUPS not in file.members:
            return [None] * len(rows)
        numbers: list[int | None] = recording_numbers(file.load(GROUPS))[rows].tolist()
        return numbers

    def _part(self, split: Split) -> RowSet:
        part: RowSet = getattr(self._sets, split)
        return part


class ShardData:
    """Windows of a capture."""

    def __init__(self, sets: ShardSets, folder: Path, info: Signature, task: Task) -> None:
        """Prepare the steps of each input; raises ``RecipeError`` or ``ContractError`` if they do not fit."""
        self._sets = sets
        self._folder = folder
        self._fixed = fixed_feeds(info, task)
        self._resample = Resampler(Fraction(*sets.ratio))
        specs = {spec.name: spec for spec in info.inputs}
        self._contracts = sensor_inputs(info, task)
        self._makers = {
            name: window_maker(contract, specs[name], sets.channels) for name, contract in self._contracts.items()
        }

    @property
    def labels(self) -> bool:
        """Always False: a sensor provides no labels."""
        return False

    @property
    def ordered_in_time(self) -> bool:
        """Always True: windows come in the order of their capture."""
        return True

    @property
    def exchangeable(self) -> bool:
        """Always False: each set consists of blocks of time, with gaps between them."""
        return False

    def channels(self, name: str) -> list[str]:
        """The channels that the contract names, else all captured channels; empty for a constant."""
        contract = self._contracts.get(name)
        return [] if contract is None else contract.channels or self._sets.channels

    def count(self, split: Split) -> int:
        """The number of windows in a set."""
        return sum(shard.windows for shard in self._shards(split))

    def groups(self, split: Split) -> list[int | None]:
        """The group of each window's block, else the block's number: no recording spans a gap."""
        shards = enumerate(self._shards(split))
        return [group for number, shard in shards for group in [_group(number, shard)] * shard.windows]

    def rows(self, split: Split, places: Sequence[int] | None = None) -> Iterator[Row]:
        """The windows of a set."""
        wanted = range(self.count(split)) if places is None else set(places)
        end = 0
        for number, shard in enumerate(self._shards(split)):
            first, end = end, end + shard.windows
            taken = [place for place in range(first, end) if place in wanted]
            if not taken:
                continue
            stop = None if shard.samples is None else shard.first + shard.samples
            samples = self._resample(np.load(self._folder / shard.file, mmap_mode="r")[shard.first : stop])
            group = _group(number, shard)
            for place in taken:
                start = (place - first) * shard.step
                window = np.array(samples[start : start + shard.size])
                feeds = {name: make(window) for name, make in self._makers.items()}
                yield Row({**self._fixed, **feeds}, None, group, place)

    def _shards(self, split: Split) -> list[Shard]:
        shards: list[Shard] = getattr(self._sets, split)
        return shards


def _group(number: int, shard: Shard) -> int:
    return number if shard.group is None else shard.group


def recording_numbers(groups: Array) -> Array:
    """Recording ids (integers or strings) as numbers 0, 1, ..."""
    return np.unique(groups, return_inverse=True)[1].reshape(-1)


def _scalar(label: Array) -> Any:
    try:
        return label.item() if label.ndim == 0 else label
    except (ValueError, SystemError) as error:  # bytes that are not text; Python raises either
        raise ContractError("data_unreadable", f"{LABELS!r} cannot be read ({error}); save it again") from None
