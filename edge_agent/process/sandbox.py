"""What every confined process applies to itself first: it gives up what it does not need, whatever it is for.

No new privileges through set-user-id programs, no core dump (it would hold captured data), memory that no other process
of the same user may look into, few descriptors, a bound to processes and to the size of a file, files readable by
nobody else, and death with the process that started it. Inherited by everything the process starts, but for the
memory, which a new program has to close again. :mod:`edge_agent.process.confinement` adds what depends on its task.
``python -m edge_agent.process.sandbox`` prints the list as JSON: what is active on this device.
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
"""At once, of a confined process."""
_MORE_THREADS = 512
"""Beyond those that the user has: the threads of a runtime on a server, and what other programs start meanwhile."""
_UNSEEN_THREADS = 1 << 15
"""Instead, in a container: the kernel counts those of this user outside as well, a desktop's thousands among them."""
_ALL_PROCESSES = "pid:[4026531836]"  # linux/proc_ns.h: PROC_PID_INIT_INO, where every process can be seen
_MORE_BYTES = 1 << 30
_NOT_OURS = 0o077
_ORPHAN = 1
"""The exit code of a process whose parent died before it could be told."""


def confine(death: signal.Signals = signal.SIGKILL) -> list[str]:
    """Confine this process for good and return what is active; ``death`` is what it gets when its parent has died.

    Raises:
        StageError: the kernel refused something that every supported kernel grants.
    """
    os.umask(_NOT_OURS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    close_memory()
    _die_with_parent(death)
    return active()


def close_memory() -> None:
    """Keep other processes of this user out of this one's memory, descriptors and environment."""
    _prctl(_PR_SET_DUMPABLE, 0)


def bound(folder: Path) -> list[str]:
    """Bound what a process that works in ``folder`` may start and write; returns what holds.

    No file can become much larger than what the disk has free now: a full disk says so first, and a file of holes as
    large as a disk cannot be. ``RLIMIT_NPROC`` counts the threads of the user, this
    process's or not, so it stands above those that there are; the kernel asks nothing of root.
    """
    _lower(resource.RLIMIT_FSIZE, 2 * shutil.disk_usage(folder).free + _MORE_BYTES)
    sees_all = str(Path("/proc/self/ns/pid").readlink()) == _ALL_PROCESSES
    more = _MORE_THREADS if sees_all else _UNSEEN_THREADS
    _lower(resource.RLIMIT_NPROC, sum(_threads(os.getuid())) + more)
    return [
        f"file_bytes={resource.getrlimit(resource.RLIMIT_FSIZE)[1]}",
        f"threads={resource.getrlimit(resource.RLIMIT_NPROC)[1]}",
    ]


def active() -> list[str]:
    """What confines this process, as the kernel says."""
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
    """Set both limits to ``wanted``, or leave a lower one as it is."""
    _, hard = resource.getrlimit(limit)
    lowered = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(limit, (lowered, lowered))


def _threads(uid: int) -> Iterator[int]:
    """How many threads each process of a user has, of those that can be seen."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, KeyError, ValueError):  # it has ended
            said = dict(line.split(":", 1) for line in status.read_text(errors="replace").splitlines())
            if int(said["Uid"].split()[0]) == uid:
                yield int(said["Threads"])


def _die_with_parent(death: signal.Signals) -> None:
    """End with the process that started us, if it said who it is; run by hand, nobody did."""
    parent = os.environ.get(PARENT_VARIABLE, "")
    if not parent.isdigit():
        return
    _prctl(_PR_SET_PDEATHSIG, death)
    if os.getppid() != int(parent):  # it died before the kernel knew that we care
        os._exit(_ORPHAN)


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise StageError("stage_crashed", f"this kernel refused prctl({option}): {reason}; run doctor")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(confine()) + "\n")
