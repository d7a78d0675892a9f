"""Control groups: limits for one child where the kernel lets us set them, killing its group, and counts of OOM kills.

Reads ``/proc/self/cgroup`` and the files of cgroup v2 (``memory.events``) and v1 (``memory.oom_control``). Writes only
below a directory that systemd has delegated to us (``Delegate=yes``), never anywhere else in the tree, even as root.
Source of the file names: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of the Linux kernel.
"""

import contextlib
import os
from pathlib import Path

_MOUNT = "sys/fs/cgroup"
_OWN = "daemon"
_WANTED = ("memory", "pids")
"""Controllers that we use where available. Raspberry Pi OS boots without the first."""
_MOST_TASKS = 512
"""Limit on processes and threads of one child; a runtime on a server has a hundred."""


def oom_kills(root: Path = Path("/")) -> int:
    """Return the number of OOM kills in this process's control group; 0 if unknown."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            places = [root / _MOUNT / path.lstrip("/"), root / _MOUNT / "unified" / path.lstrip("/")]
            files = [place / "memory.events" for place in places]
        elif "memory" in controllers.split(","):
            files = [root / _MOUNT / "memory" / path.lstrip("/") / "memory.oom_control"]
        else:
            continue
        for file in files:
            count = _counter(_read(file), "oom_kill")
            if count is not None:
                return count
    return 0


def delegated(root: Path = Path("/")) -> Path | None:
    """Return the cgroup v2 directory in which this process may create groups for children, or None.

    systemd gives a delegated directory to the service's user. It marks root's with the extended attribute
    ``user.delegate`` (newer versions), since root may write everywhere. A directory whose children have controllers may
    not contain processes, so this process first moves into a child group.
    """
    path = next((line[3:] for line in _read(root / "proc/self/cgroup").splitlines() if line.startswith("0::")), None)
    if path is None:
        return None
    directory = root / _MOUNT / path.lstrip("/")
    if directory.name == _OWN:
        directory = directory.parent
    try:
        if not _is_ours(directory):
            return None
        found = _read(directory / "cgroup.controllers").split()
        (directory / _OWN).mkdir(exist_ok=True)
        (directory / _OWN / "cgroup.procs").write_text(str(os.getpid()))
        wanted = " ".join(f"+{name}" for name in _WANTED if name in found)
        if wanted:
            (directory / "cgroup.subtree_control").write_text(wanted)
    except OSError:
        return None
    return directory


def limits_memory(directory: Path) -> bool:
    """Return whether groups below a delegated directory can have memory limits."""
    return "memory" in _read(directory / "cgroup.controllers").split()


class ChildGroup:
    """One child's own cgroup below a delegated directory.

    Attributes:
        limits_memory: whether the group enforces the requested memory limit.
    """

    def __init__(self, parent: Path, pid: int, memory_bytes: int) -> None:
        """Create the group, set its limits, and move process ``pid`` into it.

        Args:
            parent: the delegated directory.
            pid: the child.
            memory_bytes: memory limit, without swap; 0: no limit. The limit on processes and threads is fixed.

        Raises:
            OSError: the directory is not ours after all; the group is removed again.
        """
        self.directory = parent / f"child-{pid}"
        self.limits_memory = memory_bytes > 0 and limits_memory(parent)
        self.directory.mkdir()
        try:
            if self.limits_memory:
                (self.directory / "memory.max").write_text(str(memory_bytes))
                with contextlib.suppress(FileNotFoundError):  # a kernel without swap accounting has no such file
                    _write_existing(self.directory / "memory.swap.max", "0")
            with contextlib.suppress(FileNotFoundError):  # a kernel without that controller has no such file
                _write_existing(self.directory / "pids.max", str(_MOST_TASKS))
            (self.directory / "cgroup.procs").write_text(str(pid))
        except OSError:
            self.close()
            raise

    def oom_kills(self) -> int:
        """Return the number of OOM kills in the group."""
        return _counter(_read(self.directory / "memory.events"), "oom_kill") or 0

    def kill(self) -> None:
        """Kill every process of the group, also those that left the child's session (Linux 5.14)."""
        with contextlib.suppress(OSError):
            _write_existing(self.directory / "cgroup.kill", "1")

    def close(self) -> None:
        """Remove the group; one with a dying process stays, which costs nothing."""
        with contextlib.suppress(OSError):
            self.directory.rmdir()


def _is_ours(directory: Path) -> bool:
    if os.geteuid() != 0:
        return directory.stat().st_uid == os.geteuid()
    return os.getxattr(directory, "user.delegate") == b"1"


def _write_existing(path: Path, text: str) -> None:
    with path.open("r+") as file:
        file.write(text)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _counter(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return None
