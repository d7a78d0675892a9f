"""What a worker applies to itself before it opens anything: it gives up what it does not need.

No new privileges through set-user-id programs, no core dump (it would hold captured data), few descriptors, files
readable by nobody else, and death with the process that started it. Inherited by everything the worker starts.
``python -m edge_agent.process.sandbox`` prints the list as JSON: what is active on this device.
"""

import ctypes
import json
import os
import resource
import signal
import sys

from edge_agent.errors import StageError
from edge_agent.process.program import PARENT_VARIABLE

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39
_OPEN_FILES = 256
_NOT_OURS = 0o077


def confine(death: signal.Signals = signal.SIGKILL) -> list[str]:
    """Confine this process for good and return what is active; ``death`` is what it gets when its parent has died.

    Raises:
        StageError: the kernel refused something that every supported kernel grants.
    """
    os.umask(_NOT_OURS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _die_with_parent(death)
    return active()


def active() -> list[str]:
    """What confines this process, as the kernel says."""
    found = []
    if _libc().prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1:
        found.append("no_new_privs")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        found.append("no_core_dumps")
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files <= _OPEN_FILES:
        found.append(f"open_files={files}")
    os.umask(mask := os.umask(_NOT_OURS))
    if mask & _NOT_OURS == _NOT_OURS:
        found.append("private_files")
    _, memory = resource.getrlimit(resource.RLIMIT_AS)
    if memory != resource.RLIM_INFINITY:
        found.append(f"address_space_bytes={memory}")
    return found


def _die_with_parent(death: signal.Signals) -> None:
    """End with the process that started us, if it said who it is; run by hand, nobody did."""
    parent = os.environ.get(PARENT_VARIABLE, "")
    if not parent.isdigit():
        return
    _prctl(_PR_SET_PDEATHSIG, death)
    if os.getppid() != int(parent):  # it died before the kernel knew that we care
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise StageError("stage_crashed", f"this kernel refused prctl({option}): {reason}; run doctor")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    json.dump(confine(), sys.stdout)
    sys.stdout.write("\n")
