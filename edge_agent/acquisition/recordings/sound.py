"""Recordings of sound: ``.wav``, read piece by piece.

Supports integers of 8, 16, 24 or 32 bits and floats of 32 or 64 bits, plain or as WAVE_FORMAT_EXTENSIBLE. Samples are
float32, with integers scaled to -1 to 1. Scale and channel names are those of the kind ``audio``. The format is that of
Microsoft's "Multimedia Programming Interface and Data Specifications 1.0" and ``mmreg.h``.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.recordings import Unbroken, Unreadable
from edge_agent.strict import counted

CHANNEL_NAMES = {1: ["mono"], 2: ["left", "right"]}
_TYPES = {1: "u1", 2: "<i2", 4: "<i4"}
_FLOATS = {4: "<f4", 8: "<f8"}
_BYTES_OF_24_BITS = 3
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_COMPRESSED = {
    0x0002: "Microsoft ADPCM",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0050: "MPEG",
    0x0055: "MP3",
    0x00FF: "AAC",
    0x0161: "WMA",
    0x2000: "AC-3",
}
_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""The bytes after the format code in a GUID of WAVE_FORMAT_EXTENSIBLE."""
_TO_DO = "save it as plain PCM, e.g. with ffmpeg -c:a pcm_s16le"
_PLAIN_BYTES, _EXTENSIBLE_BYTES = 16, 40
_CHUNK = struct.Struct("<4sI")
"""The name of a chunk and its size."""
_UNKNOWN = 0xFFFF_FFFF
_DATA_SIZE = slice(8, 16)
"""Position of the size of ``data`` in the chunk ``ds64`` of a file beyond 4 GB (EBU Tech 3306)."""


class _Format(NamedTuple):
    code: int
    columns: int
    rate_hz: int
    width: int


class SoundRecording(Unbroken):
    """An open ``.wav``."""

    window_size = 0
    frame_shape: tuple[int, ...] = ()
    at_once = 16_384
    rate_said_by = "the header of the file"
    malformed = 0

    def __init__(self, path: Path) -> None:
        """Read the header; raise one of ``BROKEN``."""
        self._path = path
        with path.open("rb") as file:
            form, self._begin, size = _find(file)
        self._float, self._width, self.columns = form.code == _FLOAT, form.width, form.columns
        self.names = CHANNEL_NAMES.get(self.columns, [])
        self.rate_hz: float | None = float(form.rate_hz)
        self.length = size // (self._width * self.columns)
        if not self.length:
            raise Unreadable("it contains no sound; record it again")

    def take(self, start: int, count: int) -> NDArray[np.float32]:
        """Return samples ``[n, columns]``; integers scaled to -1 to 1, floats unchanged."""
        frame = self._width * self.columns
        with self._path.open("rb") as file:
            file.seek(self._begin + start * frame)
            data = file.read(min(count, self.length - start) * frame)
        whole = data[: len(data) // frame * frame]
        numbers = np.frombuffer(whole, _FLOATS[self._width]) if self._float else pcm(whole, self._width)
        return numbers.astype(np.float32).reshape(-1, self.columns)

    def close(self) -> None:
        """Do nothing: no file is open."""


def _find(file: BinaryIO) -> tuple[_Format, int, int]:
    """Return the format, the offset of the samples and their size in bytes; raise ``Unreadable``."""
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        raise Unreadable("it is not a WAV file, which begins with RIFF and WAVE; check path in the config")
    end = os.fstat(file.fileno()).st_size
    form: _Format | None = None
    beyond_4_gb = 0
    while len(chunk := file.read(_CHUNK.size)) == _CHUNK.size:
        name, size = _CHUNK.unpack(chunk)
        if name == b"fmt ":
            form = _format(file.read(size + size % 2)[:size])
        elif name == b"ds64":
            beyond_4_gb = int.from_bytes(file.read(size + size % 2)[_DATA_SIZE], "little")
        elif name == b"data":
            if form is None:
                break
            begin = file.tell()
            if size == _UNKNOWN and beyond_4_gb:
                size = beyond_4_gb
            elif size == 0 and not _are_chunks(file, end):
                size = _UNKNOWN
            # A program that writes into a pipe does not know the size, and a file may be truncated.
            return form, begin, min(size, end - begin)
        else:
            file.seek(size, os.SEEK_CUR)
            if size % 2 and file.read(1) not in (b"\0", b""):  # some programs omit the byte that pads to an even length
                file.seek(-1, os.SEEK_CUR)
    raise Unreadable("it has no chunk 'fmt ' followed by a chunk 'data'; record it again")


def _are_chunks(file: BinaryIO, end: int) -> bool:
    """Return whether the rest of the file consists of whole chunks, so that it is not sound."""
    while chunk := file.read(_CHUNK.size):
        if len(chunk) < _CHUNK.size:
            return False
        name, size = _CHUNK.unpack(chunk)
        if not name.isascii() or not name.decode().isprintable():
            return False
        if file.seek(size + size % 2, os.SEEK_CUR) > end + 1:
            return False
    return True


def _format(chunk: bytes) -> _Format:
    """Parse the chunk ``fmt``; raise ``Unreadable`` with the name of an unsupported format."""
    if len(chunk) < _PLAIN_BYTES:
        raise Unreadable("its chunk 'fmt ' is truncated; record it again")
    code, columns, rate_hz, _, align, bits = struct.unpack("<HHIIHH", chunk[:_PLAIN_BYTES])
    if code == _EXTENSIBLE and len(chunk) >= _EXTENSIBLE_BYTES and chunk[26:40] == _SUBFORMAT_TAIL:
        (code,) = struct.unpack("<H", chunk[24:26])
    width = align // columns if columns else 0
    if code not in (_PCM, _FLOAT):
        raise Unreadable(f"its sound is compressed as {_COMPRESSED.get(code, f'format 0x{code:04x}')}; {_TO_DO}")
    if not columns or not rate_hz or align != columns * width:
        raise Unreadable(
            f"its header has {counted(columns, 'channel')}, {rate_hz} Hz, {align} bytes per sample; record it again"
        )
    if width not in (_FLOATS if code == _FLOAT else {*_TYPES, _BYTES_OF_24_BITS}) or bits > 8 * width:
        raise Unreadable(f"it has {'floats' if code == _FLOAT else 'integers'} of {bits} bits; {_TO_DO}")
    return _Format(code, columns, rate_hz, width)


def pcm(data: bytes, width: int) -> NDArray[np.float32]:
    """Convert integers of ``width`` bytes, little-endian (one byte: unsigned), to numbers from -1 to 1."""
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
