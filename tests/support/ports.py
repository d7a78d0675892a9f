"""Ports for the servers that tests start.

They lie below those that the kernel gives to connections and to whoever asks for any port, so nobody takes one between
the moment at which it was found free and the start of its server, nor while a broker is down that will be back.
"""

import itertools
import os
import socket
from contextlib import suppress

_FIRST, _END = 10_000, 32_000
_NUMBERS = itertools.count(os.getpid() * 997)
"""Each process begins elsewhere."""


def unused_ports(count: int) -> list[int]:
    """Port numbers on 127.0.0.1 that nobody listens on; this process gets none of them again for long."""
    found: list[int] = []
    while len(found) < count:
        port = _FIRST + next(_NUMBERS) % (_END - _FIRST)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
    return found
