import errno
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.transfers import describe

from edge_agent.daemon.transfer.partial_blob import PartialBlob
from edge_agent.errors import LimitError, TransferError
from edge_agent.wire.chunks import CHUNK_BYTES, digest_pages
from edge_agent.wire.manifest import Blob

DATA = random.Random(7).randbytes(5 * CHUNK_BYTES + 11)  # noqa: S311  # no secret
CHUNKS = [DATA[i : i + CHUNK_BYTES] for i in range(0, len(DATA), CHUNK_BYTES)]
PAGES = digest_pages(iter(CHUNKS))
BLOB = describe(DATA)


def opened(folder: Path, *, with_page: bool = True) -> PartialBlob:
    partial = PartialBlob(folder, BLOB, reserve_bytes=0)
    if with_page:
        partial.add_page(0, PAGES[0])
    return partial


def power_cut(folder: Path, *, unflushed: list[int]) -> None:
    """What the disk may look like after a power cut: bytes that were not fsynced are zeros."""
    with (folder / f"{BLOB.sha256}.part").open("r+b") as file:
        for index in unflushed:
            file.seek(index * CHUNK_BYTES)
            file.write(bytes(len(CHUNKS[index])))


def test_whole_blob_gets_its_name(tmp_path: Path) -> None:
    partial = opened(tmp_path)
    for index in (5, 0, 3, 1, 4, 2):
        assert partial.add_chunk(index, CHUNKS[index])

    path = partial.finish()

    assert path.read_bytes() == DATA
    assert [entry.name for entry in tmp_path.iterdir()] == [BLOB.sha256]
    again = opened(tmp_path, with_page=False)
    assert (again.complete, again.missing(), again.missing_pages(), again.received_bytes) == (True, [], [], len(DATA))


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(6)), flushed=st.integers(0, 6), cut=st.integers(0, 6))
def test_nothing_that_was_flushed_is_lost_and_nothing_else_is_believed(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], flushed: int, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("blobs")
    flushed = min(flushed, cut)
    before = opened(folder)
    for position, index in enumerate(order[:cut]):
        before.add_chunk(index, CHUNKS[index])
        if position + 1 == flushed:
            before.flush()
    if cut:
        power_cut(folder, unflushed=order[flushed:cut])

    after = opened(folder)

    assert set(range(6)) - set(after.missing()) == set(order[:flushed])
    for index in after.missing():
        after.add_chunk(index, CHUNKS[index])
    assert after.finish().read_bytes() == DATA
    before._unflushed = False
    before.close()


def test_only_what_was_announced_is_kept(tmp_path: Path) -> None:
    partial = opened(tmp_path, with_page=False)

    assert not partial.add_chunk(0, CHUNKS[0])  # its page is not here yet
    with pytest.raises(TransferError, match="hash_mismatch"):
        partial.add_page(0, PAGES[0][::-1])
    with pytest.raises(TransferError, match="size_mismatch"):
        partial.add_page(1, PAGES[0])
    assert partial.add_page(0, PAGES[0])
    assert not partial.add_page(0, PAGES[0])
    for index, payload in ((0, CHUNKS[1]), (0, CHUNKS[0][:-1]), (5, CHUNKS[0]), (6, CHUNKS[0])):
        with pytest.raises(TransferError):
            partial.add_chunk(index, payload)
    assert partial.add_chunk(5, CHUNKS[5])
    assert not partial.add_chunk(5, CHUNKS[5])
    assert partial.missing() == [0, 1, 2, 3, 4]
    partial.close()


def test_pages_of_another_crash_are_fetched_again(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / f"{BLOB.sha256}.pages").write_bytes(PAGES[0][:40])

    assert opened(tmp_path, with_page=False).missing_pages() == [0]


@pytest.mark.parametrize("suffix", [".part", ".bits"])
def test_a_lost_file_means_a_new_start(tmp_path: Path, suffix: str) -> None:
    partial = opened(tmp_path)
    partial.add_chunk(1, CHUNKS[1])
    partial.close()
    (tmp_path / f"{BLOB.sha256}{suffix}").unlink()

    assert opened(tmp_path).missing() == [0, 1, 2, 3, 4, 5]


