"""Stray processes: descendants that a child left behind. This process adopts them, and kills them after the child.

A child's process group and control group end with it. Without a control group, as for sensor processes and on kernels
without cgroup v2, a descendant with its own session would live on: a driver's helper would hold the camera. The kernel
does not show which child left a process behind. But a descendant of a confined child has its seccomp filter and its
limit on open files, and no process can lose those. Processes of the operator's hook are left alone: they have neither,
and an application with its own sandbox does not have that limit.
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
    """Become the parent of orphaned descendants."""
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
        _adopting.set()


@contextlib.contextmanager
def starting() -> Iterator[set[int]]:
    """Yield the set for the pid of a child that is started inside: a child in the set is never treated as a stray."""
    with _lock:
        yield _own


def end(child: int) -> None:
    """Kill the strays of confined children, and reap those that have ended; call it once ``child`` is reaped."""
    with _lock:
        _own.discard(child)
        if not _adopting.is_set():
            return
        deadline = time.monotonic() + _WITHIN_S
        while _round() and time.monotonic() < deadline:  # the children of killed strays become ours next
            pass


def _round() -> bool:
    """Kill and reap strays once; return whether there were any."""
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
    """Yield the pids of the children of all threads of this process."""
    for place in Path("/proc/self/task").glob("*/children"):  # CONFIG_PROC_CHILDREN
        with contextlib.suppress(OSError):
            yield from map(int, place.read_text(encoding="ascii").split())


def _filters(process: str) -> int:
    """Return the number of a process's seccomp filters; 0 if it has ended or the kernel (before 5.9) has no count."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(errors="replace").splitlines():
            if line.startswith("Seccomp_filters:"):
                return int(line.split()[1])
    return 0


def _few_files(pid: int) -> bool:
    """Return whether a process has the limit on open files of a confined one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return 0 <= resource.prlimit(pid, resource.RLIMIT_NOFILE)[1] <= OPEN_FILES
    return False
