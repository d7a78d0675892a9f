"""Runs a dashboard: one thread hears the broker, this one answers browsers."""

import socket
import threading
from collections.abc import Callable

from host_tools.dashboard.context import Context
from host_tools.dashboard.live.heap import share_arena
from host_tools.dashboard.serving import Server
from host_tools.fleet.listening import follow

_HEARING_ENDS_S = 0.5
"""How long the end of the connection to the broker is waited for: a network that swallows everything takes longer."""


def run(context: Context, listener: socket.socket, say: Callable[[str], None]) -> None:
    """Serve on ``listener`` until a signal comes, or the broker refuses us.

    Args:
        context: what the pages work with; its picture of the fleet is filled here.
        listener: a socket that listens.
        say: is told, in a sentence, what a person should know.

    Raises:
        BrokerError: the broker was not there when we came, or it refuses us.
    """
    share_arena()
    server = Server(context)
    failed: list[Exception] = []

    def hear() -> None:
        try:
            follow(context.settings, context.watched, events=True, say=say, until=lambda: server.should_exit)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is raised where the command ends
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
