"""Keeps a process from growing by memory that is free.

Activations come and go in every size, so the C library's heap gathers free pieces between those that live on: without
this, a pass over 1,000 windows takes 4 MiB more than one over 100. What one large model has taken stays, too: measured
on a net with 27 MiB in a tensor, 200 MiB that nobody used. glibc gives such pieces back when it is asked to.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SLACK_BYTES = 2 << 20
"""Trimming takes as long as counting a few hundred thousand values; so much may gather first."""


def give_back() -> None:
    """Return free memory to the system, before another process or a large piece of work wants it."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:  # glibc
        malloc_trim(0)


def resident_bytes() -> int:
    """The resident memory of this process."""
    return _resident(Path("/proc/self/statm").read_bytes())


def counted_resident_bytes() -> int:
    """The same, counted from the page tables: ``statm`` of some kernels is off by 31 pages a processor.

    Takes milliseconds. Where the kernel does not tell it, what ``statm`` says.
    """
    try:
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resident_bytes()


def _resident(statm: bytes) -> int:
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def trimmed_heap(in_use_bytes: int) -> Iterator[Callable[[], None]]:
    """Give a function that returns free memory to the system, if the process has grown since it last did.

    ``in_use_bytes``: what comes and goes between two calls, so it may as well be kept.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is None:  # not glibc
        yield lambda: None
        return
    with Path("/proc/self/statm").open("rb", buffering=0) as statm:

        def resident() -> int:
            return _resident(os.pread(statm.fileno(), 64, 0))

        then = resident()

        def trim() -> None:
            nonlocal then
            if resident() > then + in_use_bytes + _SLACK_BYTES:
                malloc_trim(0)
                then = resident()

        yield trim
