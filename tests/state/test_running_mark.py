"""How the run before this one ended, as the mark tells."""

from pathlib import Path

import pytest

from edge_agent.state.running_mark import Before, RunningMark


def test_a_run_that_ended_by_itself_leaves_nothing(tmp_path: Path) -> None:
    mark = RunningMark(tmp_path / "running")
    assert mark.begin("boot-1") is Before.CLEANLY
    mark.end()
    mark.end()

    assert mark.begin("boot-1") is Before.CLEANLY
    assert (tmp_path / "running").exists()


@pytest.mark.parametrize(("boot", "how"), [("boot-1", Before.KILLED), ("boot-2", Before.WITH_THE_MACHINE)])
def test_one_that_did_not_is_told_by_the_boot(tmp_path: Path, boot: str, how: Before) -> None:
    RunningMark(tmp_path / "running").begin("boot-1")

    assert RunningMark(tmp_path / "running").begin(boot) is how


def test_crashing_again_and_again_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "running"
    RunningMark(path).begin("boot-1")
    written = path.stat()
    for _ in range(3):
        RunningMark(path).begin("boot-1")

    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_a_torn_mark_is_one_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "running").write_bytes(b"\xff\x00" * 5000)

    assert RunningMark(tmp_path / "running").begin("boot-1") is Before.WITH_THE_MACHINE


def test_a_disk_that_takes_no_mark_is_no_outage(tmp_path: Path) -> None:
    mark = RunningMark(tmp_path / "gone" / "running")

    assert mark.begin("boot-1") is Before.CLEANLY
    mark.end()
