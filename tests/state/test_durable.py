"""A file that is written durably, on a disk that does not take it."""

import errno
import os
from pathlib import Path

import pytest

from edge_agent.state.durable import write_durably


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_what_a_full_disk_does_not_take_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"new")

    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("file", b"old")]
