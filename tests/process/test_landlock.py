"""What a confined process can still write and connect to: tried in children, on the kernel that is here."""

import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edge_agent.process.landlock import abi

CODE = """
import os, socket, sys
from pathlib import Path
from edge_agent.process.landlock import restrict
from edge_agent.process.sandbox import confine
mine, others, port, tcp = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "tcp"
confine()
print(*restrict(write=[mine], tcp=tcp))
def attempt(what, act):
    try:
        act()
        print(what, "done")
    except OSError as error:
        print(what, type(error).__name__)
attempt("mine", lambda: (mine / "a").write_text("x"))
attempt("renamed", lambda: (mine / "a").rename(mine / "b"))
attempt("socket", lambda: socket.socket(socket.AF_UNIX).bind(str(mine / "s")))
attempt("others", lambda: (others / "a").write_text("x"))
attempt("removed", lambda: (others / "there").unlink())
attempt("emptied", lambda: os.truncate(others / "there", 0))
(mine / "below").mkdir()
attempt("moved", lambda: (mine / "b").rename(mine / "below" / "b"))
attempt("emptied_own", lambda: os.truncate(mine / "below" / "b", 0))
attempt("read", lambda: (others / "there").read_text())
attempt("device", lambda: Path("/dev/null").write_text("x"))
attempt("child", lambda: os.system(f"echo x > {others}/c 2> /dev/null") and (others / "c").read_text())
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", port), 5).close())
"""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder outside ``/dev``, below which pytest's may lie, and where a process that reads a sensor may write."""
    with TemporaryDirectory(dir="/var/tmp") as name:
        yield Path(name)


@pytest.mark.parametrize("tcp", [True, False])
def test_it_writes_where_it_may_and_nowhere_else(tmp_path: Path, tcp: bool) -> None:  # noqa: FBT001  # pytest gives it so
    mine, others = tmp_path / "mine", tmp_path / "others"
    mine.mkdir()
    others.mkdir()
    (others / "there").write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        argv = [sys.executable, "-c", CODE, mine, others, str(server.getsockname()[1]), "tcp" if tcp else "none"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    first, *rest = done.stdout.splitlines()
    said = dict(line.split() for line in rest)
    if "landlock_writes" not in first:
        pytest.skip("this kernel has no Landlock")

    assert said["mine"] == said["renamed"] == said["socket"] == said["read"] == said["device"] == "done"
    assert said["others"] == said["removed"] == "PermissionError"
    assert said["child"] == "FileNotFoundError"
    if tuple(map(int, platform.release().split(".")[:2])) >= (6, 2):
        assert "landlock_truncation" in first
        assert said["emptied"] == "PermissionError"
        assert (others / "there").read_text() == "x"
        assert said["moved"] == said["emptied_own"] == "done"
    assert (others / "there").exists()
    assert said["tcp"] == ("PermissionError" if "landlock_no_tcp" in first else "done")
    assert not (tcp and "landlock_no_tcp" in first)


WORKER = """
import sys
from pathlib import Path
from tempfile import TemporaryFile
from edge_agent.jobs.task import Task
from edge_agent.worker.__main__ import give_up
job_dir = Path(sys.argv[1])
task = Task(job="j", name="m", version=1, format="onnx", model="model.onnx")
print("landlock" in " ".join(give_up(sys.argv[2], job_dir, task)))
TemporaryFile().write(b"x")
(job_dir / "a").write_text("x")
try:
    (job_dir.parent / "others").write_text("x")
    print("written")
except PermissionError:
    print("refused")
"""


@pytest.mark.parametrize("stage", ["inspect", "capture", "quantize", "activate"])
def test_a_worker_writes_to_its_job_only(tmp_path: Path, stage: str) -> None:
    (tmp_path / "job").mkdir()
    argv = [sys.executable, "-c", WORKER, tmp_path / "job", stage]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    held, written = done.stdout.split()
    if held == "False":
        pytest.skip("this kernel has no Landlock")

    assert written == "refused"


AS_OF = """
import sys
from pathlib import Path
from edge_agent.process import landlock, sandbox
mine, others, version = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
landlock.abi = lambda: version
sandbox.confine()
print(*landlock.restrict(write=[mine], tcp=False, read=[others / "given"], run=[Path("/usr")]))
for path in (mine / "a", others / "given", others / "there", Path("/dev/null"), Path("/dev/tty"), Path("/nowhere")):
    try:
        path.read_bytes()
        print("read")
    except PermissionError:
        print("refused")
    except OSError:
        print("none")
"""
LAYERS = {
    1: "landlock_writes landlock_reads",
    3: "landlock_writes landlock_reads landlock_truncation",
    4: "landlock_writes landlock_reads landlock_truncation landlock_no_tcp",
    5: "landlock_writes landlock_reads landlock_truncation landlock_no_tcp landlock_no_devices",
    6: "landlock_writes landlock_reads landlock_truncation landlock_no_tcp landlock_no_devices landlock_no_signals",
}


@pytest.mark.parametrize("version", LAYERS)
def test_each_version_of_it_holds_what_it_knows_and_reads_what_was_given(tmp_path: Path, version: int) -> None:
    if abi() < version:
        pytest.skip("this kernel's Landlock is older, or it has none")
    mine, others = tmp_path / "mine", tmp_path / "others"
    for folder in (mine, others):
        folder.mkdir()
    for path in (mine / "a", others / "given", others / "there"):
        path.write_text("x")

    argv = [sys.executable, "-c", AS_OF, mine, others, str(version)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)

    layers, *read = done.stdout.splitlines()
    assert layers == LAYERS[version]
    assert read == ["read", "read", "refused", "read", "refused", "none"]
