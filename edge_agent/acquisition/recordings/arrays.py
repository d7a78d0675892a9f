"""Recordings of numbers: ``.npz`` with samples x channels or cut windows.

The data are the array ``samples`` or ``windows``, or the only array of two or three axes. The file may also contain
``channels`` and ``rate_hz``. The recording is stored in memory as float32.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.framing import to_samples
from edge_agent.acquisition.recordings import Unbroken, Unreadable, numbers_only
from edge_agent.acquisition.shown import listed

_DATA = ("samples", "windows")
_STREAM_AXES, _WINDOWS_AXES = 2, 3


class ArrayRecording(Unbroken):
    """A recording in memory; ``data`` is ``[samples, channels]`` or ``[windows, size, channels]``."""

    frame_shape: tuple[int, ...] = ()
    at_once = 1024
    rate_said_by = "the array rate_hz of the file"
    malformed = 0

    def __init__(self, data: NDArray[Any], names: list[str], rate_hz: float | None) -> None:
        self.names = names
        self.columns = data.shape[-1]
        self.rate_hz = rate_hz
        self.window_size = data.shape[1] if data.ndim == _WINDOWS_AXES else 0
        self._samples = to_samples(data).reshape(-1, data.shape[-1])
        self.length = len(self._samples)

    def take(self, start: int, count: int) -> NDArray[np.float32]:
        """Return samples ``[n, columns]``, a copy."""
        return self._samples[start : start + count].copy()

    def close(self) -> None:
        """Do nothing: no file is open."""


def read_npz(path: Path) -> ArrayRecording:
    """Read the recording in an ``.npz``; raise one of ``BROKEN``, such as ``Unreadable``."""
    with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as file:
        entries = {name: array for name, array in file.items() if isinstance(array, np.ndarray)}
        arrays = {name: array for name, array in entries.items() if array.ndim in (_STREAM_AXES, _WINDOWS_AXES)}
        chosen = next((name for name in _DATA if name in arrays), None)
        if chosen is None and len(arrays) == 1:
            chosen = next(iter(arrays))
        if chosen is None:
            there = listed(f"{name} {list(array.shape)}" for name, array in entries.items()) or "none"
            text = "it has no array samples [samples, channels] or windows [windows, size, channels]; arrays in it: "
            raise Unreadable(f"{text}{there}; save the data under one of these names")
        names = [str(name) for name in np.atleast_1d(file["channels"])] if "channels" in file else []
        rate_hz = _rate(file["rate_hz"]) if "rate_hz" in file else None
    return ArrayRecording(numbers_only(arrays[chosen], f"array {chosen!r}"), names, rate_hz)


def _rate(array: NDArray[Any]) -> float:
    try:
        return float(array.reshape(()))
    except (TypeError, ValueError):
        text = (
            f"its array rate_hz of type {array.dtype} and shape {list(array.shape)} is not one number; save one number"
        )
        raise Unreadable(text) from None
