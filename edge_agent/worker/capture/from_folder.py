"""Makes rows for a model from an operator's files: pictures, sounds, tables, or ready arrays. No job, no sensor.

Recordings are cut into windows in the same way as a sensor's stream, and go through the contracts' steps. The windows
come from segments that are a window apart. Each segment is a group, so that the sets of a verdict share no sample.
Pictures count as independent. Arrays whose rows fit the model's inputs are used unchanged. Rows go into a
file one by one: rows of pictures may be larger than the memory.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.recordings import BROKEN, Recording, Unreadable
from edge_agent.acquisition.recordings.arrays import ArrayRecording, read_npz
from edge_agent.acquisition.recordings.folder import READABLE, Kind, Listed, list_recordings
from edge_agent.acquisition.recordings.naming import named_channels
from edge_agent.acquisition.recordings.sound import SoundRecording
from edge_agent.acquisition.recordings.table.recording import TableRecording
from edge_agent.advice.installation import how_to_add
from edge_agent.contract.feeding import fed_shape
from edge_agent.errors import ContractError, EdgeAgentError, SourceError
from edge_agent.preprocess import Preprocess
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.strict import counted, why
from edge_agent.wire.manifest import Window
from edge_agent.worker.capture.ready_arrays import ready_rows
from edge_agent.worker.capture.rows_asked import Asked, evenly
from edge_agent.worker.capture.stretches import stretches, windows_of
from edge_agent.worker.data.array_matching import GROUPS, RESERVED
from edge_agent.worker.data.row_store import RowStore

Array = NDArray[Any]
Progress = Callable[[float, str, float | None], None]

_STRETCHES = 12
"""The least number of segments, if samples suffice: several per set, so that a set covers more than one moment."""
_SHOWN = 3


@dataclass(slots=True)
class Rows:
    """Rows by the names of the model's inputs, and notes on their origin."""

    arrays: dict[str, Array]
    notes: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(next(iter(self.arrays.values())))


def rows_from(place: Path, asked: Asked, progress: Progress, scratch: Path) -> Rows:
    """The rows from the files at ``place``, a folder or a single file.

    Raises:
        SourceError: ``source_unavailable``: no file is usable; the message gives the reason.
        ContractError: the files' data do not fit the model.
    """
    try:
        listed = list_recordings(place)
    except OSError as error:
        raise SourceError("source_unavailable", f"{place} cannot be read: {why(error)}; give another folder") from None
    kind = _kind(listed, asked)
    if kind is None:
        wanted = "pictures" if asked.contracts[0].frame else "sounds, tables or arrays"
        there = listed.left_out(Kind.PICTURES if not asked.contracts[0].frame else Kind.SOUND) or "nothing"
        text = f"{place} has no file for the model, which needs {wanted}; it has {there}"
        raise SourceError("source_unavailable", f"{text}: give a folder with {READABLE}")
    files, notes = listed.of[kind], []
    if left := listed.left_out(kind):
        notes.append(f"{counted(len(files), 'file')} of {kind.value} used; left out: {left}")
    if kind is Kind.ARRAYS and (ready := ready_rows(files, asked, scratch)) is not None:
        return Rows(ready, [*notes, "the arrays fit the model's inputs, so no steps are applied"])
    with RowStore(scratch) as store:
        reader = _Reader(asked, progress, notes, store)
        made = reader.pictures(files) if kind is Kind.PICTURES else reader.streams(kind, files)
    return Rows(made, notes)


def _kind(listed: Listed, asked: Asked) -> Kind | None:
    """The kind of files to read: the one that the contract implies, else the most frequent one."""
    if asked.contracts[0].frame:
        return listed.most((Kind.PICTURES, Kind.ARRAYS))
    sound_first = (Kind.SOUND,) if asked.contracts[0].rate_hz and listed.of[Kind.SOUND] else ()
    return listed.most(sound_first or (Kind.TABLE, Kind.SOUND, Kind.ARRAYS))


