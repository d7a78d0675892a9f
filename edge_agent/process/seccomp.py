"""seccomp: the system calls that this process, and all that it starts, can make, from now on and for good.

Every kernel that this project runs on has it, those of Raspberry Pi OS included, which have no Landlock. The program
that the kernel runs before each call (classic BPF; ``Documentation/userspace-api/seccomp_filter.rst``) is made here of
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
"""Offsets in what the program sees of a call: ``struct seccomp_data``."""
_X32 = 0x4000_0000
_POINTER_BYTES = 8
_CALLS = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _ALL_THREADS, _SAME_SPEED = 1, 1, 4
"""The last one: kernels before 5.16 slow a filtered process down (store bypass), and no application runs so."""
_PR_SET_SECCOMP, _PR_GET_SECCOMP, _MODE_FILTER = 22, 21, 2

Instruction = tuple[int, int, int, int]
"""Code, instructions to skip if true, if false, and its constant."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def available() -> bool:
    """Whether this kernel has filters, and the list has this processor's numbers."""
    libc = ctypes.CDLL(None, use_errno=True)
    return _machine() != "" and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def forbid(*, model: bool, families: Sequence[int] = ()) -> list[str]:
    """Give up system calls: arguments as of :func:`edge_agent.process.system_calls.denied`.

    Needs no privilege, but ``no_new_privs``.

    Returns:
        What is in force: ``seccomp``; empty where the kernel has no filters.

    Raises:
        StageError: the kernel has them and refuses.
    """
    if not available():
        return []
    return install(program(denied(model=model, families=families), _machine(), os.getpid()))


def install(instructions: Sequence[Instruction]) -> list[str]:
    """Have the kernel run a program before each call; returns and raises as :func:`forbid`."""
    words = b"".join(struct.pack("=HBBI", *one) for one in instructions)
    content = ctypes.create_string_buffer(words, len(words))
    wanted = _Program(len(instructions), ctypes.cast(content, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    flags = ctypes.c_ulong(_ALL_THREADS | _SAME_SPEED)
    if libc.syscall(_CALLS[_machine()], _SET_MODE_FILTER, flags, ctypes.byref(wanted)) == 0:
        return ["seccomp"]
    # What started us may forbid that call and not this one, which holds this thread alone; there is no other yet.
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(wanted), 0, 0) == 0:
        return ["seccomp"]
    number = ctypes.get_errno()
    if number == errno.EINVAL:  # emulators know the question and not the filter
        return []
    raise StageError("stage_crashed", f"this kernel refused a seccomp filter: {os.strerror(number)}; run doctor")


def program(calls: Sequence[Denied], machine: str, pid: int) -> list[Instruction]:
    """The program that refuses ``calls`` to process ``pid`` on a ``machine`` of :data:`ARCHITECTURES`. Pure."""
    made: list[Instruction] = [
        (LOAD, 0, 0, _ARCHITECTURE),
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":  # the same architecture in the kernel's eyes, with other numbers
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
