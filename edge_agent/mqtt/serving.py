"""Serves one open connection from one thread, with the library's calls for an external loop."""

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from edge_agent.mqtt.waker import Waker

ANSWER_TIMEOUT_S = 10.0
"""How long a broker may take to answer."""
STOP_TIMEOUT_S = 3.0
"""How long it may take to close the connection after our DISCONNECT."""
_LOOK_MS = 1000


class Library(Protocol):
    """The part of paho that this module uses."""

    def socket(self) -> Any:
        """Return the connection; None once it has ended."""

    def want_write(self) -> bool:
        """Return whether data wait to be written."""

    def loop_read(self) -> Any:
        """Read, and run callbacks."""

    def loop_write(self) -> Any:
        """Write."""

    def loop_misc(self) -> Any:
        """Keep the connection alive."""

    def disconnect(self) -> Any:
        """Send DISCONNECT; the broker then publishes no will."""


def serve(
    library: Library,
    waker: Waker,
    answered: Callable[[], bool],
    stopping: threading.Event,
    full: Callable[[], bool] = lambda: False,
    enough: Callable[[], bool] = lambda: False,
) -> bool:
    """Read and write until the connection breaks or we disconnect; False: the broker did not answer in time.

    Args:
        library: freshly connected.
        waker: ends a wait when there is something to write, or ``stopping`` was set.
        answered: whether the broker has answered.
        stopping: set when the owner wants to stop.
        enough: whether this connection should end although the owner continues.
        full: whether reading should pause; the waker is woken when it may resume.
    """
    give_up, leaving = time.monotonic() + ANSWER_TIMEOUT_S, False
    poll = select.poll()
    poll.register(waker, select.POLLIN)
    while (connection := library.socket()) is not None:
        reads = not full()
        decrypted = reads and isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
        _watch(poll, connection, reads * select.POLLIN | library.want_write() * select.POLLOUT)
        ready = dict(poll.poll(0 if decrypted else _LOOK_MS))
        if waker.fileno() in ready:
            waker.heard()
        if decrypted or (reads and ready.get(connection.fileno(), 0) & ~select.POLLOUT):
            library.loop_read()
        if library.want_write():
            library.loop_write()
        library.loop_misc()
        if stopping.is_set() and not answered():
            break
        if answered() and not leaving:
            give_up = time.monotonic() + STOP_TIMEOUT_S
            if leaving := stopping.is_set() or enough():
                library.disconnect()
        elif time.monotonic() > give_up:
            return False
    return True


def _watch(poll: select.poll, connection: Any, events: int) -> None:
    """Make ``poll`` wait for ``events``; without any, unregister, as it would always report a broken connection."""
    if events:
        poll.register(connection, events)
        return
    with contextlib.suppress(KeyError):
        poll.unregister(connection)


def close(library: Library) -> None:
    """Close the connection if the library has not, so that the library notices."""
    connection = library.socket()
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(Exception):
            library.loop_read()
