"""What a model that has taken over its worker may try: each act done for real, in a worker that has confined itself.

Run as a program with a :class:`Setting` in JSON. It makes a state folder with a release, a configuration and a job, a
daemon of the same user, and a worker whose stage is :func:`take_over`. The last line of its output says in JSON, for
each act, whether it could be done. The uid changes without a new program: the interpreter may lie where nobody else may
look.
"""

import contextlib
import ctypes
import errno
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import TASK_FILE, Task, encode_task
from edge_agent.process import sandbox, seccomp
from edge_agent.process.system_calls import Denied
from edge_agent.worker import __main__ as worker
from support.acts import ACTS, Surroundings, possible
from support.unprivileged import open_folder

SERVICE, PERSON = 65534, 65533
_LIBC = ctypes.CDLL(None, use_errno=True)
HIDDEN_LANDLOCK = Denied("landlock_create_ruleset", 444, 444, "as a kernel without Landlock", error=errno.ENOSYS)


@dataclass(frozen=True)
class Setting:
    """Where the worker runs: with the unit's user of its own or as a person, on a kernel with Landlock or without."""

    unit: bool
    landlock: bool


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
