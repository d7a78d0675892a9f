"""Read a shared sensor: a :class:`edge_agent.sources.Source` over the socket of its process.

A reader can only read samples, and cannot disturb other readers: if it is too slow it loses samples, which interrupts
only its own stream. When the process restarts, reading resumes.
"""

import contextlib
import math
import os
import select
import socket
import time
from collections import deque
from pathlib import Path
from typing import NoReturn

from edge_agent.acquisition.arrivals import Arrivals
from edge_agent.acquisition.reconnect import Retry
from edge_agent.advice.permission import not_permitted
from edge_agent.errors import CODES, SourceError
from edge_agent.process.unix_address import short_address
from edge_agent.sensing.frames import Batch, Decoder, Frame, Hello, Samples, State
from edge_agent.settings.sharing import SOCKET_NAME

_OPEN_WITHIN_S = 10.0
_READ_BYTES = 1 << 20
_GONE = (FileNotFoundError, ConnectionRefusedError)
_NOT_RUNNING = State(trouble="its process is not running; see edge-agent status")
_BUSY = State(trouble="its process is busy; see edge-agent status")


class Subscription:
    """A reader's view of a shared sensor. Created by :func:`subscribe`.

    Attributes:
        lost: number of samples that this reader was too slow for.
        time_s: time of the first sample of the last read, seconds since the epoch.
    """

    live = True
    window_size = 0
    length = 0
    repeats = False

    def __init__(self, name: str, folder: Path, *, open_within_s: float) -> None:
        self._name = name
        self._path = folder / SOCKET_NAME
        self._retry = Retry()
        self._socket: socket.socket | None = None
        self._decoder = Decoder()
        self._frames: deque[Frame] = deque()
        self._state = _NOT_RUNNING
        self._malformed_before: int | None = None
        self._follows = False
        self.malformed = self.gaps = self.lost = 0
        self.time_s = 0.0
        self._hello = hello = self._meet(open_within_s)
        self.channels = hello.channels
        self.rate_hz = hello.rate_hz
        self.rate_said_by = hello.rate_said_by
        self.silence_s = hello.silence_s
        self.frame_shape = hello.frame_shape
        self.arrivals = Arrivals(hello.rate_hz)

    @property
    def trouble(self) -> str:
        """The reason why no samples arrive, if the source's process knows it."""
        return self._state.trouble

    @property
    def malformed_example(self) -> str:
        """A malformed sample, and its fault, from the source's process; empty if it shows none."""
        return self._state.malformed_example

    def read(self, timeout_s: float) -> Samples | None:
        """Return the next consecutive samples; wait at most ``timeout_s`` for some.

        Raises:
            SourceError: ``source_lost``: the sensor's channels, shape or rate have changed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            while self._frames:
                frame = self._frames.popleft()
                if isinstance(frame, Batch):
                    return self._take(frame)
                self._note(frame)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._receive(left)

    def close(self) -> None:
        """Stop reading; may be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _take(self, batch: Batch) -> Samples:
        if self._malformed_before is None:
            self._malformed_before = batch.malformed
        self.malformed = max(self.malformed, batch.malformed - self._malformed_before)
        if batch.gap and self._follows:
            self.gaps += 1
            self.arrivals.interrupt()
        self._follows = True
        self.lost += batch.lost
        self.time_s = batch.time_s
        self.arrivals.hear(len(batch.samples), batch.heard_s)
        return batch.samples

    def _note(self, frame: Hello | State) -> None:
        if isinstance(frame, State):
            self._state = frame
        elif (frame.channels, frame.frame_shape, frame.rate_hz) != (self.channels, self.frame_shape, self.rate_hz):
            raise SourceError(
                "source_lost", f"source {self._name!r} has changed its channels, shape or rate; start again"
            )

    def _receive(self, timeout_s: float) -> None:
        """Receive available frames; reconnect if the process has ended."""
        if self._socket is None:
            if self._retry.due(timeout_s):
                self._connect()
            return
        poller = select.poll()  # select() fails in a program with more than 1023 open files
        poller.register(self._socket, select.POLLIN)
        if not poller.poll(math.ceil(timeout_s * 1000)):
            return
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError:
            data = b""
        if data:
            self._frames.extend(self._decoder.feed(data))
        else:
            self._lose()

    def _lose(self) -> None:
        self.close()
        if not self._state.code:  # else the state has the reason
            self._state = _NOT_RUNNING
        self._decoder = Decoder()
        self._malformed_before = None
        if self._follows:
            self._follows = False
            self.gaps += 1
            self.arrivals.interrupt()

    def _connect(self) -> bool:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)  # else connect() would wait while the process accepts others
        try:
            with short_address(self._path) as address:
                connection.connect(address)
            connection.setblocking(True)
        except PermissionError:
            connection.close()
            raise SourceError("source_unavailable", not_permitted(self._path, mode=os.W_OK)) from None
        except OSError as error:
            connection.close()
            self._state = _BUSY if isinstance(error, BlockingIOError) else _NOT_RUNNING
            return False
        self._state = State()
        self._socket = connection
        return True

    def _meet(self, within_s: float) -> Hello:
        """Wait for the hello; raise ``SourceError`` after ``within_s``, or if the sensor cannot be opened."""
        deadline = time.monotonic() + within_s
        while True:
            while self._frames:
                frame = self._frames.popleft()
                if isinstance(frame, Hello):
                    return frame
                if isinstance(frame, State):
                    self._state = frame
            left = deadline - time.monotonic()
            if left <= 0 or self._state.code:
                self._give_up()
            self._receive(left)

    def _give_up(self) -> NoReturn:
        reason = self._state.trouble or "its process has not opened it yet"
        self.close()
        if self._state.code in CODES:
            raise SourceError(self._state.code, reason)
        raise SourceError("source_unavailable", f"source {self._name!r} does not answer: {reason}")


def subscribe(name: str, folder: Path, *, open_within_s: float = _OPEN_WITHIN_S) -> Subscription:
    """Read the shared sensor ``name`` whose process uses ``folder``.

    Raises:
        SourceError: the reason why its process cannot open it; ``source_unavailable`` if there is no process, or no
            permission.
    """
    return Subscription(name, folder, open_within_s=open_within_s)


def is_served(folder: Path) -> bool:
    """Return whether a process serves the shared sensor of ``folder``; a socket without permission counts, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(*_GONE):
        probe.setblocking(False)
        try:
            with short_address(folder / SOCKET_NAME) as address:
                probe.connect(address)
        except (PermissionError, BlockingIOError):  # no permission, or busy with others
            return True
        return True
    return False