class _Reader:
    """Makes rows from recordings; unreadable files are left out and noted."""

    def __init__(self, asked: Asked, progress: Progress, notes: list[str], store: RowStore) -> None:
        self._asked = asked
        self._store = store
        self._progress = progress
        self._notes = notes
        self._steps = [Preprocess(contract) for contract in asked.contracts]
        self._broken: list[str] = []

    def streams(self, kind: Kind, files: Sequence[Path]) -> dict[str, Array]:
        """Windows from streams of numbers; each segment is a group."""
        groups: list[int] = []
        group = 0
        each = -(-self._asked.most_rows // len(files))
        for number, path in enumerate(files):
            self._progress(number / len(files), f"reading {path.name}", None)
            with self._opened(kind, path) as recording:
                if recording is None:
                    continue
                for stretch in self._stretches(path, recording, -(-_STRETCHES // len(files)), each):
                    before = self._store.count
                    for row in stretch:
                        self._store.add(row)
                    groups += [group] * (self._store.count - before)
                    group += 1
        return self._joined("a window of samples") | {GROUPS: np.array(groups, np.int64)}

    def pictures(self, files: Sequence[Path]) -> dict[str, Array]:
        """Windows of pictures, evenly spaced over all files, up to the requested number."""
        try:
            from edge_agent.acquisition.recordings.pictures import read_picture  # noqa: PLC0415  # only these need Pillow
        except ModuleNotFoundError as error:
            what = f"pictures need {error.name}; {how_to_add('camera')}"
            raise SourceError("source_unavailable", what) from None
        frame = self._asked.contracts[0].frame or (1, 1)
        colour = "gray" if self._asked.channels == 1 else "rgb"
        size = self._asked.window.size
        chosen = [files[place] for place in evenly(len(files), self._asked.most_rows * size)]
        pending: list[Array] = []
        for number, path in enumerate(chosen):
            self._progress(number / len(chosen), f"reading {path.name}", None)
            picture = read_picture(path, colour, (frame[1], frame[0]))
            if picture is None:
                self._broken.append(f"{path.name}: not an image")
                continue
            pending.append(picture)
            if len(pending) == size:
                self._store.add(self._made(np.stack(pending), colour_names(colour), path))
                pending = []
        return self._joined("pictures")

    def _joined(self, what: str) -> dict[str, Array]:
        if self._broken:
            more = f" and {len(self._broken) - _SHOWN} more" if len(self._broken) > _SHOWN else ""
            self._notes.append(f"left out: {'; '.join(self._broken[:_SHOWN])}{more}")
        if not self._store.count:
            why_none = "; ".join(self._broken[:_SHOWN]) or "all files are too short"
            raise SourceError("source_unavailable", f"no file gives {what}: {why_none}")
        return self._store.arrays()

    def _opened(self, kind: Kind, path: Path) -> "closing[Recording] | _Nothing":
        try:
            match kind:
                case Kind.SOUND:
                    return closing(SoundRecording(path))
                case Kind.TABLE:
                    return closing(TableRecording(path, [], None))
            return closing(_arrays(path))
        except BROKEN as error:
            self._broken.append(f"{path.name}: {why(error)}")
            return _Nothing()

    def _stretches(
        self, path: Path, recording: Recording, pieces: int, each: int
    ) -> Iterator[Iterator[dict[str, Array]]]:
        """The rows of each segment, ``each`` in total at most."""
        window, wanted_hz = self._asked.window, self._asked.contracts[0].rate_hz
        columns, places = self._columns(path, recording)
        own = recording.window_size
        if own not in (0, window.size):
            text = f"{path.name} has windows of {own} samples, but the model takes {window.size}; correct window in"
            raise ContractError("shape_mismatch", f"{text} {self._asked.manifest}")
        if wanted_hz and recording.rate_hz is None:
            text = f"{path.name} does not state its rate, so the model's {wanted_hz:g} Hz are assumed"
            self._notes.append(text)
        resample = Resampler(rate_ratio(recording.rate_hz or wanted_hz or 1.0, wanted_hz or recording.rate_hz or 1.0))
        most = -(-each // pieces)
        for start, length in stretches(recording, pieces, resample.needed(window.size)):
            room = resample.outputs(length) - window.size
            if room < 0:
                continue
            hop = own or self._hop(room, most)
            count = min(most, 1 + room // hop)
            cut = windows_of(recording, resample, start, Window(window.size, hop), count)
            yield (self._made(samples[..., places], columns, path) for samples in cut)

    def _hop(self, room: int, most: int) -> int:
        """Samples between windows: evenly over a segment that has ``room``, and at least the contract's hop.

        Windows that are far apart resemble each other less, so they prove more.
        """
        hop = self._asked.window.hop
        return hop if self._asked.in_order else max(hop, room // max(1, most - 1))

    def _columns(self, path: Path, recording: Recording) -> tuple[list[str], list[int]]:
        """Names and indices of the channels that the contracts may use."""
        try:
            named = named_channels(recording.names, [], recording.columns)
        except Unreadable as error:
            raise ContractError("channel_unknown", f"{path.name}: {error}") from None
        if isinstance(recording, SoundRecording) and self._asked.channels == 1 and recording.columns > 1:
            text = f"of sounds with several channels, only {named.names[0]!r} is used"
            if text not in self._notes:
                self._notes.append(text)
            return named.names[:1], named.places[:1]
        return named.names, named.places

    def _made(self, window: Array, columns: Sequence[str], path: Path) -> dict[str, Array]:
        """A row: the tensor of one window for each input."""
        specs = {spec.name: spec for spec in self._asked.info.inputs}
        row: dict[str, Array] = {}
        for contract, steps in zip(self._asked.contracts, self._steps, strict=True):
            spec = specs[contract.name or self._asked.info.inputs[0].name]
            if missing := [name for name in contract.channels if name not in columns]:
                unknown = ContractError("channel_unknown", f"{missing[0]!r} is not one of them")
                raise ContractError(unknown.code, self._unfit(unknown, path, columns))
            try:
                picked = [columns.index(name) for name in contract.channels] or slice(None)
                tensor = steps(window[..., picked])
                fed_shape(tensor.shape, spec, "a window after its steps")
            except ContractError as error:
                raise ContractError(error.code, self._unfit(error, path, columns)) from None
            key = f"input:{spec.name}" if spec.name in RESERVED else spec.name
            row[key] = tensor
        return row

    def _unfit(self, error: EdgeAgentError, path: Path, columns: Sequence[str]) -> str:
        has = f"{path.name} has {counted(len(columns), 'channel')} ({', '.join(columns)})"
        do = f"correct channels, window or steps in {self._asked.manifest}, and pass it with --manifest"
        return f"{has}: {error.message}; {do}"


class _Nothing:
    """A placeholder for a recording that could not be opened."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_error: object) -> None:
        return None


def colour_names(colour: str) -> list[str]:
    """The names of the channels of pictures."""
    from edge_agent.acquisition.recordings.pictures import COLOURS  # noqa: PLC0415  # Pillow

    return COLOURS[colour]


def _arrays(path: Path) -> ArrayRecording:
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    data = np.load(path, allow_pickle=False, mmap_mode="r")
    if data.ndim not in (2, 3) or data.dtype.kind not in "fiu" or not data.size:
        text = f"an array of {data.dtype} {list(data.shape)} is not [samples, channels] or [windows, size, channels]"
        raise Unreadable(f"{text}; save it in one of these shapes")
    return ArrayRecording(data, [], None)
