"""WAV files as sound programs write them: each form read rightly, or refused by its name."""

import struct
from pathlib import Path

import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.sources import EndOfSource, Source, open_source

VALUES = np.array([[-1.0, 0.5], [0.25, -0.75], [0.0, 0.125]])
TAIL = bytes.fromhex("000000001000800000aa00389b71")
EXTENSIBLE = 0xFFFE


def packed(code: int, bits: int) -> bytes:
    """The samples as integers or floats of so many bits."""
    if code == 3:
        return VALUES.astype(f"<f{bits // 8}").tobytes()
    integers = np.round(VALUES * (1 << (bits - 1))).astype(np.int64)
    if bits == 8:
        return (integers + 128).astype(np.uint8).tobytes()
    return b"".join(int(value).to_bytes(bits // 8, "little", signed=True) for value in integers.reshape(-1))


def wav(code: int, bits: int, *, extensible: bool = False, data: bytes | None = None, size: int | None = None) -> bytes:
    """A file; ``data`` and the ``size`` that its chunk says are other ones if they are given."""
    data = packed(code, bits) if data is None else data
    width = bits // 8
    form = struct.pack("<HHIIHH", EXTENSIBLE if extensible else code, 2, 8000, 16_000 * width, 2 * width, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 3, code) + TAIL
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"LIST" + struct.pack("<I", 5) + b"INFO!\0"  # of odd length, so a byte follows it
    chunks += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def opened(folder: Path, data: bytes) -> Source:
    (folder / "s.wav").write_bytes(data)
    return open_source("it", {"kind": "replay", "path": str(folder / "s.wav"), "rate": "max"})


def drain(source: Source) -> np.ndarray:
    parts = []
    while True:
        try:
            parts.append(source.read(1.0))
        except EndOfSource:
            return np.concatenate(parts)  # type: ignore[arg-type]


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(("code", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_every_form_has_the_same_samples(tmp_path: Path, code: int, bits: int, extensible: bool) -> None:  # noqa: FBT001
    source = opened(tmp_path, wav(code, bits, extensible=extensible))

    assert (source.rate_hz, source.length, source.channels) == (8000, 3, ("left", "right"))
    assert np.array_equal(drain(source), VALUES.astype(np.float32))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_size_that_a_pipe_left_open_is_the_rest_of_the_file(tmp_path: Path, size: int) -> None:
    assert np.array_equal(drain(opened(tmp_path, wav(3, 32, size=size))), VALUES.astype(np.float32))


def test_floats_are_as_they_are(tmp_path: Path) -> None:
    data = np.array([[2.5, -3.0]], "<f4")

    assert np.array_equal(drain(opened(tmp_path, wav(3, 32, data=data.tobytes()))), data)


REFUSED = {
    "mu-law": (wav(7, 8, data=b"\0" * 8), "its sound is compressed as mu-law; save it as plain PCM"),
    "ADPCM": (wav(2, 8, data=b"\0" * 8), "compressed as Microsoft ADPCM"),
    "MP3": (wav(0x55, 8, data=b"\0" * 8), "compressed as MP3"),
    "A-law, extensible": (wav(6, 8, extensible=True, data=b"\0" * 8), "compressed as A-law"),
    "what nobody knows": (wav(0x1234, 8, data=b"\0" * 8), "compressed as format 0x1234"),
    "floats of 16 bits": (wav(3, 16, data=b"\0" * 8), "it has floats of 16 bits; save it as plain PCM"),
    "integers of 64 bits": (wav(1, 64, data=b"\0" * 16), "it has integers of 64 bits"),
    "no sample": (wav(1, 16, data=b""), "it contains no sound"),
    "no format": (b"RIFF\x10\0\0\0WAVEdata\x04\0\0\0abcd", "it has no chunk 'fmt ' followed by a chunk 'data'"),
    "chunks behind no sample": (
        wav(1, 16, data=b"LIST\x04\0\0\0INFOid3 \0\0\0\0", size=0),
        "it contains no sound; record it again",
    ),
    "another file": (b"RIFF\x10\0\0\0AVI " + b"\0" * 20, "it is not a WAV file"),
    "big-endian": (
        b"RIFX" + wav(1, 16)[4:],
        "it is a WAV file of big-endian numbers; save it as .wav, e.g. with ffmpeg",
    ),
    "MP3 in a file of that name": (b"ID3\x03" + b"\0" * 20, "it is MP3; save it as .wav, e.g. with ffmpeg"),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(SourceError, match=says) as error:
        opened(tmp_path, data)

    assert error.value.code == "source_unavailable"


def test_a_file_beyond_4_gb_says_elsewhere_how_long_its_sound_is(tmp_path: Path) -> None:
    data = packed(1, 16)
    plain = wav(1, 16, size=0xFFFF_FFFF)
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 0, len(data), 3, 0)
    source = opened(tmp_path, b"RF64\xff\xff\xff\xffWAVE" + sizes + plain[12:] + b"LIST\x04\0\0\0INFO")

    assert np.array_equal(drain(source), VALUES.astype(np.float32))


@pytest.mark.parametrize("sound", [packed(1, 16), b"\0" * 12])
def test_a_chunk_of_odd_length_whose_even_byte_was_forgotten(tmp_path: Path, sound: bytes) -> None:
    source = opened(tmp_path, wav(1, 16, data=sound).replace(b"INFO!\0", b"INFO!"))

    assert source.length == 3


def test_silence_written_into_a_pipe_is_sound(tmp_path: Path) -> None:
    assert opened(tmp_path, wav(1, 16, data=b"\0" * 400, size=0)).length == 100
