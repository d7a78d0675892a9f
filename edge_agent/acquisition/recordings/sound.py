"""Recordings of sound: ``.wav`` with PCM samples of 8, 16, 24 or 32 bits, read piece by piece.

Samples are float32 from -1 to 1, as the kind ``audio`` delivers them, and channels have the names that it gives them.
"""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHANNEL_NAMES = {1: ["mono"], 2: ["left", "right"]}
_TYPES = {1: "u1", 2: "<i2", 4: "<i4"}
_BYTES_OF_24_BITS = 3


class SoundRecording:
    """An open ``.wav``."""

    window_size = 0
    frame_shape: tuple[int, ...] = ()
    at_once = 16_384
    malformed = 0

    def __init__(self, path: Path) -> None:
        """Read the header; raises one of ``BROKEN``."""
        try:
            self._file = wave.open(str(path), "rb")  # noqa: SIM115  # it stays open until close()
        except wave.Error as error:
            raise ValueError(f"{error}; save it as plain PCM, e.g. with ffmpeg -c:a pcm_s16le") from None
        self.columns = self._file.getnchannels()
        self.names = CHANNEL_NAMES.get(self.columns, [])
        self.rate_hz: float | None = float(self._file.getframerate())
        self.length = self._file.getnframes()
        if not self.length:
            raise ValueError("it holds no sound")
        self._width = self._file.getsampwidth()

    def take(self, start: int, count: int) -> NDArray[np.float32]:
        """Samples ``[n, columns]`` from -1 to 1."""
        self._file.setpos(start)
        data = self._file.readframes(count)
        whole = len(data) // (self._width * self.columns) * self._width * self.columns  # a file that was cut short
        return pcm(data[:whole], self._width).reshape(-1, self.columns)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def pcm(data: bytes, width: int) -> NDArray[np.float32]:
    """Integers of ``width`` bytes, little-endian (one byte: unsigned), as numbers from -1 to 1."""
    if width == _BYTES_OF_24_BITS:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        integers = padded.view("<i4").reshape(-1)
        width = 4
    else:
        integers = np.frombuffer(data, _TYPES[width])
    full = float(1 << (8 * width - 1))
    centred = integers.astype(np.float64) - (full if width == 1 else 0.0)
    return (centred / full).astype(np.float32)
