import gzip
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.captures import CHANNELS, motion

from edge_agent.errors import SourceError
from edge_agent.sources import EndOfSource, Source, open_source

SAMPLES = motion(3000)


def replay(path: Path, **options: Any) -> Source:
    return open_source("recorded", {"kind": "replay", "path": str(path), "rate": "max", **options})


def drain(source: Source, count: int) -> np.ndarray:
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < count:
        samples = source.read(1.0)
        assert samples is not None
        parts.append(samples)
    return np.concatenate(parts)


def test_an_npz_with_names_and_rate(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", samples=SAMPLES, channels=np.array(CHANNELS), rate_hz=25.0, labels=np.zeros((3, 2)))

    source = replay(tmp_path / "r.npz")

    assert source.channels == tuple(CHANNELS)
    assert source.rate_hz == 25
    assert (source.length, source.window_size, source.live, source.repeats) == (3000, 0, False, False)
    assert np.array_equal(drain(source, 3000), SAMPLES)
    with pytest.raises(EndOfSource, match="ended after 3000 samples"):
        source.read(1.0)


def test_a_csv_with_a_header(tmp_path: Path) -> None:
    text = "\ufeffax, ay,az\r\n" + "".join(f"{a},{b},{c}\r\n" for a, b, c in SAMPLES) + "oops\r\n1,2"
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")

    source = replay(tmp_path / "r.csv", rate_hz=50)

    assert source.channels == ("ax", "ay", "az")
    assert np.array_equal(drain(source, 3000), SAMPLES)
    assert source.malformed == 2


def test_ready_windows(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", x=SAMPLES.reshape(30, 100, 3))

    source = replay(tmp_path / "w.npz", rate_hz=50)

    assert source.window_size == 100
    assert source.channels == ("c0", "c1", "c2")
    assert np.array_equal(drain(source, 3000), SAMPLES)


def test_a_loop_begins_again(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", x=SAMPLES[:700])

    source = replay(tmp_path / "r.npz", rate_hz=50, loop=True)

    assert source.repeats
    assert np.array_equal(drain(source, 2100)[:2100], np.tile(SAMPLES[:700], (3, 1)))


def test_real_pace_is_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", x=SAMPLES)
    source = replay(tmp_path / "r.npz", rate_hz=500, rate="real")
    started = time.monotonic()

    first = drain(source, 100)
    took = time.monotonic() - started

    assert np.array_equal(first, SAMPLES[: len(first)])
    assert took >= 99 / 500
    assert len(first) <= took * 500 + 1


def test_a_slow_recording_says_that_nothing_came_yet(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", x=SAMPLES)

    assert replay(tmp_path / "r.npz", rate_hz=0.1, rate="real").read(0.05) is None


def _save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "options", "says"),
    [
        ({"x": SAMPLES}, {}, "does not state its rate; add rate_hz"),
        ({"x": SAMPLES}, {"rate_hz": 5, "channels": ["ax"]}, "has 3 channels, not 1"),
        ({"x": SAMPLES[:, :1]}, {"rate_hz": 5, "channels": ["a", "b"]}, "has 1 channel, not 2"),
        ({"x": SAMPLES, "y": SAMPLES}, {"rate_hz": 5}, "no array samples"),
        ({"x": SAMPLES[:, 0]}, {"rate_hz": 5}, "no array samples"),
        ({"samples": SAMPLES[:0]}, {"rate_hz": 5}, "contains no numbers"),
        ({"samples": SAMPLES.astype(str)}, {"rate_hz": 5}, "contains no numbers"),
        ({"samples": np.array([[{}]], dtype=object)}, {"rate_hz": 5}, "cannot be replayed"),
        ({"samples": SAMPLES, "rate_hz": np.ones(2)}, {}, "cannot be replayed"),
        ({"samples": SAMPLES, "rate_hz": np.inf}, {}, "does not state its rate"),
        ({"samples": SAMPLES, "channels": np.array("ax")}, {"rate_hz": 5}, "cannot be replayed"),
    ],
)
def test_a_recording_that_does_not_fit(
    tmp_path: Path, arrays: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(SourceError, match=says) as error:
        replay(_save(tmp_path / "r.npz", **arrays), **options)

    assert error.value.code == "source_unavailable"


def test_channels_choose_by_name_where_the_file_has_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", samples=SAMPLES, channels=np.array(CHANNELS))

    source = replay(tmp_path / "r.npz", rate_hz=50, channels=["az", "ax"])

    assert source.channels == ("az", "ax")
    assert np.array_equal(drain(source, 3000), SAMPLES[:, [2, 0]])


def archive(**entries: str) -> bytes:
    """A zip of files with these contents."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, text in entries.items():
            file.writestr(name.replace("__", "."), text)
    return packed.getvalue()


OTHERS = {
    "r.npy": (b"\x93NUMPY\1\0", r"it is a single array \(.npy\); save its array with numpy.savez"),
    "r.zip": (archive(r__csv="ax\n1\n"), "it is a zip archive; unpack it"),
    "r.csv.zip": (archive(r__csv="ax\n1\n"), "it is a zip archive; unpack it"),
    "r.xlsx": (
        archive(**{"[Content_Types].xml": "", "xl/workbook.xml": ""}),
        "it is a spreadsheet; save",
    ),
    "r.npz": (archive(r__csv="ax\n1\n"), "it is a zip archive; unpack it"),
    "cut.npz": (archive(r__npy="")[:20], "it is a truncated archive; copy"),
    "r.wav.gz": (gzip.compress(b"RIFF"), "it is compressed by gzip; unpack it"),
    "r.parquet": (b"PAR1\x15\x04\x15\x10", "it is a Parquet file; save it as .csv"),
    "r.mat": (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM", "it is a MATLAB file; save its array with numpy.savez"),
    "r.flac": (b"fLaC\0\0\0\x22", "it is FLAC; save it as .wav"),
    "r.png": (b"\x89PNG....", "it is a picture; set path to the folder"),
    "r.bin": (
        b"\1\0\2\0",
        "it is not a recording; recordings are .npz, .csv, .tsv, .txt, .wav, or a folder of pictures: save",
    ),
    "empty.npz": (b"", "it is empty; record it again"),
}


@pytest.mark.parametrize(("name", "data", "says"), [(name, *rest) for name, rest in OTHERS.items()], ids=OTHERS)
def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)

    with pytest.raises(SourceError, match=f"{name} cannot be replayed: {says}") as error:
        replay(tmp_path / name, rate_hz=50)

    assert error.value.code == "source_unavailable"


@pytest.mark.parametrize("name", ["PAR1", "ID3", "FORMFACTOR", "RIFX"])
def test_a_column_may_be_called_as_another_format_begins(tmp_path: Path, name: str) -> None:
    (tmp_path / "r.csv").write_text(f"{name},x\n1,2\n", encoding="utf-8")

    assert replay(tmp_path / "r.csv", rate_hz=50).channels == (name, "x")


def test_an_array_of_rates_is_no_rate(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", samples=SAMPLES, rate_hz=[50, 50])

    with pytest.raises(
        SourceError, match=r"its array rate_hz of type int64 and shape \[2\] is not one number; save one"
    ):
        replay(tmp_path / "r.npz", rate_hz=50)


def test_an_archive_with_an_entry_that_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", samples=SAMPLES)
    with zipfile.ZipFile(tmp_path / "r.npz", "a") as file:
        file.writestr("notes.txt", "made on a Monday")

    assert replay(tmp_path / "r.npz", rate_hz=50).length == 3000


@pytest.mark.parametrize("name", ["log.dat", "imu", "r.csv.gz"])
def test_a_table_of_another_name(tmp_path: Path, name: str) -> None:
    text = b"ax,ay\n1,2\n3,4\n"
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)

    assert replay(tmp_path / name, rate_hz=50).length == 2


def test_a_damaged_recording_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    np.savez_compressed(path, samples=SAMPLES)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)

    with pytest.raises(SourceError, match="cannot be replayed"):
        replay(path, rate_hz=50)


@pytest.mark.parametrize(
    ("name", "text"), [("r.csv", "ax,ay\n"), ("r.csv", ""), ("r.npz", "no zip"), ("gone.npz", None)]
)
def test_a_file_that_is_no_recording(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(SourceError, match="cannot be replayed"):
        replay(tmp_path / name, rate_hz=50)
