"""Runs measurements: each in a fresh process, some of which are started ahead.

The start of the process dominates a short measurement. With several processors, several processes start as fast as one.
When the caller expects more measurements, one process per processor is therefore started at once. Each process imports
the runtimes and then waits. No process starts while another one measures, and each has a fresh memory layout.
"""

import os
import select
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from edge_agent.device.memory import worker_memory_bytes
from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.process.child import Child
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.heap import give_back
from edge_agent.process.program import python_child
from edge_agent.worker.measure.question import TIMEOUT_S, Answer, Request

_PROBE = "edge_agent.worker.measure.probe"
_READY_S = 60.0
"""A process that is not ready after this still gets its request; its own time limit ends it."""
_STALE_S = 60.0
"""A process that has waited longer gets no request: its time limit began when it started."""
_SHORT_S = 2.0
"""For a measurement longer than this, the start of the process does not matter."""
_MOST_AHEAD = 4
_WAITING_BYTES = 64 << 20
"""Memory of a waiting probe process: interpreter, numpy and a runtime."""
_MEMORY_SHARE = 8
"""Waiting processes may use the available memory divided by this."""


def ask(request: Request) -> Answer:
    """Carry out ``request`` in a fresh process.

    Raises:
        ModelError: a model cannot be loaded or run.
        LimitError: ``out_of_memory`` or ``stage_timeout``.
        StageError: the process crashed; the message names the exit code or the signal.
    """
    lines: list[str] = []
    give_back()  # both processes share a limit
    child = Child(
        python_child(_PROBE),
        limits=_limits(),
        on_line=lines.append,
        stdin=msgspec.json.encode(request),
        own_group=False,
    )
    return _answer(child.wait(), lines)


def _limits() -> ChildLimits:
    return ChildLimits(timeout_s=TIMEOUT_S)  # the memory limit of this process also covers its children


def _answer(ended: ChildExit, lines: list[str]) -> Answer:
    if ended.reason == "out_of_memory":
        raise LimitError("out_of_memory", "the models do not fit into the memory that a measurement may use")
    if ended.reason == "timeout":
        raise LimitError("stage_timeout", f"a measurement took longer than {TIMEOUT_S:g} s")
    if not lines:
        raise StageError("stage_crashed", f"a measurement {ended.describe()}")
    answer = msgspec.json.decode(lines[-1], type=Answer)
    if answer.code:
        raise ModelError(answer.code, answer.message)
    return answer


class Probes:
    """Processes for consecutive measurements. Use as a context manager, from one thread."""

    def __init__(self) -> None:
        """Start no process yet."""
        self._expected = 0
        self._at_once = at_once()
        self._waiting: list[_Waiting] = []

    def expect(self, count: int) -> None:
        """Announce how many measurements will follow."""
        self._expected = count

    def ask(self, request: Request) -> Answer:
        """Carry out ``request`` in a new process or in one that was started ahead. Raises the errors of :func:`ask`."""
        count = min(self._expected, self._at_once)
        self._expected -= 1
        runtimes = frozenset(model.runtime for model in request.models)
        if not self._waiting and count > 1:
            give_back()
            for _ in range(count):
                self._waiting.append(_Waiting(runtimes))
            for one in self._waiting:
                one.wait_until_ready()
        while alike := [one for one in self._waiting if one.runtimes == runtimes]:  # another runtime takes memory
            first = alike[0]
            self._waiting.remove(first)
            if first.stale:
                first.stop()
                continue
            begun = time.monotonic()
            answer = first.ask(request)
            if time.monotonic() - begun > _SHORT_S:
                self._at_once = 1
            return answer
        return ask(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._waiting:
            one.stop()


def at_once() -> int:
    """The number of processes that may start at once: one per processor, as far as memory allows."""
    room = worker_memory_bytes(0) // _MEMORY_SHARE // _WAITING_BYTES
    return min(len(os.sched_getaffinity(0)), _MOST_AHEAD, 1 + room)


class _Waiting:
    """A started process that imports the runtimes and waits for its request.

    Attributes:
        runtimes: the names of the runtimes that it imports.
    """

    def __init__(self, runtimes: frozenset[str]) -> None:
        self.runtimes = runtimes
        self._lines: list[str] = []
        self._started = time.monotonic()
        theirs, self._request_fd = os.pipe()
        self._ready_fd, ready = os.pipe()
        try:
            self._child = Child(
                python_child(_PROBE, str(theirs), str(ready), *sorted(runtimes)),
                limits=_limits(),
                on_line=self._lines.append,
                pass_fds=(theirs, ready),
                own_group=False,
            )
        except BaseException:
            os.close(self._request_fd)
            os.close(self._ready_fd)
            raise
        finally:
            os.close(theirs)
            os.close(ready)

    @property
    def stale(self) -> bool:
        """Whether the process has waited too long."""
        return time.monotonic() - self._started > _STALE_S

    def wait_until_ready(self) -> None:
        """Wait until the process has imported the runtimes or has ended."""
        select.select([self._ready_fd], [], [], _READY_S)

    def ask(self, request: Request) -> Answer:
        """Carry out ``request``."""
        give_back()
        with suppress(BrokenPipeError):  # the process has ended; _answer reports how
            left = memoryview(msgspec.json.encode(request))
            while left:
                left = left[os.write(self._request_fd, left) :]
        return _answer(self._end(), self._lines)

    def stop(self) -> None:
        """End the process by closing its request pipe, because a confined parent may not send signals."""
        self._end()

    def _end(self) -> ChildExit:
        os.close(self._request_fd)
        os.close(self._ready_fd)
        return self._child.wait()
