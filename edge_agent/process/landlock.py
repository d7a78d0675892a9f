"""Landlock: permanently restricts what this process and its children may read, write, connect to and signal.

Kernels before 5.13 do not have it, nor do those of Raspberry Pi OS. It covers truncation since 6.2, TCP since 6.7,
device ioctls since 6.10 and signals since 6.12. :func:`restrict` returns the restrictions that are in force.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from edge_agent.errors import StageError

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_REFER_ABI, _TRUNCATE_ABI, _NET_ABI, _IOCTL_ABI, _SCOPE_ABI = 2, 3, 4, 5, 6
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
_READS = _READ_FILE | _READ_DIR
_WRITES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
"""Writing to files; removing and creating all kinds of files: linux/landlock.h."""
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
"""Moving between folders, which the kernel refuses unless a rule allows it; truncating files and ioctls on devices,
which it allows unless the ruleset handles them."""
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
"""The rights that a rule about a file, not a folder, may grant."""
_DEVICES = (Path("/dev"), Path("/sys"))
_HARMLESS = tuple(Path("/dev") / name for name in ("null", "zero", "urandom"))
_TCP = 0b11
"""Bind and connect."""
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """Return the version of Landlock in this kernel; 0: none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))))


def restrict(
    *,
    write: Iterable[Path],
    tcp: bool,
    devices: Iterable[Path] = (),
    read: Iterable[Path] | None = None,
    run: Iterable[Path] = (),
) -> list[str]:
    """Give up all rights that are not named: writing, TCP, signals to others, and with ``read`` reading and devices.

    Needs no privilege, but ``no_new_privs``. Missing or inaccessible paths in ``read`` and ``run`` are skipped.

    Args:
        write: folders in which files may be created, written, removed and read.
        tcp: whether the process may connect.
        devices: folders of devices and settings besides ``/dev`` and ``/sys``; their files may be written to.
        read: files and folders that may be read. Devices are then limited to harmless ones such as ``/dev/null``. None:
            everything may be read, and devices may be used.
        run: programs and their libraries, which may be read and executed.

    Returns:
        The restrictions in force: ``landlock_writes``, ``landlock_reads``, ``landlock_truncation``,
        ``landlock_no_tcp``, ``landlock_no_devices``, ``landlock_no_signals``; empty if the kernel has no Landlock.

    Raises:
        StageError: the kernel has Landlock and refuses it.
    """
    known = abi()
    if known < 1:
        return []
    no_tcp = not tcp and known >= _NET_ABI
    scoped = (_SIGNALS | (_ABSTRACT_SOCKETS if read is not None else 0)) if known >= _SCOPE_ABI else 0
    truncate = _TRUNCATE if known >= _TRUNCATE_ABI else 0
    orders = _IOCTL if known >= _IOCTL_ABI and read is not None else 0
    writes = _WRITES | truncate | (_REFER if known >= _REFER_ABI else 0)
    reads = 0 if read is None else _READS
    programs = 0 if read is None else _READS | _EXECUTE
    rules = [(path, writes | reads, True) for path in write]
    if read is None:
        rules += [(path, _WRITE_FILE | truncate, True) for path in (*filter(Path.is_dir, _DEVICES), *devices)]
    else:
        rules += [(path, _READ_FILE | _WRITE_FILE | truncate | orders, False) for path in _HARMLESS]
        rules += [(path, reads, False) for path in read] + [(path, programs, False) for path in run]
    wanted = _Ruleset(writes | programs | orders, _TCP if no_tcp else 0, scoped)
    _apply(wanted, rules, known)
    found = [
        ("landlock_writes", True),
        ("landlock_reads", bool(reads)),
        ("landlock_truncation", bool(truncate)),
        ("landlock_no_tcp", no_tcp),
        ("landlock_no_devices", bool(orders)),
        ("landlock_no_signals", bool(scoped)),
    ]
    return [name for name, holds in found if holds]


def _apply(wanted: _Ruleset, rules: Iterable[tuple[Path, int, bool]], known: int) -> None:
    """Restrict this process; each rule is a path, its rights, and whether the path must exist."""
    libc = ctypes.CDLL(None, use_errno=True)
    fields = 1 + (known >= _NET_ABI) + (known >= _SCOPE_ABI)
    size = ctypes.c_size_t(fields * ctypes.sizeof(ctypes.c_uint64))
    ruleset = _call(libc, _CREATE, ctypes.byref(wanted), size, ctypes.c_uint32(0))
    try:
        for path, rights, needed in rules:
            try:
                _allow(libc, ruleset, path, rights)
            except OSError:
                if needed:
                    raise
        _call(libc, _RESTRICT, ruleset, ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        of_folder = stat.S_ISDIR(os.fstat(place).st_mode)
        rule = _Beneath(rights if of_folder else rights & _OF_FILES, place)
        _call(libc, _ADD, ruleset, ctypes.c_int(_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(place)


def _call(libc: ctypes.CDLL, *arguments: object) -> int:
    result: int = libc.syscall(*arguments)
    if result < 0:
        reason = os.strerror(ctypes.get_errno())
        raise StageError("stage_crashed", f"this kernel refused Landlock's call {arguments[0]}: {reason}; run doctor")
    return result
