"""seccomp: permanently restricts the system calls of this process and its children.

Every kernel that this project supports has it, also that of Raspberry Pi OS, which has no Landlock. This module builds
the program that the kernel runs before each call (classic BPF; ``Documentation/userspace-api/seccomp_filter.rst``) from
the list in :mod:`edge_agent.process.system_calls`. :func:`program` is pure.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator, Sequence

from edge_agent.errors import StageError
from edge_agent.process.system_calls import OWN_PID, Condition, Denied, denied

ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
"""``uname -m`` → the kernel's number of that ABI: linux/audit.h."""
KILL, ERRNO, ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000  # linux/seccomp.h
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h, of 32-bit words
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in the program's view of a call: ``struct seccomp_data``."""
_X32 = 0x4000_0000
_POINTER_BYTES = 8
_CALLS = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _ALL_THREADS, _SAME_SPEED = 1, 1, 4
"""_SAME_SPEED: kernels before 5.16 slow a filtered process down (store bypass), unlike the applications it serves."""
_PR_SET_SECCOMP, _PR_GET_SECCOMP, _MODE_FILTER = 22, 21, 2

Instruction = tuple[int, int, int, int]
"""Code, instructions to skip if true, instructions to skip if false, and the constant."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def available() -> bool:
    """Return whether this kernel has filters, and the list has numbers for this processor."""
    libc = ctypes.CDLL(None, use_errno=True)
    return _machine() != "" and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def forbid(*, model: bool, families: Sequence[int] = ()) -> list[str]:
    """Give up system calls; the arguments are those of :func:`edge_agent.process.system_calls.denied`.

    Needs no privilege, but ``no_new_privs``.

    Returns:
        The layer in force: ``seccomp``; empty if the kernel has no filters.

    Raises:
        StageError: the kernel has filters and refuses this one.
    """
    if not available():
        return []
    return install(program(denied(model=model, families=families), _machine(), os.getpid()))


def install(instructions: Sequence[Instruction]) -> list[str]:
    """Install a program that the kernel runs before each call; return and raise as :func:`forbid` does."""
    words = b"".join(struct.pack("=HBBI", *one) for one in instructions)
    content = ctypes.create_string_buffer(words, len(words))
    wanted = _Program(len(instructions), ctypes.cast(content, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    flags = ctypes.c_ulong(_ALL_THREADS | _SAME_SPEED)
    if libc.syscall(_CALLS[_machine()], _SET_MODE_FILTER, flags, ctypes.byref(wanted)) == 0:
        return ["seccomp"]
    # A parent's filter may forbid the call above but not this one. It covers only this thread, but there is no other.
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(wanted), 0, 0) == 0:
        return ["seccomp"]
    number = ctypes.get_errno()
    if number == errno.EINVAL:  # emulators answer available() but have no filters
        return []
    raise StageError("stage_crashed", f"this kernel refused a seccomp filter: {os.strerror(number)}; run doctor")


def program(calls: Sequence[Denied], machine: str, pid: int) -> list[Instruction]:
    """Return the program that refuses ``calls`` to process ``pid`` on a ``machine`` of :data:`ARCHITECTURES`. Pure."""
    made: list[Instruction] = [
        (LOAD, 0, 0, _ARCHITECTURE),
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":  # the kernel reports x32 as the same architecture, with other numbers
        made += [(AT_LEAST, 0, 1, _X32), (RETURN, 0, 0, KILL)]
    for call in calls:
        number = call.x86_64 if machine == "x86_64" else call.arm64
        if number is not None:
            body = list(_body(call, pid))
            made += [(EQUAL, 0, len(body), number), *body]
    return [*made, (RETURN, 0, 0, ALLOW)]


def _body(call: Denied, pid: int) -> Iterator[Instruction]:
    refuse = (RETURN, 0, 0, ERRNO | call.error)
    if call.when is None:
        yield refuse
        return
    yield (LOAD, 0, 0, _ARGUMENTS + 8 * call.when.argument)
    yield from _tests(call.when, pid, refuse)


def _tests(when: Condition, pid: int, refuse: Instruction) -> Iterator[Instruction]:
    allow = (RETURN, 0, 0, ALLOW)
    hit, otherwise = (allow, refuse) if when.test == "except" else (refuse, allow)
    for value in when.values:
        yield (ANY_BIT if when.test == "any_bit" else EQUAL, 0, 1, pid if value == OWN_PID else value)
        yield hit
    yield otherwise


def _machine() -> str:
    machine = os.uname().machine
    return machine if machine in ARCHITECTURES and struct.calcsize("P") == _POINTER_BYTES else ""
