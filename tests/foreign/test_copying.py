"""What is copied is what is hashed, and no more than is allowed."""

import hashlib
import os
from pathlib import Path

import pytest

from edge_agent.foreign.copying import copy_file, hash_file
from edge_agent.foreign.opening import open_file

DATA = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> int:
    (tmp_path / "source").write_bytes(DATA)
    return open_file(tmp_path, "source")


def test_a_copy_is_its_own_file(source: int, tmp_path: Path) -> None:
    copied = copy_file(source, tmp_path / "copy", most_bytes=len(DATA))
    again = hash_file(source)
    os.close(source)

    assert (copied.sha256, copied.size) == (again.sha256, again.size) == (SHA256, len(DATA))
    with (tmp_path / "copy").open("r+b") as file:
        file.write(b"changed")
    assert (tmp_path / "source").read_bytes() == DATA
    assert (tmp_path / "copy").stat().st_nlink == 1
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600


def test_what_is_too_large_leaves_nothing(source: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"it has {len(DATA)} bytes, more than 100"):
        copy_file(source, tmp_path / "copy", most_bytes=100)
    os.close(source)

    assert not (tmp_path / "copy").exists()


def test_what_lies_at_the_target_is_not_written_through(source: int, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"of others")
    (tmp_path / "copy").symlink_to("secret")

    with pytest.raises(FileExistsError):
        copy_file(source, tmp_path / "copy", most_bytes=len(DATA))
    os.close(source)

    assert (tmp_path / "secret").read_bytes() == b"of others"
