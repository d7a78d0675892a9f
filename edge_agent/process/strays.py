"""Processes that a child has left behind: they become this process's children, and are ended when the child has.

A child's group of processes ends with it, and so does its control group. Where there is none, as for the processes of
sensors and on kernels without cgroup v2, what has made a session of its own would go on: a driver's helper holds the
camera. Which child left it cannot be seen; that a confined one did, can: it carries the filter and the limit of open
files that its parent put on, and no process loses those. What the operator's hook starts is left alone: it carries
neither, and an application with a sandbox of its own has not that limit.
"""

import contextlib
import ctypes
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from edge_agent.process.sandbox import OPEN_FILES

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_WITHIN_S = 5.0
_own: set[int] = set()
_lock = threading.Lock()
_adopting = threading.Event()


def adopt() -> None:
    """Become the parent of whatever this process's descendants leave behind."""
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
        _adopting.set()


@contextlib.contextmanager
def starting() -> Iterator[set[int]]:
    """Start a child inside, and add its pid to the set: it is never taken for one that was left behind."""
    with _lock:
        yield _own


def end(child: int) -> None:
    """``child`` has ended and is reaped: end what confined children have left, and reap what has ended by itself."""
    with _lock:
        _own.discard(child)
        if not _adopting.is_set():
            return
        deadline = time.monotonic() + _WITHIN_S
        while _round() and time.monotonic() < deadline:  # what those have started is ours next
            pass


def _round() -> bool:
    """Whether something was ended."""
    found = False
    filters = _filters("self")
    for pid in _children():
        if pid in _own:
            continue
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0 and _filters(str(pid)) > filters and _few_files(pid):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                found = True
    return found


def _children() -> Iterator[int]:
    """The pids of this process's children, whichever of its threads has them."""
    for place in Path("/proc/self/task").glob("*/children"):  # CONFIG_PROC_CHILDREN
        with contextlib.suppress(OSError):
            yield from map(int, place.read_text(encoding="ascii").split())


def _filters(process: str) -> int:
    """How many seccomp filters a process carries; 0 where it is gone, or the kernel (before 5.9) does not say."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(errors="replace").splitlines():
            if line.startswith("Seccomp_filters:"):
                return int(line.split()[1])
    return 0


def _few_files(pid: int) -> bool:
    """Whether a process may open as few files as a confined one, and never more."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return 0 <= resource.prlimit(pid, resource.RLIMIT_NOFILE)[1] <= OPEN_FILES
    return False
