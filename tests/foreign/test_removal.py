"""What somebody else has left goes, however it lies there, and nothing else does."""

import os
from pathlib import Path

import pytest

from edge_agent.foreign.removal import remove


def test_a_tree_goes_and_what_its_links_name_stays(tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others/file").touch()
    left = tmp_path / "left"
    (left / "a/b/.removed-0").mkdir(parents=True)
    (left / "a/b/file").touch()
    (left / ".removed-1").mkdir()
    (left / "a/link").symlink_to(tmp_path / "others")
    os.mkfifo(left / "a/fifo")

    remove(left)

    assert [path.name for path in tmp_path.iterdir()] == ["others"]
    assert (tmp_path / "others/file").exists()


@pytest.mark.parametrize("what", ["nothing", "file", "link", "fifo"])
def test_what_is_no_folder_goes_too(tmp_path: Path, what: str) -> None:
    (tmp_path / "others").mkdir()
    path = tmp_path / "left"
    match what:
        case "file":
            path.touch()
        case "link":
            path.symlink_to(tmp_path / "others")
        case "fifo":
            os.mkfifo(path)

    remove(path)

    assert [path.name for path in tmp_path.iterdir()] == ["others"]


def test_a_tree_deeper_than_a_stack_goes(tmp_path: Path) -> None:
    """More levels than a process may have calls or open files; its path is too long to be said."""
    here = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)

    remove(tmp_path / "d")

    assert not list(tmp_path.iterdir())


def test_folders_that_nobody_may_enter_go(tmp_path: Path) -> None:
    inner = tmp_path / "left/shut/inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    for path in (inner, inner.parent, inner.parent.parent):
        path.chmod(0)

    remove(tmp_path / "left")

    assert not list(tmp_path.iterdir())
