"""Rows from an operator's own files: every kind of file, mixed folders, broken files, and no window in two sets."""

import tracemalloc
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_agent.backends import ModelInfo, TensorSpec
from edge_agent.errors import ContractError, EdgeAgentError
from edge_agent.wire.manifest import InputContract, Window
from edge_agent.worker.capture.from_folder import Rows, rows_from
from edge_agent.worker.capture.rows_asked import Asked

SERIES = InputContract(window=Window(10, 5), steps=[{"op": "transpose", "axes": [1, 0]}])
SOUND = InputContract(window=Window(100, 50), rate_hz=1000, steps=[{"op": "reshape", "shape": [100]}])
PICTURE = InputContract(window=Window(1, 15), frame=(8, 6), steps=[{"op": "scale", "factor": 1 / 255}])


def info(*shape: int | None, name: str = "x") -> ModelInfo:
    return ModelInfo("onnx", (TensorSpec(name, "float32", shape),), (TensorSpec("y", "float32", (1, 3)),), {}, "", 1)


def asked(contract: InputContract, model: ModelInfo, channels: int, most: int = 100, **more: Any) -> Asked:
    return Asked([contract], model, channels, most, "m.toml", **more)


SERIES_MODEL = info(1, 2, 10)


def rows(place: Path, what: Asked) -> Rows:
    return rows_from(place, what, lambda *_: None, place if place.is_dir() else place.parent)


def write_table(path: Path, samples: int, columns: int = 2, header: str = "ax,ay") -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    data = np.arange(samples * columns).reshape(samples, columns)
    np.savetxt(path, data, delimiter=",", header=header, comments="", fmt="%d")


