"""A recording in place of a sensor.

[sources.recorded]
kind = "replay"
path = "imu.npz"         # samples x channels, or cut windows x size x channels; or a table: .csv, .tsv, .txt, .csv.gz
rate = "real"            # at rate_hz; or "max": as fast as it is read
loop = false
channels = ["ax", "ay"]  # selects by the file's names (a table's header, .npz array ``channels``); else names them all
rate_hz = 50             # if the file has no rate (a table's time stamps, .npz array ``rate_hz``, .wav)

[sources.sound]
kind = "replay"
path = "factory.wav"     # PCM or floats; float32 from -1 to 1, channels "mono", or "left" and "right"

[sources.pictures]       # needs the extra camera
kind = "replay"
path = "/var/lib/edge-agent/pictures"   # a folder of images, in alphabetical order
colour = "rgb"           # or "bgr", "gray": the channels and their order; uint8 [height, width, channels]
size = [320, 240]        # width and height to resize to; left out: the size of the first one
rate_hz = 10
"""

import math
import time
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from edge_agent.acquisition.arrivals import Arrivals
from edge_agent.acquisition.pacing import Schedule
from edge_agent.acquisition.recordings import BROKEN, Data, Recording, Unreadable
from edge_agent.acquisition.recordings.arrays import read_npz
from edge_agent.acquisition.recordings.formats import Format, format_of
from edge_agent.acquisition.recordings.naming import Named, named_channels
from edge_agent.acquisition.recordings.sound import SoundRecording
from edge_agent.acquisition.recordings.table.recording import TableRecording
from edge_agent.acquisition.source import RATE_KEY
from edge_agent.advice.installation import how_to_add
from edge_agent.advice.permission import not_permitted
from edge_agent.errors import SourceError
from edge_agent.sources import EndOfSource
from edge_agent.strict import counted

if TYPE_CHECKING:
    from edge_agent.acquisition.recordings.pictures import PictureRecording

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=16_384)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of ``[sources.NAME]``."""

    path: Annotated[str, msgspec.Meta(min_length=1)]
    rate: Literal["real", "max"] = "real"
    loop: bool = False
    channels: list[str] = []
    rate_hz: Positive | None = None
    colour: Literal["rgb", "bgr", "gray"] = "rgb"
    size: tuple[Pixels, Pixels] | None = None
    silence_s: Positive = 10.0


class ReplaySource:
    """An open recording."""

    live = False
    trouble = ""

    def __init__(self, options: Options) -> None:
        """Read the file; raise ``SourceError`` (source_unavailable)."""
        path = Path(options.path)
        try:
            self._recording = recording = _open(path, options)
            meant = _meant(recording, options)
        except Unreadable as error:
            raise SourceError("source_unavailable", f"{path} cannot be replayed: {error}") from None
        except BROKEN as error:
            raise SourceError("source_unavailable", _broken(path, error)) from None
        self.channels = tuple(meant.names)
        self._places = None if meant.places == list(range(recording.columns)) else meant.places
        known_rate = options.rate_hz or recording.rate_hz
        if not known_rate or not 0 < known_rate < math.inf:
            raise SourceError("source_unavailable", f"{path} does not state its rate; add rate_hz")
        self.rate_hz = float(known_rate)
        self.rate_said_by = RATE_KEY if options.rate_hz else recording.rate_said_by
        self.silence_s = options.silence_s
        self.window_size = recording.window_size
        self.frame_shape = recording.frame_shape
        self.length = recording.length
        self.repeats = options.loop
        self.arrivals = Arrivals(self.rate_hz)
        self.findings = recording.findings
        self.gaps = 0
        self._path = path
        self._schedule = Schedule(self.rate_hz) if options.rate == "real" else None
        self._next = 0
        self._given = 0

    @property
    def malformed(self) -> int:
        """Number of dropped samples of the recording."""
        return self._recording.malformed

    @property
    def malformed_example(self) -> str:
        """One of the dropped samples, and its fault."""
        return self._recording.malformed_example

    def read(self, timeout_s: float) -> Data | None:
        """Return the samples that are due; with ``rate = "max"`` the next ones."""
        if self._next == self.length:
            if not self.repeats:
                raise EndOfSource(f"{self._path} ended after {counted(self._given, 'sample')}")
            self._next = 0
        due = self._recording.at_once
        if self._schedule is not None:
            due = min(self._schedule.wait(timeout_s), due)
        breaks = self._recording.breaks
        ahead = bisect_right(breaks, self._next)
        broken = ahead > 0 and breaks[ahead - 1] == self._next
        wanted = min(due, (breaks[ahead] if ahead < len(breaks) else self.length) - self._next)
        if self._schedule is not None:
            self._schedule.take(wanted)
        try:
            samples = self._recording.take(self._next, wanted)
        except BROKEN as error:
            raise EndOfSource(f"{self._path} broke off after {counted(self._given, 'sample')}: {error}") from None
        if self._places is not None:
            samples = samples[..., self._places]
        self._next += wanted
        self._given += len(samples)
        if not len(samples):
            return None
        if broken:
            self.gaps += 1
            self.arrivals.interrupt()
        self.arrivals.hear(len(samples), time.monotonic())
        return samples

    def close(self) -> None:
        """Close the file."""
        self._recording.close()


def open(options: Options) -> ReplaySource:  # noqa: A001  # the name of a kind's entry
    """Open the recording; raise ``SourceError`` (source_unavailable)."""
    return ReplaySource(options)


def require(options: Options) -> None:
    """Raise ``SourceError`` if the path is a folder of images and no package to read them is installed."""
    if Path(options.path).is_dir():
        _picture_recording()


def _picture_recording() -> "type[PictureRecording]":
    try:
        from edge_agent.acquisition.recordings.pictures import (  # noqa: PLC0415  # only pictures need Pillow
            PictureRecording,
        )
    except ModuleNotFoundError as error:
        what = f"a folder of pictures needs {error.name}; {how_to_add('camera')}"
        raise SourceError("source_unavailable", what) from None
    return PictureRecording


def _open(path: Path, options: Options) -> Recording:
    """Open the recording; raise one of ``BROKEN``."""
    if path.is_dir():
        return _picture_recording()(path, options.colour, options.size)
    match format_of(path):
        case Format.TABLE:
            return TableRecording(path, options.channels, options.rate_hz)
        case Format.SOUND:
            return SoundRecording(path)
        case Format.ARRAYS:
            return read_npz(path)


def _meant(recording: Recording, options: Options) -> Named:
    """Return the configured channels; a table has already selected its own. Raise ``Unreadable``."""
    wanted = [] if isinstance(recording, TableRecording) else options.channels
    return named_channels(recording.names, wanted, recording.columns)


def _broken(path: Path, error: BaseException) -> str:
    """Return why a file cannot be read, and what to do."""
    if isinstance(error, PermissionError):
        return not_permitted(path)
    if isinstance(error, OSError) and error.strerror:
        return f"{path} cannot be replayed: {error.strerror}; check path in the config"
    return f"{path} cannot be replayed: it is damaged ({error}); record or copy it again"
