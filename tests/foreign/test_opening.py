"""Only a regular file is opened, whatever somebody else has put in its place, and only so much of it is read."""

import os
import socket
from pathlib import Path

import pytest

from edge_agent.foreign.opening import open_file, read_file
from edge_agent.process.unix_address import short_address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage/file").write_bytes(b"what it says")
    (tmp_path / "secret").write_bytes(b"of others")
    return tmp_path


def test_a_file_is_read(folder: Path) -> None:
    (folder / "way").symlink_to(".")

    assert read_file(folder, "stage", "file") == b"what it says"
    assert read_file(folder / "way", "stage", "file") == b"what it says", "the way to the folder is ours"


@pytest.mark.parametrize("what", ["fifo", "link", "dangling link", "device", "folder", "socket"])
def test_what_is_no_file_is_not_waited_for_nor_followed(folder: Path, what: str) -> None:
    path = folder / "stage/file"
    path.unlink()
    match what:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(folder / "secret")
        case "dangling link":
            path.symlink_to(folder / "nothing")
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening, short_address(path) as address:
                listening.bind(address)

    with pytest.raises(OSError, match=r"it is not a regular file|it is a link; links are not followed"):
        read_file(folder, "stage", "file")


def test_a_folder_on_the_way_may_be_no_link(folder: Path) -> None:
    (folder / "other").symlink_to("stage")

    with pytest.raises(NotADirectoryError):
        read_file(folder, "other", "file")


def test_what_is_larger_than_allowed_is_not_read(folder: Path) -> None:
    os.truncate(folder / "stage/file", 1 << 40)

    with pytest.raises(OSError, match=r"it has 1099511627776 bytes, more than 1048576"):
        read_file(folder, "stage", "file")
    (folder / "stage/file").write_bytes(b"12345")
    assert read_file(folder, "stage", "file", most_bytes=5) == b"12345"
    with pytest.raises(OSError, match="more than 4"):
        read_file(folder, "stage", "file", most_bytes=4)


def test_no_descriptor_is_left(folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    os.mkfifo(folder / "stage/fifo")
    for name in ("file", "fifo", "none"):
        try:
            os.close(open_file(folder, "stage", name))
        except OSError:
            continue

    assert len(list(Path("/proc/self/fd").iterdir())) == before
