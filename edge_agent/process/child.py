"""Runs one child process: reads its output, enforces its time and memory limits, and reports how it ended.

It knows nothing of stages. A child gets its own session, so that killing the session ends everything it started. Its
standard output is read as lines; the tail of its standard error is stored. All of this happens in the thread that calls
``wait``; any other thread may call ``stop``.

Invariants:
    * When ``wait`` returns or raises, no process of the child's group is alive and every descriptor is closed. If this
      process adopts (:mod:`edge_agent.process.strays`), processes that left a confined child's group have ended, too.
    * No output, however long or malformed, makes this process grow.
    * A child that ran out of memory is distinguished from one that crashed.
"""

import contextlib
import math
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from edge_agent.process import strays
from edge_agent.process.child_exit import ChildExit, Reason, reports_out_of_memory
from edge_agent.process.child_limits import ChildLimits, MemoryGuard, renice
from edge_agent.process.lines import Lines
from edge_agent.process.program import PARENT_VARIABLE, worker_env

_GRACE_S = 5.0
"""From SIGTERM to SIGKILL."""
_TAIL_BYTES = 8 * 1024
_READ_BYTES = 64 * 1024
_DRAIN_BYTES = 4 * 1024**2


class Child:
    """A running child process. Its creator must call :meth:`wait`, which also enforces the limits.

    Create it in the thread that waits: the kernel signals a parent's death to the child when the *thread* that started
    it ends (``PR_SET_PDEATHSIG``, see :mod:`edge_agent.process.sandbox`).
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        limits: ChildLimits,
        on_line: Callable[[str], None] | None = None,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        group_parent: Path | None = None,
        pass_fds: Sequence[int] = (),
        own_group: bool = True,
    ) -> None:
        """Start ``argv``.

        Args:
            argv: program and arguments; never a shell.
            limits: see :class:`ChildLimits`.
            on_line: called with each complete line of standard output, without its end, from the waiting thread.
            stdin: the child's standard input.
            cwd: working directory; the root directory if None, so that no file there can have an effect.
            env: the environment; :func:`edge_agent.process.program.worker_env` if None.
            group_parent: a delegated cgroup directory (:func:`edge_agent.process.cgroup.delegated`).
            pass_fds: descriptors that the child inherits under the same numbers.
            own_group: False: the child stays in this process's group, and ends with it. A confined process can neither
                create groups nor send signals, so its children must enforce their own time limits.

        Raises:
            OSError: the program cannot be started, or its memory limit cannot be set.
        """
        self._limits = limits
        self._own_group = own_group
        self._lines = Lines(on_line or _drop)
        self._tail = bytearray()
        self._lock = threading.Lock()
        self._stop_grace_s = _GRACE_S
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._memory = MemoryGuard(limits, group_parent)
        self._started = self._heard = time.monotonic()
        try:
            with _memory_file(stdin) as stdin_fd, strays.starting() as own:
                self._process = subprocess.Popen(
                    argv,
                    stdin=stdin_fd,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=cwd or "/",
                    env={**(worker_env() if env is None else env), PARENT_VARIABLE: str(os.getpid())},
                    start_new_session=own_group,
                    pass_fds=pass_fds,
                )
                own.add(self._process.pid)
        except BaseException:
            self._close_wake()
            raise
        self.pid = self._process.pid
        try:
            renice(self.pid, limits)
            self._memory.apply(self.pid)
        except BaseException:
            self._end()
            raise

    def wait(self) -> ChildExit:
        """Read the child's output until it ends or is killed; see the module's invariants.

        An exception of ``on_line`` kills the child and is raised here.
        """
        try:
            asked = self._watch()
            killed_for_memory = self._memory.killed(self.pid)
        finally:
            self._end()
        seconds = time.monotonic() - self._started
        returncode = self._process.returncode
        tail = self._tail.decode(errors="replace")
        number = -returncode if returncode < 0 else 0
        reason: Reason
        if asked is not None:
            reason = asked
        elif returncode != 0 and (
            killed_for_memory or reports_out_of_memory(returncode, tail, limited=self._limits.memory_bytes > 0)
        ):
            reason = "out_of_memory"
        else:
            reason = "signaled" if number else "exited"
        return ChildExit(returncode, reason, number, tail, seconds)

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Stop the child: SIGTERM to its group, SIGKILL ``grace_s`` seconds later. Returns at once."""
        with self._lock:
            self._stop_grace_s = grace_s
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    # -- the waiting thread

    def _watch(self) -> Reason | None:
        """Read until the child has ended; return why it was stopped, or None if it was not."""
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
                    for key, _ in selector.select(_timeout(self._due(deadline, asked))):
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
                    if time.monotonic() < self._due(deadline, asked):
                        continue
                    if asked is None:
                        asked = "timeout"
                        deadline = self._terminate(self._stop_grace_s)
                    else:
                        self._signal(signal.SIGKILL)
                        deadline = math.inf
        finally:
            os.close(pid_fd)

    def _due(self, deadline: float, asked: Reason | None) -> float:
        """Return when to stop the child: at ``deadline``, or earlier if it has been quiet for too long."""
        quiet_s = self._limits.quiet_s
        return deadline if asked or quiet_s is None else min(deadline, self._heard + quiet_s)

    def _terminate(self, grace_s: float) -> float:
        self._signal(signal.SIGTERM)
        return time.monotonic() + grace_s

    def _signal(self, number: signal.Signals) -> None:
        # The child is not reaped before _end, so no other process can have its pid or group id.
        with contextlib.suppress(ProcessLookupError):
            if self._own_group:
                os.killpg(self.pid, number)
            else:
                with contextlib.suppress(PermissionError):
                    os.kill(self.pid, number)

    def _end(self) -> None:
        """Kill the rest of the group, read the rest of the pipes, reap, close."""
        self._signal(signal.SIGKILL)
        self._memory.kill_group()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        try:
            for pipe in self._pipes():
                os.set_blocking(pipe, False)
                left = _DRAIN_BYTES
                while left > 0 and (taken := self._read(pipe, drain=True)):
                    left -= taken
        finally:
            self._process.wait()
            strays.end(self.pid)
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
            self._memory.close()
            self._close_wake()

    def _pipes(self) -> list[int]:
        return [stream.fileno() for stream in (self._process.stdout, self._process.stderr) if stream is not None]

    def _read(self, pipe: int, *, drain: bool = False) -> int:
        """Read one piece of output; 0 at its end (with ``drain``: also when nothing more is available)."""
        try:
            data = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            return 0 if drain else 1
        if self._process.stdout is not None and pipe == self._process.stdout.fileno():
            self._heard = time.monotonic()
            self._lines.add(data)
        else:
            self._tail += data
            del self._tail[:-_TAIL_BYTES]
        return len(data)

    def _close_wake(self) -> None:
        with self._lock:
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
                self._wake_fd = -1


def _timeout(deadline: float) -> float | None:
    """Return how long a selector may sleep."""
    return None if deadline == math.inf else max(deadline - time.monotonic(), 0.0)


def _drop(line: str) -> None:
    """Ignore a line."""


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    """Yield a descriptor to read ``content`` from: unlike a pipe it never blocks the writer."""
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
