"""A recording in place of a sensor.

    [sources.recorded]
    kind = "replay"
    path = "imu.npz"         # samples x channels, or ready windows x size x channels; or a csv file with a header row
    rate = "real"            # at rate_hz; or "max": as fast as it is read
    loop = false
    channels = ["ax", "ay"]  # where the file does not name them (csv header, .npz array ``channels``)
    rate_hz = 50             # where the .npz has no array ``rate_hz``

Of an ``.npz`` the array ``samples`` or ``windows`` is taken, or the only one of two or three axes. The recording is
held in memory as float32.
"""

import math
import time
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from edge_agent.errors import SourceError
from edge_agent.framing import CsvDecoder
from edge_agent.sources import EndOfSource, Samples

_AT_ONCE = 1024
_DATA = ("samples", "windows")
_STREAM_AXES, _WINDOWS_AXES = 2, 3
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
_BROKEN = (
    OSError,
    ValueError,
    TypeError,  # rate_hz or channels of an unfit shape
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,  # an encrypted member, or a compression that this Python lacks
    tokenize.TokenError,  # numpy parses a header as Python
    SyntaxError,
)
"""What reading a broken file raises."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of ``[sources.NAME]``."""

    path: Annotated[str, msgspec.Meta(min_length=1)]
    rate: Literal["real", "max"] = "real"
    loop: bool = False
    channels: list[str] = []
    rate_hz: Positive | None = None
    silence_s: Positive = 10.0


class ReplaySource:
    """An open recording."""

    live = False
    gaps = 0
    trouble = ""

    def __init__(self, options: Options) -> None:
        """Read the file; raises ``SourceError`` (source_unavailable)."""
        path = Path(options.path)
        try:
            data, names, rate_hz, self.malformed = _read_csv(path) if path.suffix == ".csv" else _read_npz(path)
        except _BROKEN as error:
            raise SourceError("source_unavailable", f"{path} cannot be replayed: {error}") from None
        self.channels = tuple(options.channels or names or [f"c{index}" for index in range(data.shape[-1])])
        if len(self.channels) != data.shape[-1]:
            raise SourceError("source_unavailable", f"{path} has {data.shape[-1]} channels, not {len(self.channels)}")
        known_rate = options.rate_hz or rate_hz
        if not known_rate or not 0 < known_rate < math.inf:
            raise SourceError("source_unavailable", f"{path} does not say its rate; add rate_hz")
        self.rate_hz = float(known_rate)
        self.silence_s = options.silence_s
        self.window_size = data.shape[1] if data.ndim == _WINDOWS_AXES else 0
        self._samples: Samples = data.reshape(-1, data.shape[-1])
        self.length = len(self._samples)
        self._path = path
        self._real = options.rate == "real"
        self.repeats = options.loop
        self._next = 0
        self._given = 0
        self._started: float | None = None

    def read(self, timeout_s: float) -> Samples | None:
        """The samples that are due; at ``rate = "max"`` the next ones."""
        if self._next == len(self._samples):
            if not self.repeats:
                raise EndOfSource(f"{self._path} ended after {self._given} samples")
            self._next = 0
        due = min(self._due(timeout_s), _AT_ONCE)
        samples = self._samples[self._next : self._next + due]
        self._next += len(samples)
        self._given += len(samples)
        return samples.copy() if len(samples) else None

    def close(self) -> None:
        """Nothing is held."""

    def _due(self, timeout_s: float) -> int:
        if not self._real:
            return _AT_ONCE
        if self._started is None:
            self._started = time.monotonic()
        wait = self._started + (self._given + 1) / self.rate_hz - time.monotonic()
        time.sleep(max(0.0, min(wait, timeout_s)))
        return max(0, int((time.monotonic() - self._started) * self.rate_hz) - self._given)


def open(options: Options) -> ReplaySource:  # noqa: A001  # the name of a kind's entry
    """Read the recording; raises ``SourceError`` (source_unavailable)."""
    return ReplaySource(options)


def _read_npz(path: Path) -> tuple[Samples, list[str], float | None, int]:
    with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as file:
        arrays = {name: array for name, array in file.items() if array.ndim in (_STREAM_AXES, _WINDOWS_AXES)}
        chosen = next((name for name in _DATA if name in arrays), None)
        if chosen is None and len(arrays) == 1:
            chosen = next(iter(arrays))
        if chosen is None:
            raise ValueError("no array samples [samples, channels] or windows [windows, size, channels]")
        data = arrays[chosen]
        names = [str(name) for name in file["channels"]] if "channels" in file else []
        rate_hz = float(file["rate_hz"]) if "rate_hz" in file else None
    if data.dtype.kind not in "fiu" or not data.size:
        raise ValueError(f"array {chosen!r} holds no numbers")
    return data.astype(np.float32), names, rate_hz, 0


def _read_csv(path: Path) -> tuple[Samples, list[str], float | None, int]:
    header, _, body = path.read_bytes().partition(b"\n")
    names = [name.strip() for name in header.decode("utf-8-sig").split(",")]
    decoder = CsvDecoder(len(names))
    data = decoder.feed(b"\n" + body.rstrip() + b"\n")
    if not len(data):
        raise ValueError("no row of numbers under its header")
    return data, names, None, decoder.malformed
