"""How the program ends although threads of it still work: nobody waits for a page that nobody reads any more."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_ENDS_S = 0.3
"""Threads that have nothing to do end within this."""


@contextmanager
def waiting_for_nobody() -> Iterator[None]:
    """Run the block; if threads that began in it still work at its good end, the program ends there, with success.

    Python itself waits for every such thread, and one that asks a broker or a database may take a minute. So all that
    has to be tidied up is to be tidied up in the block.
    """
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + _ENDS_S
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in left):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
