"""Runs one child process: its lines, its time limit, its memory limit, and how it ended.

Knows nothing of stages. A child gets its own session, so that ending it ends everything it started; its standard
output comes as lines, of its standard error the tail is kept. All of it happens in the thread that calls ``wait``:
``stop`` may be called from any other.

Invariants:
    * When ``wait`` returns or raises, no process of the child's group is alive and every descriptor is closed.
    * No output, however long or malformed, makes this process grow.
    * A child that ran out of memory is told from one that crashed.

Memory: a cgroup of the child's own where one is delegated, else ``RLIMIT_AS``, which counts address space; that
exceeds resident memory by some 100 MB for a process with numpy and onnxruntime, hence the slack.
"""

import contextlib
import math
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_agent.process import cgroup
from edge_agent.process.lines import Lines

EXIT_OUT_OF_MEMORY = 71
"""Exit code by which a Python child of ours says that it ended on ``MemoryError``."""
PARENT_VARIABLE = "EDGE_AGENT_PARENT"
"""Environment variable that tells a child of ours its parent's pid: it ends when that process does."""

_ADDRESS_SLACK = 256 * 1024**2
_GRACE_S = 5.0
"""From SIGTERM to SIGKILL."""
_TAIL_BYTES = 8 * 1024
_READ_BYTES = 64 * 1024
_DRAIN_BYTES = 4 * 1024**2
_PASSED_ON = (
    *("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH"),
    *("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"),
)
_OUT_OF_MEMORY_WORDS = ("MemoryError", "std::bad_alloc", "Cannot allocate memory", "Failed to allocate memory")

