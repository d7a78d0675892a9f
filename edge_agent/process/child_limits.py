"""The resource limits of a child process, and their enforcement.

The child's own cgroup limits its memory if one with the memory controller is delegated, else ``RLIMIT_AS`` does. The
latter counts address space, which exceeds resident memory by some 100 MB for a process with numpy and onnxruntime,
hence the slack. ``RLIMIT_DATA``, the private writable memory, always gets the same limit.
"""

import contextlib
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

from edge_agent.process import cgroup

_ADDRESS_SLACK = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """The limits of a child.

    Attributes:
        timeout_s: how long it may run; None: for ever.
        memory_bytes: 0: no limit.
        nice: added niceness.
        quiet_s: how long it may write nothing to standard output; None: for ever.
    """

    timeout_s: float | None
    memory_bytes: int = 0
    nice: int = 0
    quiet_s: float | None = None


class MemoryGuard:
    """The memory limit of one child. Create it before the child, to distinguish its OOM kills from earlier ones."""

    def __init__(self, limits: ChildLimits, group_parent: Path | None) -> None:
        self._limits = limits
        self._group_parent = group_parent
        self._group: cgroup.ChildGroup | None = None
        self._kills_before = cgroup.oom_kills()

    def apply(self, pid: int) -> None:
        """Limit the child; raise ``OSError`` if that is impossible."""
        limit = self._limits.memory_bytes
        if self._group_parent is not None:
            with contextlib.suppress(OSError):
                self._group = cgroup.ChildGroup(self._group_parent, pid, limit)
        if limit <= 0:
            return
        _lower(pid, resource.RLIMIT_DATA, limit + _ADDRESS_SLACK)
        if self._group is None or not self._group.limits_memory:
            _lower(pid, resource.RLIMIT_AS, limit + _ADDRESS_SLACK)

    def killed(self, pid: int) -> bool:
        """Return whether the OOM killer ended the child, which must have ended and not be reaped yet."""
        if self._group is not None:
            return self._group.oom_kills() > 0
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        killed = status is not None and status.si_status == signal.SIGKILL and status.si_code == os.CLD_KILLED
        return killed and cgroup.oom_kills() > self._kills_before

    def kill_group(self) -> None:
        """Kill the remaining processes of the child's cgroup, if it has one."""
        if self._group is not None:
            self._group.kill()

    def close(self) -> None:
        """Remove the cgroup."""
        if self._group is not None:
            self._group.close()


def _lower(pid: int, limit: int, wanted: int) -> None:
    _, hard = resource.prlimit(pid, limit)
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.prlimit(pid, limit, (bound, bound))


def renice(pid: int, limits: ChildLimits) -> None:
    """Raise the niceness of the child's group, as far as permitted."""
    if limits.nice:
        # An operator's seccomp filter may forbid it; the child then competes like any other.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, pid, os.getpriority(os.PRIO_PROCESS, 0) + limits.nice)
