"""Keeps the process as small as what it holds: after a large fleet was read, more is free than in use."""

import ctypes

_ARENA_MAX = -8
"""``M_ARENA_MAX`` of glibc's mallopt."""


def share_arena() -> None:
    """Let all threads allocate from one heap: they take turns anyway, and each heap of its own has holes of its own."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Return free memory to the system, where the C library can."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:  # glibc
        malloc_trim(0)
