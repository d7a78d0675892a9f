"""The program that the kernel runs before each call, run here: for both processors, on any machine."""

import errno
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_agent.process.seccomp import (
    ALLOW,
    ANY_BIT,
    ARCHITECTURES,
    AT_LEAST,
    EQUAL,
    ERRNO,
    KILL,
    LOAD,
    RETURN,
    Instruction,
    program,
)
from edge_agent.process.system_calls import EVERY_PROCESS, WITH_A_MODEL, denied

MACHINES = list(ARCHITECTURES)
PID = 4242
REFUSED = ERRNO | errno.EPERM
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
CALLS = {  # name → number on x86-64, on arm64; tbl files of Linux 6.12
    "read": (0, 63), "openat": (257, 56), "socket": (41, 198), "kill": (62, 129), "tgkill": (234, 131),
    "clone": (56, 220), "clone3": (435, 435), "fcntl": (72, 25), "ioctl": (16, 29), "ptrace": (101, 117),
    "prlimit64": (302, 261), "setsid": (112, 157), "fchmodat": (268, 53), "execve": (59, 221),
    "io_uring_setup": (425, 425),
}  # fmt: skip


def ask(
    made: Sequence[Instruction],
    machine: str,
    name: str,
    arguments: Sequence[int] = (),
    *,
    abi: int | None = None,
) -> int:
    """What the kernel would answer: an interpreter of the few instructions that there are."""
    number = CALLS[name][MACHINES.index(machine)]
    words = {0: number, 4: ARCHITECTURES[machine] if abi is None else abi}
    for place, value in enumerate(arguments):
        words |= {16 + 8 * place: value & 0xFFFF_FFFF, 20 + 8 * place: value >> 32 & 0xFFFF_FFFF}
    at = word = 0
    while True:
        code, if_true, if_false, constant = made[at]
        at += 1
        if code == LOAD:
            word = words.get(constant, 0)
        elif code == RETURN:
            return constant
        else:
            holds = {EQUAL: word == constant, AT_LEAST: word >= constant, ANY_BIT: bool(word & constant)}[code]
            at += if_true if holds else if_false


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "of_a_model", "of_a_sensor"),
    [
        ("read", (), ALLOW, ALLOW),
        ("openat", (), ALLOW, ALLOW),
        ("execve", (), ALLOW, ALLOW),
        ("ptrace", (), REFUSED, REFUSED),
        ("io_uring_setup", (), REFUSED, REFUSED),
        ("clone3", (), ERRNO | errno.ENOSYS, ERRNO | errno.ENOSYS),
        ("clone", (0x3D0F00,), ALLOW, ALLOW),
        ("clone", (0x3D0F00 | 0x1000_0000,), REFUSED, REFUSED),
        ("socket", (1,), REFUSED, ALLOW),
        ("socket", (2,), REFUSED, REFUSED),
        ("kill", (PID, 9), ALLOW, ALLOW),
        ("kill", (0, 9), ALLOW, ALLOW),
        ("kill", (1, 9), REFUSED, ALLOW),
        ("kill", (2**64 - 1, 9), REFUSED, ALLOW),
        ("tgkill", (PID, 7, 6), ALLOW, ALLOW),
        ("tgkill", (1, 1, 6), REFUSED, ALLOW),
        ("fcntl", (0, 3), ALLOW, ALLOW),
        ("fcntl", (0, 8, 1), REFUSED, ALLOW),
        ("ioctl", (0, 0x5401), ALLOW, ALLOW),
        ("ioctl", (0, 0x5412), REFUSED, REFUSED),
        ("ioctl", (0, 2**32 + 0x5412), REFUSED, REFUSED),
        ("prlimit64", (0, 7), ALLOW, ALLOW),
        ("prlimit64", (1, 7), REFUSED, ALLOW),
        ("setsid", (), REFUSED, ALLOW),
        ("fchmodat", (), REFUSED, ALLOW),
    ],
)
def test_each_call_is_answered_as_listed(
    machine: str, name: str, arguments: tuple[int, ...], of_a_model: int, of_a_sensor: int
) -> None:
    model = program(denied(model=True, families=()), machine, PID)
    sensor = program(denied(model=False, families=(1,)), machine, PID)

    assert ask(model, machine, name, arguments) == of_a_model
    assert ask(sensor, machine, name, arguments) == of_a_sensor


@pytest.mark.parametrize("machine", MACHINES)
def test_another_abi_ends_the_process(machine: str) -> None:
    made = program(denied(model=True, families=()), machine, PID)

    assert ask(made, machine, "read", abi=0x4000_0003) == KILL
    assert ask(made, machine, "read", abi=0x4000_0028) == KILL


def test_the_other_numbers_of_x86_64_end_it_too() -> None:
    made = program(denied(model=True, families=()), "x86_64", PID)

    CALLS["x32"] = (0x4000_0000 + 41, 0)
    try:
        assert ask(made, "x86_64", "x32") == KILL
    finally:
        del CALLS["x32"]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip("needs the kernel's headers: sudo apt install linux-libc-dev")
    text = header.read_text(encoding="ascii")
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    listed = {call.name: call.x86_64 if machine == "x86_64" else call.arm64 for call in denied(model=True, families=())}

    newer = {"fchmodat2", "setxattrat", "removexattrat", "open_tree_attr", "file_setattr"} - known.keys()
    assert {name: number for name, number in listed.items() if name not in newer} == {
        name: known.get(name) for name in listed.keys() - newer
    }


def test_every_line_says_why() -> None:
    lines = (*EVERY_PROCESS, *WITH_A_MODEL)

    assert all(line.why for line in lines)
    assert len({line.name for line in lines}) == len(lines)
