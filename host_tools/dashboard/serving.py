"""Answers browsers over HTTP in the main thread."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from edge_agent.errors import ConfigError
from edge_agent.strict import why
from host_tools.dashboard.app import build
from host_tools.dashboard.context import Context

_STREAMS_END_S = 1
"""Seconds that open streams get at the end."""

_MOST_CONNECTIONS = 500
"""Below a process's usual limit of open files; further requests get a 503."""


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket while the block runs; for port 0 the system chooses one.

    Raises:
        ConfigError: ``usage``: the address is not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise ConfigError("usage", f"--listen {host}:{port}: {why(error)}; give another address or port") from None
    with server:
        yield server


class Server(uvicorn.Server):
    """Serves the pages of one dashboard; :meth:`end` may be called from any thread."""

    def __init__(self, context: Context) -> None:
        tls = context.access.tls
        super().__init__(
            uvicorn.Config(
                build(context),
                log_level="error",
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_graceful_shutdown=_STREAMS_END_S,
                proxy_headers=False,  # the guard reads them, of the one proxy that it trusts
                ssl_certfile=tls[0] if tls else None,
                ssl_keyfile=tls[1] if tls else None,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Disconnect the remaining clients; an answer cut off now is no error, so it is not logged."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)

    def end(self) -> None:
        """Stop answering."""
        self.should_exit = True
