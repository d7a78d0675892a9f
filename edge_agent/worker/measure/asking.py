"""Asks measurements: each in a fresh process, some of which are started ahead.

Most of a short measurement is its process's start. Several start as fast as one where there are several processors, so
where more will be asked for, as many as there are processors are started at once. They import and then wait: nobody
starts while another one measures, and each is a process of its own with memory laid out anew.
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
"""After this a process that is not ready is asked nevertheless, and its own time limit ends it."""
_STALE_S = 60.0
"""A process that has waited longer is not asked any more: its time limit began with its start."""
_SHORT_S = 2.0
"""Where a measurement takes longer than this, its start is no matter."""
_MOST_AHEAD = 4
_WAITING_BYTES = 64 << 20
"""What a process takes that waits: interpreter, numpy and a runtime."""
_MEMORY_SHARE = 8
"""Of the memory at hand, one part in so many may be waiting."""


def ask(request: Request) -> Answer:
    """Carry out ``request`` in a fresh process.

    Raises:
        ModelError: a model cannot be loaded or run.
        LimitError: ``out_of_memory`` or ``stage_timeout``.
        StageError: the process crashed; the message says how.
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
    return ChildLimits(timeout_s=TIMEOUT_S)  # memory: what limits this process limits its children


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
    """Processes for measurements that follow one on the other. Use as a context manager, from one thread."""

    def __init__(self) -> None:
        """None is started yet."""
        self._expected = 0
        self._at_once = at_once()
        self._waiting: list[_Waiting] = []

    def expect(self, count: int) -> None:
        """Say how many measurements will be asked for."""
        self._expected = count

    def ask(self, request: Request) -> Answer:
        """Carry out ``request`` in a process that was started for it or ahead of it; raises as :func:`ask`."""
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
    """How many processes may be started at once: one a processor, as far as there is memory."""
    room = worker_memory_bytes(0) // _MEMORY_SHARE // _WAITING_BYTES
    return min(len(os.sched_getaffinity(0)), _MOST_AHEAD, 1 + room)


class _Waiting:
    """A process that has been started, imports the runtimes, and waits for its request.

    Attributes:
        runtimes: their names.
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
        """Whether it has waited too long."""
        return time.monotonic() - self._started > _STALE_S

    def wait_until_ready(self) -> None:
        """Wait until it has imported the runtimes, or has ended."""
        select.select([self._ready_fd], [], [], _READY_S)

    def ask(self, request: Request) -> Answer:
        """Carry out ``request``."""
        give_back()
        with suppress(BrokenPipeError):  # it has ended; how, is told below
            left = memoryview(msgspec.json.encode(request))
            while left:
                left = left[os.write(self._request_fd, left) :]
        return _answer(self._end(), self._lines)

    def stop(self) -> None:
        """End it without a request: it finds none, as a process that may not send signals cannot end it otherwise."""
        self._end()

    def _end(self) -> ChildExit:
        os.close(self._request_fd)
        os.close(self._ready_fd)
        return self._child.wait()