def test_disk_that_lies_is_noticed_at_the_end(tmp_path: Path) -> None:
    partial = opened(tmp_path)
    for index, payload in enumerate(CHUNKS):
        partial.add_chunk(index, payload)
    partial.flush()
    power_cut(tmp_path, unflushed=[2])

    with pytest.raises(TransferError, match="hash_mismatch"):
        partial.finish()

    assert list(tmp_path.iterdir()) == []
    assert (partial.missing(), partial.missing_pages()) == ([0, 1, 2, 3, 4, 5], [0])


def test_space_is_checked_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = opened(tmp_path)
    partial.add_chunk(0, CHUNKS[0])
    partial.close()
    free = len(DATA) - CHUNK_BYTES + 10_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 10**9 - free, free))

    PartialBlob(tmp_path, BLOB, reserve_bytes=0)  # what is here already needs no more room
    with pytest.raises(LimitError, match=r"no_space.*free some"):
        PartialBlob(tmp_path, BLOB, reserve_bytes=20_000)


def test_disk_that_fills_up_keeps_what_was_flushed(tmp_path: Path) -> None:
    # A real limit of the kernel, in a process of its own: files may not grow beyond three chunks.
    script = """
import resource, sys, msgspec
from pathlib import Path
from edge_agent.daemon.transfer.partial_blob import PartialBlob
from edge_agent.errors import LimitError
from edge_agent.wire.manifest import Blob
folder, blob, data = Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Blob), Path(sys.argv[3]).read_bytes()
partial = PartialBlob(folder, blob, reserve_bytes=0)
partial.add_page(0, Path(sys.argv[4]).read_bytes())
size = 122880
partial.add_chunk(0, data[:size])
partial.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (3 * size, 3 * size))
partial.add_chunk(1, data[size:2 * size])
try:
    partial.add_chunk(4, data[4 * size:5 * size])
except LimitError as error:
    print(error.code, len(partial.missing()))
partial.close()
"""
    (tmp_path / "data").write_bytes(DATA)
    (tmp_path / "page").write_bytes(PAGES[0])
    (tmp_path / "blobs").mkdir()
    blob = msgspec.json.encode(BLOB).decode()
    arguments = [str(tmp_path / "blobs"), blob, str(tmp_path / "data"), str(tmp_path / "page")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout.split() == ["no_space", "4"]
    assert opened(tmp_path / "blobs").missing() == [2, 3, 4, 5]


def test_failed_fsync_believes_only_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = opened(tmp_path)
    partial.add_chunk(0, CHUNKS[0])
    partial.flush()
    partial.add_chunk(1, CHUNKS[1])

    def fail(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(LimitError, match="No space left"):
            partial.flush()

    assert partial.missing() == [1, 2, 3, 4, 5]
    partial.close()


def test_blob_of_one_byte(tmp_path: Path) -> None:
    blob = describe(b"x")
    partial = PartialBlob(tmp_path, Blob(blob.sha256, 1, blob.pages), reserve_bytes=0)
    partial.add_page(0, digest_pages(iter([b"x"]))[0])
    partial.add_chunk(0, b"x")

    assert partial.received_bytes == 1
    assert partial.finish().read_bytes() == b"x"


@pytest.mark.parametrize("ending", ["", ".bits", ".pages"])
@pytest.mark.parametrize("what", ["a FIFO", "a link", "an endless device"])
def test_what_is_no_file_of_ours_is_fetched_anew(tmp_path: Path, ending: str, what: str) -> None:
    """And neither waited for nor followed."""
    (tmp_path / "elsewhere").write_bytes(DATA)
    partial = opened(tmp_path)
    partial.add_chunk(0, CHUNKS[0])
    partial.close()
    path = tmp_path / f"{BLOB.sha256}{ending}"
    path.unlink(missing_ok=True)
    match what:
        case "a FIFO":
            os.mkfifo(path)
        case "a link":
            path.symlink_to("elsewhere")
        case _:
            path.symlink_to("/dev/zero")

    again = opened(tmp_path, with_page=False)

    assert not again.complete
    assert again.received == (0 if ending == ".bits" else 1)
    assert (tmp_path / "elsewhere").read_bytes() == DATA


def test_a_blob_of_another_size_is_none(tmp_path: Path) -> None:
    (tmp_path / BLOB.sha256).write_bytes(DATA[:-1])
    partial = opened(tmp_path)
    assert not partial.complete

    for index, chunk in enumerate(CHUNKS):
        partial.add_chunk(index, chunk)

    assert partial.finish().read_bytes() == DATA
