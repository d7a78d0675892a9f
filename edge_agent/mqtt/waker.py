"""Wakes a thread that waits in ``poll``, from any other thread."""

import contextlib
import socket
from types import TracebackType
from typing import Protocol, Self


class Wakes(Protocol):
    """Whoever is told that there is something to write."""

    def wake(self) -> None:
        """There is something to write."""


class Waker:
    """A pair of sockets: the waiting thread polls :meth:`fileno` and calls :meth:`heard`. Open within ``with``."""

    def __init__(self) -> None:
        self._read: socket.socket | None = None
        self._write: socket.socket | None = None

    def __enter__(self) -> Self:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end in (self._read, self._write):
            if end is not None:
                end.close()

    def wake(self) -> None:
        """Wake the thread; nothing happens while none waits."""
        if self._write is not None:
            with contextlib.suppress(OSError):  # full: it will wake; closed: it has ended
                self._write.send(b"\0")

    def fileno(self) -> int:
        """What is readable once :meth:`wake` was called."""
        if self._read is None:
            raise RuntimeError("a waker is open within a with statement only")
        return self._read.fileno()

    def heard(self) -> None:
        """Be ready for the next call of :meth:`wake`."""
        if self._read is not None:
            self._read.recv(4096)
