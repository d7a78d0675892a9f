"""The socket from which others read a sensor. One thread with ``selectors``; no reader can block it.

A reader receives a hello and then all batches; the kernel refuses anything that it sends. The file's mode decides who
may connect: the service's user and the members of its group.
"""

import contextlib
import os
import select
import selectors
import socket
import struct
from pathlib import Path

from edge_agent.process.unix_address import short_address
from edge_agent.sensing.frames import Batch, Hello, State, encode_json
from edge_agent.sensing.outbox import Outbox, Parcel

MAX_READERS = 32
_MODE = 0o660
_WAITING_BYTES, _WAITING_S = 4 << 20, 2.0
"""Limit of the queue for one reader: the larger of the two. A capture may be blocked by a slow disk for some time."""
_SEND_BUFFER_BYTES = 1 << 20
_TOO_MANY = State(code="source_busy", trouble=f"too many readers: {MAX_READERS} are connected already")


class Server:
    """Distributes batches to the readers. Used by one thread, except :meth:`wake`."""

    def __init__(self, path: Path) -> None:
        """Listen on ``path``; raise ``OSError``."""
        self._hello: Hello | None = None
        self._state: State | None = None
        self._limit = _WAITING_BYTES
        self._readers: dict[socket.socket, Outbox] = {}
        self._gone = 0
        """Number of samples lost by readers that have disconnected."""
        self._selector = selectors.DefaultSelector()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake_fd, selectors.EVENT_READ)
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        with short_address(path) as address:
            self._listener.bind(address)
        path.chmod(_MODE)
        self._listener.listen(8)
        self._selector.register(self._listener, selectors.EVENT_READ)

    @property
    def readers(self) -> int:
        """Number of connected readers; one that has disconnected is noticed at the next batch."""
        return len(self._readers)

    @property
    def dropped(self) -> int:
        """Number of samples lost by readers that were too slow."""
        return self._gone + sum(outbox.dropped for outbox in self._readers.values())

    def wake(self) -> None:
        """End the wait in :meth:`step`; from any thread, or a signal handler."""
        if (wake_fd := self._wake_fd) >= 0:  # a driver that hung may return after the end
            with contextlib.suppress(OSError):
                os.eventfd_write(wake_fd, 1)

    def step(self, timeout_s: float) -> None:
        """Wait at most ``timeout_s`` for events, and handle them."""
        for key, _ in self._selector.select(timeout_s):
            if key.fd == self._wake_fd:
                os.eventfd_read(self._wake_fd)
            elif key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._readers:  # else it was just swept
                self._send(key.fileobj)

    def greet(self, hello: Hello) -> None:
        """Send the hello of an opened source to all readers."""
        self._hello = hello
        sample_bytes = hello.dtype.itemsize
        for size in hello.sample_shape:
            sample_bytes *= size
        self._limit = max(_WAITING_BYTES, int(_WAITING_S * hello.rate_hz) * sample_bytes)
        for connection, outbox in list(self._readers.items()):
            outbox.greet(hello)
            self._send(connection)

    def tell(self, state: State) -> None:
        """Send a state to all readers, unless it is unchanged."""
        if state == self._state:
            return
        self._state = state
        for connection, outbox in list(self._readers.items()):
            outbox.tell(state)
            self._send(connection)

    def give(self, batch: Batch) -> None:
        """Send a batch to all readers."""
        if not self._readers:
            return
        parcel = Parcel(batch, batch.samples.tobytes())
        for connection, outbox in list(self._readers.items()):
            outbox.put(parcel)
            self._send(connection)

    def close(self) -> None:
        """Disconnect all readers and stop listening. The socket file stays: the next process may own it already."""
        for connection in list(self._readers):
            self._drop(connection)
        self._listener.close()
        self._selector.close()
        wake_fd, self._wake_fd = self._wake_fd, -1
        os.close(wake_fd)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it has already disconnected
            return
        connection.setblocking(False)
        if len(self._readers) >= MAX_READERS:
            self._sweep()
        if len(self._readers) >= MAX_READERS:
            with contextlib.suppress(OSError):
                connection.send(encode_json(_TOO_MANY))
            connection.close()
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        connection.shutdown(socket.SHUT_RD)
        outbox = self._readers[connection] = Outbox(self._limit)
        if self._hello is not None:
            outbox.greet(self._hello)
        if self._state is not None:
            outbox.tell(self._state)
        self._send(connection)

    def _sweep(self) -> None:
        """Drop readers that have disconnected, which is not noticed while nothing is sent."""
        poller = select.poll()
        by_fd = {connection.fileno(): connection for connection in self._readers}
        for fd in by_fd:
            poller.register(fd, 0)  # POLLHUP is always reported
        for fd, _ in poller.poll(0):
            self._drop(by_fd[fd])

    def _send(self, connection: socket.socket) -> None:
        """Send as much as the kernel accepts now; the rest when the socket is writable again."""
        outbox = self._readers[connection]
        try:
            while (data := outbox.next()) is not None:
                outbox.sent(connection.send(data))
        except BlockingIOError:
            self._want(connection, writable=True)
        except (OSError, struct.error):  # it has disconnected, or its frame cannot be encoded: other readers go on
            self._drop(connection)
        else:
            self._want(connection, writable=False)

    def _want(self, connection: socket.socket, *, writable: bool) -> None:
        """Register or unregister ``connection`` for writability."""
        registered = connection in self._selector.get_map()
        if writable and not registered:
            self._selector.register(connection, selectors.EVENT_WRITE)
        elif registered and not writable:
            self._selector.unregister(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._want(connection, writable=False)
        self._gone += self._readers.pop(connection).dropped
        connection.close()
