"""Serves one open connection from one thread, over the calls that the library has for an outside loop."""

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
"""How long a broker may take to answer at all."""
STOP_TIMEOUT_S = 3.0
"""How long it may take to close the connection after our good-bye."""
_LOOK_MS = 1000


class Library(Protocol):
    """What is used of paho."""

    def socket(self) -> Any:
        """The connection, None once it has ended."""

    def want_write(self) -> bool:
        """Whether something waits to be written."""

    def loop_read(self) -> Any:
        """Read, and call back."""

    def loop_write(self) -> Any:
        """Write."""

    def loop_misc(self) -> Any:
        """Keep the connection alive."""

    def disconnect(self) -> Any:
        """Say good-bye; the broker then publishes no will."""


def serve(
    library: Library,
    waker: Waker,
    answered: Callable[[], bool],
    stopping: threading.Event,
    full: Callable[[], bool] = lambda: False,
    enough: Callable[[], bool] = lambda: False,
) -> bool:
    """Read and write until the connection ends, of itself or by our good-bye; False: no answer in time.

    Args:
        library: has just connected.
        waker: ends a wait when there is something to write, or ``stopping`` was set.
        answered: whether the broker has.
        stopping: whether the owner wants an end.
        enough: whether this connection should end although the owner goes on.
        full: whether nothing should be read now; the waker tells when that is over.
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
    """Let ``poll`` look for ``events``; without any not at all, as it would tell of a broken connection for ever."""
    if events:
        poll.register(connection, events)
        return
    with contextlib.suppress(KeyError):
        poll.unregister(connection)


def close(library: Library) -> None:
    """Close the connection if the library has not, in a way that it notices."""
    connection = library.socket()
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(Exception):
            library.loop_read()