def write_sound(path: Path, samples: NDArray[np.int16], rate_hz: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def starts(made: Rows) -> NDArray[np.float32]:
    """The number of each window's first sample: a table's first column counts up by two."""
    return np.asarray(made.arrays["x"][:, 0, 0] / 2)


def test_windows_of_two_groups_share_no_sample(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", 1000)

    made = rows(tmp_path, asked(SERIES, SERIES_MODEL, 2, most=500))

    assert made.arrays["x"].shape == (made.count, 2, 10)
    groups = made.arrays["groups"]
    assert len(set(groups.tolist())) == 12
    spans = [(starts(made)[groups == one].min(), starts(made)[groups == one].max() + 10) for one in set(groups)]
    spans.sort()
    assert all(before[1] + 9 <= after[0] for before, after in pairwise(spans))


def test_windows_overlap_only_where_there_would_be_too_few(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", 1000)

    few = rows(tmp_path, asked(SERIES, SERIES_MODEL, 2, most=36))
    many = rows(tmp_path, asked(SERIES, SERIES_MODEL, 2, most=500))

    assert np.diff(np.sort(starts(few))).min() >= 10
    assert np.diff(np.sort(starts(many))).min() == 5
    assert np.diff(np.sort(starts(few))).max() > 20  # they lie over the whole table
    assert few.count <= 36


def test_state_goes_on_from_window_to_window(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", 1000)
    contract = InputContract(window=Window(10, 10), steps=SERIES.steps)

    made = rows(tmp_path, asked(contract, SERIES_MODEL, 2, most=36, in_order=True))

    first = starts(made)[made.arrays["groups"] == 0]
    assert np.diff(first).tolist() == [10] * (len(first) - 1)


def test_a_folder_of_pictures_of_any_size_with_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    for number in range(5):
        Image.new("RGB", (20 + number, 30), (10 * number, 0, 0)).save(tmp_path / "cats" / f"{number}.png")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.md").write_text("notes")
    write_table(tmp_path / "a.csv", 100)

    made = rows(tmp_path, asked(PICTURE, info(1, 8, 6, 3), 3))

    assert made.arrays.keys() == {"x"}  # pictures are of no common recording
    assert made.arrays["x"].shape == (5, 1, 8, 6, 3)
    assert sorted((255 * made.arrays["x"][:, 0, 0, 0, 0]).round().tolist()) == [0, 10, 20, 30, 40]
    assert made.notes == [
        "6 files of pictures used; left out: 1 table, 1 of a kind that is not read (.md)",
        "left out: broken.jpg: not an image",
    ]


def test_only_so_many_pictures_evenly_over_all(tmp_path: Path) -> None:
    for number in range(20):
        Image.new("L", (6, 8), number).save(tmp_path / f"{number:02}.png")

    made = rows(tmp_path, asked(PICTURE, info(1, 8, 6, 1), 1, most=4))

    assert (255 * made.arrays["x"][:, 0, 0, 0, 0]).round().tolist() == [0, 5, 10, 15]


def test_sounds_are_resampled_and_one_of_two_channels_is_used(tmp_path: Path) -> None:
    left = np.full(4000, 8192, np.int16)
    write_sound(tmp_path / "a.wav", np.stack([left, -left], axis=1), 2000)

    made = rows(tmp_path, asked(SOUND, info(1, 100), 1))

    assert made.arrays["x"].shape == (made.count, 100)
    assert made.arrays["x"] == pytest.approx(0.25, abs=1e-3)
    assert made.notes == ["of sounds with several channels, only 'left' is used"]


def test_arrays_that_fit_the_model_are_taken_with_their_labels_and_groups(tmp_path: Path) -> None:
    data, labels = np.arange(80, dtype=np.float32).reshape(4, 2, 10), np.array([3, 1, 2, 0])
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", x=data, labels=labels, groups=np.array([0, 0, 1, 1]))

    made = rows(tmp_path, asked(SERIES, SERIES_MODEL, 2))

    assert np.array_equal(made.arrays["x"], np.concatenate([data, data]))
    assert made.arrays["labels"].tolist() == [3, 1, 2, 0] * 2
    assert len(set(made.arrays["groups"].tolist())) == 4
    assert made.notes == ["the arrays fit the model's inputs, so no steps are applied"]


def test_an_input_that_is_called_as_a_reserved_word(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"input:labels": np.zeros((4, 2, 10), np.float32)})

    made = rows(tmp_path, asked(SERIES, info(1, 2, 10, name="labels"), 2))

    assert made.arrays.keys() == {"input:labels"}


def test_arrays_of_windows_or_of_samples_go_through_the_steps(tmp_path: Path) -> None:
    samples = np.arange(600, dtype=np.float32).reshape(-1, 2)
    np.save(tmp_path / "samples.npy", samples)
    np.savez(tmp_path / "windows.npz", windows=samples.reshape(-1, 10, 2))

    made = rows(tmp_path / "windows.npz", asked(SERIES, SERIES_MODEL, 2))
    single = rows(tmp_path / "samples.npy", asked(SERIES, SERIES_MODEL, 2))

    assert starts(made).tolist() == list(range(0, 300, 10))
    assert single.arrays["x"].shape[1:] == (2, 10)


def test_what_cannot_be_read_is_left_out_and_told_of(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", 300)
    (tmp_path / "b.csv").write_text("")
    (tmp_path / ".hidden.csv").write_text("1,2\n")

    made = rows(tmp_path, asked(SERIES, SERIES_MODEL, 2))

    assert made.count
    assert made.notes == ["left out: b.csv: it is empty; record it again"]


@pytest.mark.parametrize(
    ("files", "contract", "code", "said"),
    [
        ({}, SERIES, "source_unavailable", "it has nothing"),
        ({"a.md": b"x", "b.md": b"y"}, SERIES, "source_unavailable", "it has 2 of a kind that is not read (.md)"),
        ({"a.csv": b"ax,ay\n1,2\n"}, PICTURE, "source_unavailable", "needs pictures; it has 1 table"),
        ({"a.csv": b""}, SERIES, "source_unavailable", "a.csv: it is empty"),
        ({"a.csv": b"ax,ay\n" + b"1,2\n" * 5}, SERIES, "source_unavailable", "all files are too short"),
        (
            {"a.csv": b"ax,ay,az\n" + b"1,2,3\n" * 50},
            SERIES,
            "shape_mismatch",
            "the model's input 'x' needs 1x2x10; correct channels, window or steps in m.toml, and pass it with",
        ),
        (
            {"a.csv": b"ax,ay\n" + b"1,2\n" * 50},
            InputContract(channels=["gx", "gy"], window=Window(10, 5)),
            "channel_unknown",
            "a.csv has 2 channels (ax, ay): 'gx' is not one of them",
        ),
    ],
)
def test_a_folder_that_gives_nothing_says_why(
    tmp_path: Path, files: dict[str, bytes], contract: InputContract, code: str, said: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    model = info(1, 8, 6, 3) if contract is PICTURE else SERIES_MODEL

    with pytest.raises(EdgeAgentError) as error:
        rows(tmp_path, asked(contract, model, 3 if contract is PICTURE else 2))

    assert error.value.code == code
    assert said in error.value.message


def test_rows_are_not_held_in_memory(tmp_path: Path) -> None:
    """Rows of pictures may be larger than the memory of the board."""
    for number in range(80):
        Image.fromarray(np.full((64, 64, 3), number, np.uint8)).save(tmp_path / f"{number:03}.png")
    contract = InputContract(window=Window(1, 15), frame=(64, 64), steps=[{"op": "scale", "factor": 1 / 255}])
    what = asked(contract, info(1, 64, 64, 3), 3)
    rows(tmp_path, what)  # what is imported stays
    tracemalloc.start()

    made = rows(tmp_path, what)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.arrays["x"].nbytes == 80 * 64 * 64 * 3 * 4
    assert peak < made.arrays["x"].nbytes / 4
    assert made.arrays["x"][79].max() == np.float32(79 / 255)


def test_ready_rows_of_unlike_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 5), np.float32))
    np.save(tmp_path / "b.npy", np.zeros((4, 7), np.float32))

    with pytest.raises(ContractError, match="rows of one shape"):
        rows(tmp_path, asked(SERIES, info(1, None), 1))


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (np.int16([1, 2]), np.int64([70_001, 3]), "int64"),
        (np.uint8([1, 2]), np.uint16([300, 4]), "int64"),
        (np.float16([1, 2]), np.float32([1e5, 2]), "float32"),
        (np.int16([1, 2]), np.float32([0.5, 2]), "float32"),
    ],
)
def test_ready_rows_of_unlike_types_keep_their_values(
    tmp_path: Path, one: NDArray[Any], other: NDArray[Any], kind: str
) -> None:
    np.save(tmp_path / "a.npy", one[:, None])
    np.save(tmp_path / "b.npy", other[:, None])
    model = ModelInfo("onnx", (TensorSpec("x", kind, (1, 1)),), (TensorSpec("y", "float32", (1, 3)),), {}, "", 1)

    made = rows(tmp_path, asked(SERIES, model, 1))

    np.testing.assert_array_equal(made.arrays["x"].ravel(), np.concatenate([one, other]))
