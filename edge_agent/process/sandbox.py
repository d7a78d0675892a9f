"""The common confinement that every confined process applies to itself first, whatever its task.

It forbids new privileges through set-user-id programs and core dumps (they would hold captured data). It closes the
process's memory to other processes of the same user, limits descriptors, processes and file sizes, makes files readable
by their owner only, and ends the process with its parent. Children inherit all of it except the closed memory, which a
new program has to close again. :mod:`edge_agent.process.confinement` adds the layers that depend on the task.
``python -m edge_agent.process.sandbox`` prints the layers active on this device as a JSON list.
"""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from edge_agent.errors import StageError
from edge_agent.process.program import PARENT_VARIABLE

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
OPEN_FILES = 256
"""Limit on the open files of a confined process."""
_MORE_THREADS = 512
"""Allowance beyond the user's current threads: a runtime's on a server, and those of other programs meanwhile."""
_UNSEEN_THREADS = 1 << 15
"""Allowance in a container: the kernel also counts this user's threads outside, such as a desktop's thousands."""
_ALL_PROCESSES = "pid:[4026531836]"  # linux/proc_ns.h: PROC_PID_INIT_INO, the namespace that shows every process
_MORE_BYTES = 1 << 30
_NOT_OURS = 0o077
_ORPHAN = 1
"""Exit code of a process whose parent died before the kernel could signal it."""


def confine(death: signal.Signals = signal.SIGKILL) -> list[str]:
    """Confine this process permanently and return the active layers.

    Args:
        death: the signal that it receives when its parent dies.

    Raises:
        StageError: the kernel refused a call that every supported kernel grants.
    """
    os.umask(_NOT_OURS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    close_memory()
    _die_with_parent(death)
    return active()


def close_memory() -> None:
    """Close this process's memory, descriptors and environment to other processes of its user."""
    _prctl(_PR_SET_DUMPABLE, 0)


def bound(folder: Path) -> list[str]:
    """Limit the processes and file sizes of a process that works in ``folder``; return the active limits.

    No file can become much larger than the free disk space: a full disk is reported first, and a huge sparse file is
    impossible. ``RLIMIT_NPROC`` counts all threads of the user, so the limit is above their current number; the kernel
    does not apply it to root.
    """
    _lower(resource.RLIMIT_FSIZE, 2 * shutil.disk_usage(folder).free + _MORE_BYTES)
    sees_all = str(Path("/proc/self/ns/pid").readlink()) == _ALL_PROCESSES
    more = _MORE_THREADS if sees_all else _UNSEEN_THREADS
    _lower(resource.RLIMIT_NPROC, sum(_threads(os.getuid())) + more)
    return [
        f"file_bytes={resource.getrlimit(resource.RLIMIT_FSIZE)[1]}",
        f"threads={resource.getrlimit(resource.RLIMIT_NPROC)[1]}",
    ]


def limit_files(most_bytes: int) -> None:
    """Let no file of this process become larger than ``most_bytes``."""
    _lower(resource.RLIMIT_FSIZE, most_bytes)


def active() -> list[str]:
    """Return the active layers of this process, as the kernel reports them."""
    found = []
    if _libc().prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1:
        found.append("no_new_privs")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        found.append("no_core_dumps")
    if _libc().prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0:
        found.append("closed_memory")
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files <= OPEN_FILES:
        found.append(f"open_files={files}")
    os.umask(mask := os.umask(_NOT_OURS))
    if mask & _NOT_OURS == _NOT_OURS:
        found.append("private_files")
    for name, limit in (("address_space", resource.RLIMIT_AS), ("data", resource.RLIMIT_DATA)):
        _, memory = resource.getrlimit(limit)
        if memory != resource.RLIM_INFINITY:
            found.append(f"{name}_bytes={memory}")
    return found


def _lower(limit: int, wanted: int) -> None:
    """Set both limits to ``wanted``, or keep a lower one."""
    _, hard = resource.getrlimit(limit)
    lowered = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(limit, (lowered, lowered))


def _threads(uid: int) -> Iterator[int]:
    """Yield the number of threads of each visible process of a user."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, KeyError, ValueError):  # it has ended
            fields = dict(line.split(":", 1) for line in status.read_text(errors="replace").splitlines())
            if int(fields["Uid"].split()[0]) == uid:
                yield int(fields["Threads"])


def _die_with_parent(death: signal.Signals) -> None:
    """End with our parent if it passed its pid in the environment; a shell does not."""
    parent = os.environ.get(PARENT_VARIABLE, "")
    if not parent.isdigit():
        return
    _prctl(_PR_SET_PDEATHSIG, death)
    if os.getppid() != int(parent):  # it died before the prctl call
        os._exit(_ORPHAN)


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise StageError("stage_crashed", f"this kernel refused prctl({option}): {reason}; run doctor")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(confine()) + "\n")
