"""What a child process may use, and how a running one is held to it.

Memory is limited by a cgroup of the child's own where one with that controller is delegated, else by ``RLIMIT_AS``.
That counts address space, which exceeds resident memory by some 100 MB for a process with numpy and onnxruntime, hence
the slack. ``RLIMIT_DATA``, what is private and can be written, is limited alike in any case.
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
    """What a child may use.

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
    """The memory limit of one child. Make it before the child starts: only then are its OOM kills told from others'."""

    def __init__(self, limits: ChildLimits, group_parent: Path | None) -> None:
        self._limits = limits
        self._group_parent = group_parent
        self._group: cgroup.ChildGroup | None = None
        self._kills_before = cgroup.oom_kills()

    def apply(self, pid: int) -> None:
        """Limit the child; raises ``OSError`` if that cannot be done."""
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
        """Whether the OOM killer ended the child, which has ended and is not reaped yet."""
        if self._group is not None:
            return self._group.oom_kills() > 0
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        killed = status is not None and status.si_status == signal.SIGKILL and status.si_code == os.CLD_KILLED
        return killed and cgroup.oom_kills() > self._kills_before

    def kill_group(self) -> None:
        """End whatever is left in the child's cgroup, if it has one."""
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
    """Make the child's group nicer, as far as that is allowed."""
    if limits.nice:
        # An operator's seccomp filter may forbid it; the child then competes like any other.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, pid, os.getpriority(os.PRIO_PROCESS, 0) + limits.nice)
