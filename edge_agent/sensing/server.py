"""The socket that others read a sensor from. One thread, ``selectors``; nobody who reads can make it wait.

A reader is given a hello and then what comes; whatever it writes is refused by the kernel. Who may connect is decided
by the file's mode: the service's user and the members of its group.
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
"""What may wait for one reader: the larger of the two. Capture syncs what it has to a disk that may take its time."""
_SEND_BUFFER_BYTES = 1 << 20
_TOO_MANY = State(code="source_busy", trouble=f"too many readers: {MAX_READERS} read it already")


class Server:
    """Hands batches to whoever reads. Used by one thread, except :meth:`wake`."""

    def __init__(self, path: Path) -> None:
        """Listen on ``path``; raises ``OSError``."""
        self._hello: Hello | None = None
        self._state: State | None = None
        self._limit = _WAITING_BYTES
        self._readers: dict[socket.socket, Outbox] = {}
        self._gone = 0
        """Samples that readers lost which are no longer here."""
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
        """How many read now, as far as is known: one that has left shows at the next batch."""
        return len(self._readers)

    @property
    def dropped(self) -> int:
        """Samples that readers have lost because they were too slow."""
        return self._gone + sum(outbox.dropped for outbox in self._readers.values())

    def wake(self) -> None:
        """End the wait in :meth:`step`; from any thread, or a signal's handler."""
        if (wake_fd := self._wake_fd) >= 0:  # a driver that did not come back in time may after the end
            with contextlib.suppress(OSError):
                os.eventfd_write(wake_fd, 1)

    def step(self, timeout_s: float) -> None:
        """Wait until something can be done, at most so long, and do it."""
        for key, _ in self._selector.select(timeout_s):
            if key.fd == self._wake_fd:
                os.eventfd_read(self._wake_fd)
            elif key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._readers:  # else swept just now
                self._send(key.fileobj)

    def greet(self, hello: Hello) -> None:
        """The source is open; say what it is."""
        self._hello = hello
        sample_bytes = hello.dtype.itemsize
        for size in hello.sample_shape:
            sample_bytes *= size
        self._limit = max(_WAITING_BYTES, int(_WAITING_S * hello.rate_hz) * sample_bytes)
        for connection, outbox in list(self._readers.items()):
            outbox.greet(hello)
            self._send(connection)

    def tell(self, state: State) -> None:
        """Say why nothing comes, or that it comes again."""
        if state == self._state:
            return
        self._state = state
        for connection, outbox in list(self._readers.items()):
            outbox.tell(state)
            self._send(connection)

    def give(self, batch: Batch) -> None:
        """Hand a batch to everybody."""
        if not self._readers:
            return
        parcel = Parcel(batch, batch.samples.tobytes())
        for connection, outbox in list(self._readers.items()):
            outbox.put(parcel)
            self._send(connection)

    def close(self) -> None:
        """Let everybody go and listen no more. The file stays: it may be the next process's by now."""
        for connection in list(self._readers):
            self._drop(connection)
        self._listener.close()
        self._selector.close()
        wake_fd, self._wake_fd = self._wake_fd, -1
        os.close(wake_fd)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it has left already
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
        """Let go who has left; while nothing is sent nobody notices."""
        poller = select.poll()
        by_fd = {connection.fileno(): connection for connection in self._readers}
        for fd in by_fd:
            poller.register(fd, 0)  # hanging up is always told
        for fd, _ in poller.poll(0):
            self._drop(by_fd[fd])

    def _send(self, connection: socket.socket) -> None:
        """Send what the kernel takes at once; the rest when it takes more."""
        outbox = self._readers[connection]
        try:
            while (data := outbox.next()) is not None:
                outbox.sent(connection.send(data))
        except BlockingIOError:
            self._want(connection, writable=True)
        except (OSError, struct.error):  # it has left, or its frame cannot be written: that ends nobody else's
            self._drop(connection)
        else:
            self._want(connection, writable=False)

    def _want(self, connection: socket.socket, *, writable: bool) -> None:
        """Be told, or not, when ``connection`` takes more."""
        registered = connection in self._selector.get_map()
        if writable and not registered:
            self._selector.register(connection, selectors.EVENT_WRITE)
        elif registered and not writable:
            self._selector.unregister(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._want(connection, writable=False)
        self._gone += self._readers.pop(connection).dropped
        connection.close()
