"""Wakes a thread that waits in ``poll``, from any other thread."""

import contextlib
import socket
from types import TracebackType
from typing import Protocol, Self


class Wakes(Protocol):
    """An object that can wake the serving thread."""

    def wake(self) -> None:
        """Signal that there is something to write."""


class Waker:
    """A pair of sockets: the waiting thread polls :meth:`fileno` and calls :meth:`heard`. Use it in a ``with``."""

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
        """Wake the waiting thread, if there is one."""
        if self._write is not None:
            with contextlib.suppress(OSError):  # full: the thread will wake; closed: it has ended
                self._write.send(b"\0")

    def fileno(self) -> int:
        """Return the descriptor that becomes readable once :meth:`wake` is called."""
        if self._read is None:
            raise RuntimeError("a waker is open only within a with statement")
        return self._read.fileno()

    def heard(self) -> None:
        """Consume the wake-up, to be ready for the next one."""
        if self._read is not None:
            self._read.recv(4096)
