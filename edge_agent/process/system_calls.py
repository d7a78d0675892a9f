"""The system calls that a confined process gives up, with reasons: :mod:`edge_agent.process.seccomp` enforces the list.

Numbers are those of x86-64 and of arm64 (linux: ``arch/x86/entry/syscalls/syscall_64.tbl``, ``scripts/syscall.tbl``).
None: that processor's kernel has no such call. A refused call fails with EPERM, as for a user without the permission. A
call by another ABI of the same processor (32-bit, x32) ends the process: none of our programs makes one, and its
numbers would bypass this list.
"""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

OWN_PID = -1
"""Placeholder in a condition for the pid of the confined process; its children have other pids."""
_ITSELF = (0, OWN_PID)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on the low 32 bits of one argument, under which a call is refused.

    ``among``: the argument is one of ``values``; ``except``: it is none of them; ``any_bit``: it has one of their bits.
    """

    argument: int
    test: Literal["among", "except", "any_bit"]
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """A call that is refused: always, or under ``when``."""

    name: str
    x86_64: int | None
    arm64: int | None
    why: str
    when: Condition | None = None
    error: int = errno.EPERM


def _all(why: str, *calls: tuple[str, int | None, int | None]) -> Iterator[Denied]:
    return (Denied(*call, why) for call in calls)


_NAMESPACES = 0x7E02_0000  # linux/sched.h: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_TERMINAL_INPUT = (0x5412, 0x541C)  # asm-generic/ioctls.h: TIOCSTI, TIOCLINUX
_SIGNAL_OTHERS = (8, 10, 15)  # asm-generic/fcntl.h: F_SETOWN, F_SETSIG, F_SETOWN_EX

EVERY_PROCESS: tuple[Denied, ...] = (
    *_all(
        "reads or writes the memory, descriptors or registers of another process, the daemon's among them",
        *(("ptrace", 101, 117), ("process_vm_readv", 310, 270), ("process_vm_writev", 311, 271)),
        *(("pidfd_getfd", 438, 438), ("kcmp", 312, 272), ("process_madvise", 440, 440)),
        *(("process_mrelease", 448, 448), ("migrate_pages", 256, 238), ("move_pages", 279, 239)),
    ),
    *_all(
        "large parts of the kernel that our drivers and runtimes do not need, with a history of vulnerabilities",
        *(("bpf", 321, 280), ("perf_event_open", 298, 241), ("userfaultfd", 323, 282)),
        *(("io_uring_setup", 425, 425), ("io_uring_enter", 426, 426), ("io_uring_register", 427, 427)),
        *(("modify_ldt", 154, None), ("lookup_dcookie", 212, 18), ("nfsservctl", 180, 42), ("uselib", 134, None)),
    ),
    *_all(
        "keys that the kernel holds for the user",
        *(("add_key", 248, 217), ("request_key", 249, 218), ("keyctl", 250, 219)),
    ),
    *_all(
        "another view of the file system, which would bypass confinement by path",
        *(("mount", 165, 40), ("umount2", 166, 39), ("pivot_root", 155, 41), ("chroot", 161, 51)),
        *(("open_tree", 428, 428), ("move_mount", 429, 429), ("fsopen", 430, 430), ("fsconfig", 431, 431)),
        *(("fsmount", 432, 432), ("fspick", 433, 433), ("mount_setattr", 442, 442), ("open_tree_attr", 467, 467)),
        *(("name_to_handle_at", 303, 264), ("open_by_handle_at", 304, 265), ("fanotify_init", 300, 262)),
    ),
    *_all(
        "namespaces: inside a user namespace of its own a process has every capability",
        *(("unshare", 272, 97), ("setns", 308, 268)),
    ),
    Denied("clone", 56, 220, "the same, for a new process", Condition(0, "any_bit", (_NAMESPACES,))),
    Denied("clone3", 435, 435, "no filter can read its flags in memory; libc then uses clone", None, errno.ENOSYS),
    *_all(
        "the machine: modules, kernels, clocks, names, swap, quotas, power, ports",
        *(("init_module", 175, 105), ("finit_module", 313, 273), ("delete_module", 176, 106)),
        *(("kexec_load", 246, 104), ("kexec_file_load", 320, 294), ("reboot", 169, 142), ("acct", 163, 89)),
        *(("swapon", 167, 224), ("swapoff", 168, 225), ("quotactl", 179, 60), ("quotactl_fd", 443, 443)),
        *(("settimeofday", 164, 170), ("clock_settime", 227, 112), ("sethostname", 170, 161)),
        *(("setdomainname", 171, 162), ("syslog", 103, 116), ("vhangup", 153, 58)),
        *(("iopl", 172, None), ("ioperm", 173, None)),
    ),
    Denied("ioctl", 16, 29, "types into a terminal on behalf of a person", Condition(1, "among", _TERMINAL_INPUT)),
)
"""Calls that neither a model nor a sensor needs."""

WITH_A_MODEL: tuple[Denied, ...] = (
    *_all("a message to another process", ("socketpair", 53, 199)),
    *_all(
        "memory and queues shared with other processes of the same user",
        *(("shmget", 29, 194), ("shmat", 30, 196), ("shmctl", 31, 195), ("semget", 64, 190), ("semop", 65, 193)),
        *(("semctl", 66, 191), ("semtimedop", 220, 192), ("msgget", 68, 186), ("msgsnd", 69, 189)),
        *(("msgrcv", 70, 188), ("msgctl", 71, 187), ("mq_open", 240, 180), ("mq_unlink", 241, 181)),
    ),
    *_all(
        "a signal to another process of the same user, such as the daemon; a hanging child ends by its own timer",
        *(("tkill", 200, 130), ("rt_sigqueueinfo", 129, 138), ("rt_tgsigqueueinfo", 297, 240)),
        ("pidfd_send_signal", 424, 424),
    ),
    Denied("kill", 62, 129, "a signal to another process", Condition(0, "except", _ITSELF)),
    Denied("tgkill", 234, 131, "a signal to another process", Condition(0, "except", (OWN_PID,))),
    Denied("fcntl", 72, 25, "a signal to any process when a pipe is written", Condition(1, "among", _SIGNAL_OTHERS)),
    *_all(
        "leaves the group of processes that the daemon ends together with it",
        *(("setsid", 112, 157), ("setpgid", 109, 154)),
    ),
    Denied(
        "prlimit64", 302, 261, "a limit of another process: one second of CPU ends it", Condition(0, "except", _ITSELF)
    ),
    Denied("setpriority", 141, 140, "the priority of another process", Condition(1, "except", _ITSELF)),
    *_all(
        "the processor time of other processes",
        *(("sched_setscheduler", 144, 119), ("sched_setparam", 142, 118), ("sched_setattr", 314, 274)),
        ("ioprio_set", 251, 30),
    ),
    *_all(
        "modes and owners of files, which Landlock does not protect: the same user owns the files of other models",
        *(("chmod", 90, None), ("fchmod", 91, 52), ("fchmodat", 268, 53), ("fchmodat2", 452, 452)),
        *(("chown", 92, None), ("fchown", 93, 55), ("lchown", 94, None), ("fchownat", 260, 54)),
        *(("setxattr", 188, 5), ("lsetxattr", 189, 6), ("fsetxattr", 190, 7), ("setxattrat", 463, 463)),
        *(("removexattr", 197, 14), ("lremovexattr", 198, 15), ("fremovexattr", 199, 16)),
        *(("removexattrat", 466, 466), ("file_setattr", 469, 469)),
    ),
    *_all("a device or a named pipe that another process opens", ("mknod", 133, None), ("mknodat", 259, 33)),
)
"""Further calls that a process gives up if it opens a model, an ``.npz`` or an order: it needs no communication."""


def sockets(families: Sequence[int]) -> Denied:
    """Return the rule that allows only sockets of these families."""
    return Denied("socket", 41, 198, "a way to the network, to the daemon and to other programs",
                  Condition(0, "except", tuple(families)))  # fmt: skip


def denied(*, model: bool, families: Sequence[int]) -> tuple[Denied, ...]:
    """Return the whole list for one process.

    Args:
        model: whether it opens foreign data.
        families: socket families that it may use (``AF_…``); empty: none.
    """
    return (sockets(families), *EVERY_PROCESS, *(WITH_A_MODEL if model else ()))
