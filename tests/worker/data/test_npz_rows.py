import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import ContractError
from edge_agent.worker.data.npz_rows import ArrayFile


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "bool", "<U5", "complex64"])
def test_rows_are_what_was_saved(tmp_path: Path, save: object, dtype: str) -> None:
    array = (np.random.default_rng(0).normal(0, 9, (7, 2, 3)) * 3).astype(dtype)
    save(tmp_path / "a.npz", first=np.zeros(3), x=array)  # type: ignore[operator]

    file = ArrayFile(tmp_path / "a.npz", tmp_path)

    assert file.members["x"].shape == array.shape
    assert file.members["x"].dtype == array.dtype
    for indices in ([0, 1, 2, 3, 4, 5, 6], [1, 4, 5], [6], []):
        rows = list(file.rows("x", indices))
        assert len(rows) == len(indices)
        assert all(np.array_equal(row, array[index]) for row, index in zip(rows, indices, strict=True))


@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=4), fortran=st.booleans())
@settings(deadline=None, max_examples=40)
def test_any_shape_and_order(tmp_path_factory: pytest.TempPathFactory, shape: list[int], fortran: bool) -> None:  # noqa: FBT001  # hypothesis
    folder = tmp_path_factory.mktemp("arrays")
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape, order="F" if fortran else "C")
    np.savez(folder / "a.npz", x=array)

    rows = list(ArrayFile(folder / "a.npz", folder).rows("x", range(shape[0])))

    assert len(rows) == shape[0]
    assert all(np.array_equal(row, wanted) for row, wanted in zip(rows, array, strict=True))


def test_rows_can_be_written_to(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)))

    row = next(ArrayFile(tmp_path / "a.npz", tmp_path).rows("x", [0]))
    row += 1

    assert next(ArrayFile(tmp_path / "a.npz", tmp_path).rows("x", [0])).sum() == 0


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_is_one_row(tmp_path: Path, save: object) -> None:
    save(tmp_path / "a.npz", x=np.ones((64, 256, 1024), np.float32))  # type: ignore[operator]  # 64 MiB
    tracemalloc.start()

    total = sum(float(row.sum()) for row in ArrayFile(tmp_path / "a.npz", tmp_path).rows("x", [0, 20, 40, 63]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total == 4 * 256 * 1024
    assert peak < 8 << 20


def _objects(path: Path) -> None:
    np.savez(path, x=np.array([{}, 1], dtype=object))


def _truncated(path: Path) -> None:
    np.savez(path, x=np.arange(10_000))
    path.write_bytes(path.read_bytes()[:5000])


def _no_zip(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY nothing of the kind")


def _other_member(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def _short_member(path: Path) -> None:
    np.savez(path, x=np.arange(10_000))
    with zipfile.ZipFile(path) as archive:
        data = archive.read("x.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", data[:-100])


def _bad_header(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': broken")


@pytest.mark.parametrize("write", [_objects, _truncated, _no_zip, _other_member, _short_member, _bad_header])
def test_what_cannot_be_read_is_named(tmp_path: Path, write: object) -> None:
    write(tmp_path / "a.npz")  # type: ignore[operator]

    with pytest.raises(ContractError) as error:
        list(ArrayFile(tmp_path / "a.npz", tmp_path).rows("x", [0, 9999]))

    assert error.value.code == "data_unreadable"


def test_a_flipped_bit_in_the_data_is_found(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(100, 50)))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 2] ^= 4
    (tmp_path / "a.npz").write_bytes(data)

    with pytest.raises(ContractError, match=r"a\.npz"):
        list(ArrayFile(tmp_path / "a.npz", tmp_path).rows("x", range(100)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="No such file"):
        ArrayFile(tmp_path / "a.npz", tmp_path)
