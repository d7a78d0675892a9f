"""Landlock: what this process, and all that it starts, may write and connect to, from now on and for good.

Kernels before 5.13 know nothing of it, before 6.2 not how to keep a file from being emptied, before 6.7 nothing of its
rules for TCP; whoever asks is told what is in force.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from edge_agent.errors import StageError

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_REFER_ABI, _TRUNCATE_ABI, _NET_ABI = 2, 3, 4
_WRITE_FILE = 1 << 1
_WRITES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
"""Writing to files; removing and making whatever can be: linux/landlock.h."""
_REFER, _TRUNCATE = 1 << 13, 1 << 14
"""To move between folders, which is refused everywhere unless it is asked for; to empty files, which is granted so."""
_DEVICES = (Path("/dev"), Path("/sys"))
_TCP = 0b11
"""To bind, to connect."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def restrict(*, write: Iterable[Path], tcp: bool, devices: Iterable[Path] = ()) -> list[str]:
    """Give up writing outside of the folders ``write`` (and to devices and their settings), and TCP unless ``tcp``.

    Needs no privilege, but ``no_new_privs``.

    Args:
        write: folders in which files may be made, written and removed.
        tcp: whether it may connect.
        devices: folders of devices and settings besides ``/dev`` and ``/sys``: what is there may be written to.

    Returns:
        What is in force: ``landlock_writes``, ``landlock_truncation``, ``landlock_no_tcp``; empty where the kernel has
        no Landlock.

    Raises:
        StageError: the kernel has it and refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    if abi < 1:
        return []
    no_tcp = not tcp and abi >= _NET_ABI
    truncate = _TRUNCATE if abi >= _TRUNCATE_ABI else 0
    writes = _WRITES | truncate | (_REFER if abi >= _REFER_ABI else 0)
    wanted = _Ruleset(writes, _TCP if no_tcp else 0)
    size = ctypes.sizeof(wanted) if abi >= _NET_ABI else ctypes.sizeof(ctypes.c_uint64)
    rules = _call(libc, _CREATE, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for folder in write:
            _allow(libc, rules, folder, writes)
        for folder in (*filter(Path.is_dir, _DEVICES), *devices):
            _allow(libc, rules, folder, _WRITE_FILE | truncate)
        _call(libc, _RESTRICT, rules, ctypes.c_uint32(0))
    finally:
        os.close(rules)
    found = [("landlock_writes", True), ("landlock_truncation", bool(truncate)), ("landlock_no_tcp", no_tcp)]
    return [name for name, holds in found if holds]


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _Beneath(rights, folder)
        _call(libc, _ADD, rules, ctypes.c_int(_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(folder)


def _call(libc: ctypes.CDLL, *arguments: object) -> int:
    result: int = libc.syscall(*arguments)
    if result < 0:
        reason = os.strerror(ctypes.get_errno())
        raise StageError("stage_crashed", f"this kernel refused Landlock's call {arguments[0]}: {reason}; run doctor")
    return result
