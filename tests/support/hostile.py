"""What a model that has taken over its worker may try: each act done for real, in a worker that has confined itself.

Run as a program with a :class:`Setting` in JSON. It makes a state folder with a release, a configuration and a job, a
daemon of the same user, and a worker whose stage is :func:`take_over`. The last line of its output says in JSON, for
each act, whether it could be done. The uid changes without a new program: the interpreter may lie where nobody else may
look.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import pty
import resource
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import TASK_FILE, Task, encode_task
from edge_agent.process import sandbox, seccomp
from edge_agent.process.system_calls import Denied
from edge_agent.worker import __main__ as worker
from support.unprivileged import open_folder

SERVICE, PERSON = 65534, 65533
_LIBC = ctypes.CDLL(None, use_errno=True)
_REFUSED = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, errno.EFBIG, errno.EAGAIN}
HIDDEN_LANDLOCK = Denied("landlock_create_ruleset", 444, 444, "as a kernel without Landlock", error=errno.ENOSYS)
_MORE_PROCESSES = 1500


@dataclass(frozen=True)
class Setting:
    """Where the worker runs: with the unit's user of its own or as a person, on a kernel with Landlock or without."""

    unit: bool
    landlock: bool


@dataclass(frozen=True)
class Surroundings:
    """What there is to attack, by names that a confined process can be given."""

    job: str
    release: str
    config: str
    home: str
    control: str
    device: str
    tcp: int
    udp: int
    daemon: int
    address: int


