"""Each stage begins with the files that were pushed, copied out of the store, or ends saying that they are no more."""

import hashlib
import os
from pathlib import Path

import pytest

from edge_agent.errors import TransferError
from edge_agent.jobs.task import StoredBlob, Task
from edge_agent.worker.blobs import take_blobs

MODEL, LABELLED = b"weights" * 50_000, b"labels" * 1000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "blobs"
    folder.mkdir()
    for data in (MODEL, LABELLED):
        (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)
    return folder


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


@pytest.fixture
def task(store: Path) -> Task:
    blobs = {}
    for name, data in (("model.onnx", MODEL), ("eval.npz", LABELLED)):
        sha256 = hashlib.sha256(data).hexdigest()
        blobs[name] = StoredBlob(str(store / sha256), sha256, len(data))
    return Task(job="0" * 16, name="har", version=1, format="onnx", model="model.onnx", eval="eval.npz", blobs=blobs)


def stored(task: Task, name: str = "model.onnx") -> Path:
    return Path(task.blobs[name].path)


def test_the_copies_are_the_jobs_own(job_dir: Path, task: Task) -> None:
    take_blobs(job_dir, task)

    for name, data in (("model.onnx", MODEL), ("eval.npz", LABELLED)):
        assert (job_dir / name).read_bytes() == data
        assert (job_dir / name).stat().st_nlink == stored(task, name).stat().st_nlink == 1
        with (job_dir / name).open("r+b") as file:
            file.write(b"of another")
        assert stored(task, name).read_bytes() == data


def test_a_sound_copy_is_not_made_again(job_dir: Path, task: Task) -> None:
    take_blobs(job_dir, task)
    before = (job_dir / "model.onnx").stat()
    stored(task).unlink()

    take_blobs(job_dir, task)

    assert (job_dir / "model.onnx").stat() == before


@pytest.mark.parametrize("what", ["changed", "cut", "a link", "a FIFO", "a folder", "the blob itself"])
def test_what_is_no_copy_any_more_is_replaced(job_dir: Path, task: Task, what: str) -> None:
    """``the blob itself``: as a version before has left it."""
    path = job_dir / "model.onnx"
    match what:
        case "changed":
            path.write_bytes(b"W" + MODEL[1:])
        case "cut":
            path.write_bytes(MODEL[:-1])
        case "a link":
            path.symlink_to(stored(task))
        case "a FIFO":
            os.mkfifo(path)
        case "a folder":
            (path / "inside").mkdir(parents=True)
        case "the blob itself":
            path.hardlink_to(stored(task))

    take_blobs(job_dir, task)

    assert path.read_bytes() == MODEL
    assert not path.is_symlink()
    assert path.stat().st_nlink == 1
    assert stored(task).read_bytes() == MODEL


@pytest.mark.parametrize("what", ["flipped", "cut", "longer", "gone", "a FIFO", "a link"])
@pytest.mark.parametrize("name", ["model.onnx", "eval.npz"])
def test_what_is_stored_and_is_not_what_was_pushed_ends_the_job(
    job_dir: Path, task: Task, name: str, what: str
) -> None:
    path = stored(task, name)
    data = path.read_bytes()
    match what:
        case "flipped":
            path.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
        case "cut":
            path.write_bytes(data[:-1])
        case "longer":
            path.write_bytes(data + b"x")
        case _:
            path.unlink()
    match what:
        case "a FIFO":
            os.mkfifo(path)
        case "a link":
            path.symlink_to("/etc/passwd")

    with pytest.raises(TransferError, match="hash_mismatch") as found:
        take_blobs(job_dir, task)

    assert ("labelled set" if name == "eval.npz" else "stored model") in found.value.message
    assert not (job_dir / name).exists()


def test_a_folder_that_somebody_has_filled_by_hand_is_as_it_is(job_dir: Path) -> None:
    take_blobs(job_dir, Task(job="0" * 16, name="har", version=1, format="onnx", model="model.onnx"))

    assert not list(job_dir.iterdir())
