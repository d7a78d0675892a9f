"""Runs a dashboard: one thread listens to the broker, the main thread answers browsers."""

import socket
import threading
from collections.abc import Callable

from host_tools.dashboard.context import Context
from host_tools.dashboard.live.heap import share_arena
from host_tools.dashboard.serving import Server
from host_tools.fleet.listening import follow

_HEARING_ENDS_S = 0.5
"""Longest wait for the end of the broker's connection, which a network that drops everything would prolong."""


def run(context: Context, listener: socket.socket, say: Callable[[str], None]) -> None:
    """Serve on ``listener`` until a signal arrives, or the broker refuses the client.

    Args:
        context: the objects that pages use; its picture of the fleet is filled here.
        listener: a listening socket.
        say: receives sentences for a person.

    Raises:
        BrokerError: the broker was not reachable at the start, or it refuses the client.
    """
    share_arena()
    server = Server(context)
    failed: list[Exception] = []

    def hear() -> None:
        try:
            follow(context.settings, context.watched, events=True, say=say, until=lambda: server.should_exit)
        except Exception as error:  # noqa: BLE001  # any error is raised again where the command ends
            failed.append(error)
            server.end()

    hearing = threading.Thread(target=hear, name="broker", daemon=True)
    hearing.start()
    try:
        server.run(sockets=[listener])
    finally:
        server.end()
        hearing.join(_HEARING_ENDS_S)
        if context.orders:
            context.orders.uploads.forget()
    if failed:
        raise failed[0]