def calls(number: int, *arguments: int) -> None:
    """Make a system call by its number; raises ``OSError``."""
    if _LIBC.syscall(number, *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")


def _native(x86_64: int, arm64: int) -> int:
    return x86_64 if platform.machine() == "x86_64" else arm64


def _connect(family: int, kind: int, address: Any) -> None:
    with socket.socket(family, kind) as made:
        made.connect(address)
        made.send(b"x")


def _peek(there: Surroundings) -> None:
    with Path(f"/proc/{there.daemon}/mem").open("r+b", buffering=0) as memory:
        memory.seek(there.address)
        memory.write(b"x")


def _poke(there: Surroundings) -> None:
    number, word = _native(311, 271), ctypes.create_string_buffer(b"x")
    ours = (ctypes.c_ulong * 2)(ctypes.addressof(word), 1)
    theirs = (ctypes.c_ulong * 2)(there.address, 1)
    calls(number, there.daemon, ctypes.addressof(ours), 1, ctypes.addressof(theirs), 1, 0)


def _leave_group(_there: Surroundings) -> None:
    subprocess.run(["/bin/true"], start_new_session=True, check=True)


def _signal_by_pipe(there: Surroundings) -> None:
    read, write = os.pipe()
    fcntl.fcntl(read, fcntl.F_SETOWN, there.daemon)
    fcntl.fcntl(read, 10, signal.SIGURG)  # F_SETSIG
    os.close(read)
    os.close(write)


def _other_abi(_there: Surroundings) -> None:
    """Make a call of the 32-bit ABI, which has other numbers; in a child, as it may end the process."""
    if platform.machine() != "x86_64":
        raise PermissionError(errno.EPERM, "there is no such code for this processor here")
    child = os.fork()
    if child == 0:
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
        function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
        os._exit(0 if function() == os.getpid() else 1)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise PermissionError(errno.EPERM, "ended")


def _fork_without_end(_there: Surroundings) -> None:
    read, write = os.pipe()
    children = []
    try:
        for _ in range(_MORE_PROCESSES):
            child = os.fork()
            if child == 0:
                os.close(write)
                os.read(read, 1)
                os._exit(0)
            children.append(child)
    finally:
        os.close(write)
        os.close(read)
        for child in children:
            os.waitpid(child, 0)


def _endless_file(there: Surroundings) -> None:
    path = Path(there.job) / "endless"
    try:
        with path.open("wb") as file:
            file.truncate(1 << 43)
    finally:
        path.unlink()


ACTS: Mapping[str, Callable[[Surroundings], object]] = {
    "write another model's release": lambda there: Path(there.release).open("ab").close(),
    "take all rights from it": lambda there: Path(there.release).chmod(0),
    "read the configuration, keys, other jobs' data": lambda there: Path(there.config).read_bytes(),
    "write into a person's home": lambda there: Path(there.home).open("ab").close(),
    "write to a device": lambda there: Path(there.device).open("wb", buffering=0).close(),
    "connect by TCP": lambda there: _connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", there.tcp)),
    "send by UDP": lambda there: _connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", there.udp)),
    "ask the daemon (`control.sock`)": lambda there: _connect(socket.AF_UNIX, socket.SOCK_STREAM, there.control),
    "write the daemon's memory (`/proc/PID/mem`)": _peek,
    "the same by `process_vm_writev`": _poke,
    "debug the daemon (`ptrace`)": lambda there: calls(_native(101, 117), 0x4206, there.daemon, 0, 0),
    "send the daemon a signal": lambda there: os.kill(there.daemon, signal.SIGURG),
    "the same by `fcntl`": _signal_by_pipe,
    "limit the daemon's processor time": lambda there: resource.prlimit(there.daemon, resource.RLIMIT_CPU, (60, 60)),
    "leave its process group, and outlive its limit": _leave_group,
    "become root in a user namespace": lambda _there: calls(_native(272, 97), 0x1000_0000),
    "mount": lambda _there: calls(_native(165, 40), 0, 0, 0, 0, 0),
    "`io_uring`": lambda _there: calls(425, 1, 0),
    "`bpf`": lambda _there: calls(_native(321, 280), 0, 0, 0),
    "`userfaultfd`": lambda _there: calls(_native(323, 282), 1),
    "`perf_event_open`": lambda _there: calls(_native(298, 241), 0, 0, -1, -1, 0),
    "`keyctl`": lambda _there: calls(_native(250, 219), 0, -3, 1),
    "share memory (System V)": lambda _there: calls(_native(29, 194), 0, 4096, 0o1600),
    "calls of the 32-bit ABI": _other_abi,
    "start processes without end": _fork_without_end,
    "write a file larger than the disk": _endless_file,
}


def possible(act: Callable[[Surroundings], object], there: Surroundings) -> bool:
    """Whether an act can be done; a call that is let in and then finds its arguments senseless counts, too."""
    try:
        act(there)
    except OSError as error:
        return error.errno not in _REFUSED
    return True


def _become(uid: int) -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        _LIBC.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: as after a new program was started, which makes it so


def _serve_memory(uid: int, answer: int) -> None:
    """Be the daemon: say where there is memory to write to, and wait for the end."""
    _become(uid)
    sandbox.close_memory()
    word = ctypes.create_string_buffer(b"daemon")
    os.write(answer, str(ctypes.addressof(word)).encode() + b"\n")
    signal.pause()


def _work(uid: int, there: Surroundings, answer: int) -> int:
    """Be the worker, whose model takes over as soon as its stage runs."""
    _become(uid)

    def take_over(_context: object) -> Outcome:
        done = {name: possible(act, there) for name, act in ACTS.items()}
        os.write(answer, json.dumps(done).encode())
        return Outcome()

    stage = types.ModuleType("edge_agent.worker.stages.quantize")
    stage.run = take_over  # type: ignore[attr-defined]  # as a stage has it
    sys.modules[stage.__name__] = stage
    return worker.main(["quantize", there.job])


@contextlib.contextmanager
def _child(work: Callable[[int], object]) -> Iterator[tuple[int, int]]:
    """A forked process that does ``work`` with a pipe to answer by: its pid, and the pipe's other end."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work(write)
        finally:
            os._exit(1)
    os.close(write)
    try:
        yield pid, read
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)


def _read_all(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 65536), b""))


def _give(uid: int, *paths: Path) -> None:
    for path in paths:
        if os.getuid() == 0:
            os.chown(path, uid, uid)


def attack(setting: Setting, root: Path) -> dict[str, bool]:
    """Everything of :data:`ACTS` in one setting; ``root`` is an empty folder that anybody may enter."""
    person = PERSON if setting.unit else SERVICE
    state, job, home = root / "state", root / "state/jobs/j", root / "home"
    release, config, secret = state / "models/m/model.onnx", root / "config.toml", home / "secret"
    for folder in (job, release.parent, home):
        folder.mkdir(parents=True)
    for file in (release, config, secret):
        file.write_bytes(b"x")
    (job / TASK_FILE).write_bytes(encode_task(Task(job="j", name="m", version=1, format="onnx", model="model.onnx")))
    master, slave = pty.openpty()
    device = Path(os.ttyname(slave))
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_UNIX) as control:
            control.bind(str(state / "control.sock"))
            control.listen()
            mine = [state, *state.rglob("*"), config, device]
            _give(SERVICE, *mine)
            _give(person, home, secret)
            home.chmod(0o700)
            with _child(lambda answer: _serve_memory(SERVICE, answer)) as (daemon, said):
                there = Surroundings(
                    job=str(job), release=str(release), config=str(config), home=str(secret),
                    control=str(state / "control.sock"), device=str(device), tcp=tcp.getsockname()[1],
                    udp=udp.getsockname()[1], daemon=daemon, address=int(os.read(said, 64)),
                )  # fmt: skip
                with _child(lambda answer: _work(SERVICE, there, answer)) as (_, told):
                    answered = _read_all(told)
    os.close(master)
    os.close(slave)
    found: dict[str, bool] = json.loads(answered)
    return found


def run(setting: Setting) -> dict[str, bool]:
    """The same in a process of its own."""
    argv = [sys.executable, __file__, json.dumps(asdict(setting))]
    paths = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, bool] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str]) -> int:
    """Attack in one setting, and print what could be done."""
    setting = Setting(**json.loads(arguments[0]))
    if not setting.landlock:
        _LIBC.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        seccomp.install(seccomp.program((HIDDEN_LANDLOCK,), os.uname().machine, os.getpid()))
    with open_folder() as root:
        done = attack(setting, root)
    sys.stdout.write(json.dumps(done) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
