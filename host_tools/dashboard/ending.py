"""Ends the program although some of its threads still work for pages that nobody reads any more."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_ENDS_S = 0.3
"""Time within which idle threads end."""


@contextmanager
def waiting_for_nobody() -> Iterator[None]:
    """Run the block; if threads started in it still work after it, end the program there with success.

    Python itself would wait for every such thread, and one that asks a broker or a database may take a minute. So all
    cleanup must happen in the block.
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