Reason = Literal["exited", "signaled", "timeout", "out_of_memory", "stopped"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use. ``timeout_s`` None: for ever; ``memory_bytes`` 0: no limit; ``nice``: added niceness."""

    timeout_s: float | None
    memory_bytes: int = 0
    nice: int = 0


@dataclass(frozen=True, slots=True)
class ChildExit:
    """How a child ended. ``signal`` is 0 unless one ended it; ``stderr_tail`` its last 8 KiB of standard error."""

    returncode: int
    reason: Reason
    signal: int
    stderr_tail: str
    seconds: float

    def describe(self) -> str:
        """How it died, with its last words; to follow a subject."""
        if self.signal:
            try:
                name = signal.Signals(self.signal).name
            except ValueError:  # a real-time signal
                name = f"signal {self.signal}"
            how = f"was killed by {name}"
        else:
            how = f"exited with {self.returncode} without saying how it ended"
        words = last_words(self.stderr_tail)
        return f"{how}: {words}" if words else how


def python_child(module: str, *arguments: str) -> list[str]:
    """The argv that runs ``module`` in this interpreter, with nothing importable from the working directory."""
    return [sys.executable, "-P", "-m", module, *arguments]


def worker_env() -> dict[str, str]:
    """The environment of a process that opens a model: a list of harmless variables and nothing else of ours."""
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    package_dir = Path(__file__).resolve().parents[2]
    if package_dir.name not in ("site-packages", "dist-packages"):
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(package_dir), env.get("PYTHONPATH"))))
    return env | {
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


class Child:
    """A running child process. Whoever makes one must call :meth:`wait`, which is also what enforces the limits.

    Make it in the thread that waits: the kernel tells a child of its parent's death when the *thread* that started it
    ends (``PR_SET_PDEATHSIG``, see :mod:`edge_agent.process.sandbox`).
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        limits: Limits,
        on_line: Callable[[str], None] | None = None,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        group_parent: Path | None = None,
    ) -> None:
        """Start ``argv``.

        Args:
            argv: program and arguments; never a shell.
            limits: see :class:`Limits`.
            on_line: called with each complete line of standard output, without its end, from the waiting thread.
            stdin: what the child reads on standard input.
            cwd: working directory; the root directory if None, so that no file there can matter.
            env: the environment; :func:`worker_env` if None.
            group_parent: a delegated cgroup directory (:func:`edge_agent.process.cgroup.delegated`).

        Raises:
            OSError: the program cannot be started, or its memory limit cannot be set.
        """
        self._limits = limits
        self._lines = Lines(on_line or _drop)
        self._tail = bytearray()
        self._lock = threading.Lock()
        self._stop_grace_s = _GRACE_S
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._oom_before = cgroup.oom_kills()
        self._group: cgroup.ChildGroup | None = None
        self._started = time.monotonic()
        try:
            with _memory_file(stdin) as stdin_fd:
                self._process = subprocess.Popen(
                    argv,
                    stdin=stdin_fd,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=cwd or "/",
                    env={**(worker_env() if env is None else env), PARENT_VARIABLE: str(os.getpid())},
                    start_new_session=True,
                )
        except BaseException:
            self._close_wake()
            raise
        self.pid = self._process.pid
        try:
            self._apply_limits(group_parent)
        except BaseException:
            self._end()
            raise

    def wait(self) -> ChildExit:
        """Read the child's output until it has ended or had to be ended; see the module's invariants.

        Whatever ``on_line`` raises ends the child and is raised here.
        """
        try:
            asked = self._watch()
            oom = self._oom_happened()
        finally:
            self._end()
        seconds = time.monotonic() - self._started
        returncode = self._process.returncode
        tail = self._tail.decode(errors="replace")
        number = -returncode if returncode < 0 else 0
        reason: Reason
        if asked is not None:
            reason = asked
        elif returncode != 0 and (oom or self._says_out_of_memory(returncode, tail)):
            reason = "out_of_memory"
        else:
            reason = "signaled" if number else "exited"
        return ChildExit(returncode, reason, number, tail, seconds)

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Ask the child to end: SIGTERM to its group, SIGKILL ``grace_s`` seconds later. Returns at once."""
        with self._lock:
            self._stop_grace_s = grace_s
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    # -- the waiting thread

    def _watch(self) -> Reason | None:
        """Read until the child itself has ended; returns why it was asked to, or None if it was not."""
        asked: Reason | None = None
        deadline = math.inf if self._limits.timeout_s is None else self._started + self._limits.timeout_s
        pid_fd = os.pidfd_open(self.pid)
        try:
            with selectors.DefaultSelector() as selector:
                for pipe in self._pipes():
                    os.set_blocking(pipe, False)
                    selector.register(pipe, selectors.EVENT_READ)
                selector.register(pid_fd, selectors.EVENT_READ)
                selector.register(self._wake_fd, selectors.EVENT_READ)
                while True:
                    ended = False
                    for key, _ in selector.select(_timeout(deadline)):
                        if key.fd == pid_fd:
                            ended = True
                        elif key.fd == self._wake_fd:
                            selector.unregister(key.fd)
                            asked = asked or "stopped"
                            deadline = self._terminate(self._stop_grace_s)
                        elif not self._read(key.fd):
                            selector.unregister(key.fd)
                    if ended:
                        return asked
                    if time.monotonic() < deadline:
                        continue
                    if asked is None:
                        asked = "timeout"
                        deadline = self._terminate(self._stop_grace_s)
                    else:
                        self._signal(signal.SIGKILL)
                        deadline = math.inf
        finally:
            os.close(pid_fd)

    def _terminate(self, grace_s: float) -> float:
        self._signal(signal.SIGTERM)
        return time.monotonic() + grace_s

    def _signal(self, number: signal.Signals) -> None:
        # The child is not reaped before _end, so its pid and group id cannot belong to anybody else.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _end(self) -> None:
        """Kill what is left of the group, take what is left in the pipes, reap, close."""
        self._signal(signal.SIGKILL)
        if self._group is not None:
            self._group.kill()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        try:
            for pipe in self._pipes():
                os.set_blocking(pipe, False)
                left = _DRAIN_BYTES
                while left > 0 and (taken := self._read(pipe, drain=True)):
                    left -= taken
        finally:
            self._process.wait()
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
            if self._group is not None:
                self._group.close()
            self._close_wake()

    def _pipes(self) -> list[int]:
        return [stream.fileno() for stream in (self._process.stdout, self._process.stderr) if stream is not None]

    def _read(self, pipe: int, *, drain: bool = False) -> int:
        """Take one piece of output; 0 at its end (with ``drain``: also when there is nothing more now)."""
        try:
            data = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            return 0 if drain else 1
        if self._process.stdout is not None and pipe == self._process.stdout.fileno():
            self._lines.add(data)
        else:
            self._tail += data
            del self._tail[:-_TAIL_BYTES]
        return len(data)

    # -- limits

    def _apply_limits(self, group_parent: Path | None) -> None:
        limits = self._limits
        if limits.nice:
            # An operator's seccomp filter may forbid it; the child then competes like any other.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PGRP, self.pid, os.getpriority(os.PRIO_PROCESS, 0) + limits.nice)
        if limits.memory_bytes <= 0:
            return
        if group_parent is not None:
            with contextlib.suppress(OSError):
                self._group = cgroup.ChildGroup(group_parent, self.pid, limits.memory_bytes)
        if self._group is None:
            _, hard = resource.prlimit(self.pid, resource.RLIMIT_AS)
            wanted = limits.memory_bytes + _ADDRESS_SLACK
            bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.prlimit(self.pid, resource.RLIMIT_AS, (bound, bound))

    def _oom_happened(self) -> bool:
        if self._group is not None:
            return self._group.oom_kills() > 0
        status = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        killed = status is not None and status.si_status == signal.SIGKILL and status.si_code == os.CLD_KILLED
        return killed and cgroup.oom_kills() > self._oom_before

    def _says_out_of_memory(self, returncode: int, tail: str) -> bool:
        if returncode == EXIT_OUT_OF_MEMORY:
            return True
        words = tail.rstrip().rpartition("\n")[2]
        return self._limits.memory_bytes > 0 and any(word in words for word in _OUT_OF_MEMORY_WORDS)

    def _close_wake(self) -> None:
        with self._lock:
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
                self._wake_fd = -1


def _timeout(deadline: float) -> float | None:
    """How long a selector may sleep."""
    return None if deadline == math.inf else max(deadline - time.monotonic(), 0.0)


def _drop(line: str) -> None:
    """Where lines go that nobody asked for."""


def last_words(stderr_tail: str) -> str:
    """The line of standard error that says most: the last one, but for a fatal error the one before its dump."""
    lines = [line.strip() for line in stderr_tail.splitlines() if line.strip()]
    fatal = [number for number, line in enumerate(lines) if line.startswith("Fatal Python error")]
    if fatal:  # what follows is the interpreter's dump of all threads
        lines = lines[: max(fatal[-1], 1)]
    return lines[-1][:300] if lines else ""


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    """A descriptor to read ``content`` from: unlike a pipe it never blocks the writer."""
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
