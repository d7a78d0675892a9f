"""Detects the format of a recording by its name and its first bytes.

A file of another kind is refused with the name of that kind, and advice on how to convert it to a recording.
"""

import zipfile
from enum import Enum
from pathlib import Path

from edge_agent.acquisition.recordings import Unreadable

_HEAD_BYTES = 512
_AS_TABLE = "save it as .csv"
_AS_WAV = "save it as .wav, e.g. with ffmpeg -c:a pcm_s16le"
_AS_ARRAYS = "save its array with numpy.savez(path, samples=array)"
_UNPACK = "unpack it, and set path to its content"
_IN_A_FOLDER = "set path to the folder with the pictures"
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x93NUMPY", "a single array (.npy)", _AS_ARRAYS),
    (b"\x80\x04", "a pickle", _AS_ARRAYS),
    (b"\x80\x05", "a pickle", _AS_ARRAYS),
    (b"MATLAB 5.0", "a MATLAB file", _AS_ARRAYS),
    (b"\x89HDF", "an HDF5 file", _AS_ARRAYS),
    (b"PAR1", "a Parquet file", _AS_TABLE),
    (b"SQLite format 3", "an SQLite database", _AS_TABLE),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", _AS_TABLE),
    (b"BZh", "compressed by bzip2", _UNPACK),
    (b"\xfd7zXZ", "compressed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", _UNPACK),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
    (b"ID3", "MP3", _AS_WAV),
    (b"\xff\xfb", "MP3", _AS_WAV),
    (b"fLaC", "FLAC", _AS_WAV),
    (b"OggS", "Ogg", _AS_WAV),
    (b"FORM", "AIFF", _AS_WAV),
    (b"RIFX", "a WAV file of big-endian numbers", _AS_WAV),
    (b"riff\x2e\x91\xcf\x11", "a Wave64 file", _AS_WAV),
    (b"\x89PNG", "a picture", _IN_A_FOLDER),
    (b"\xff\xd8\xff", "a picture", _IN_A_FOLDER),
)
"""First bytes, the kind of file, and the advice. Bytes that are letters may also begin a table: ``PAR1,PAR2``."""
_NO_TEXT = frozenset(range(0x20)) - frozenset(b"\t\n\v\f\r\x1a\x1b")
"""Bytes that do not occur in text; escape characters and an end-of-file mark (0x1A) may."""
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
PICTURES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""How the names of image files end."""
_TABLES = (".csv", ".tsv", ".txt")
_KNOWN = "recordings are .npz, .csv, .tsv, .txt, .wav, or a folder of pictures"


class Format(Enum):
    """The formats of recordings in a file."""

    ARRAYS = "npz"
    TABLE = "table"
    SOUND = "wav"


def format_of(path: Path) -> Format:
    """Detect the format of ``path``.

    Raises:
        OSError: it cannot be read.
        Unreadable: it is no recording.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise Unreadable("it is empty; record it again")
    for beginning, what, to_do in _OTHERS:
        if head.startswith(beginning) and not (beginning.isascii() and _is_text(head)):
            raise Unreadable(f"it is {what}; {to_do}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if head.startswith(_ZIP):
        _check_archive(path)
        return Format.ARRAYS
    if suffixes[-1:] == [".wav"] or (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"):
        return Format.SOUND
    if suffixes[-1:] == [".npz"]:
        raise Unreadable("it is not an .npz archive of arrays; save it with numpy.savez(path, samples=array)")
    if suffixes[-1:] == [".gz"] and not set(suffixes[-2:-1]) & set(_TABLES):
        raise Unreadable(f"it is compressed by gzip; {_UNPACK}")
    if suffixes[-1:] in ([suffix] for suffix in (*_TABLES, ".gz")) or _is_text(head):
        return Format.TABLE
    raise Unreadable(f"it is not a recording; {_KNOWN}: save it as one of these")


def _check_archive(path: Path) -> None:
    """Raise ``Unreadable`` for an archive that does not contain arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.namelist()
    except zipfile.BadZipFile:
        raise Unreadable("it is a truncated archive; copy or save it again") from None
    if any(entry.endswith(".npy") for entry in entries):
        return
    if any(entry in ("[Content_Types].xml", "content.xml") for entry in entries):
        raise Unreadable(f"it is a spreadsheet; {_AS_TABLE}")
    raise Unreadable(f"it is a zip archive; {_UNPACK}")


def _is_text(head: bytes) -> bool:
    return _NO_TEXT.isdisjoint(head)
