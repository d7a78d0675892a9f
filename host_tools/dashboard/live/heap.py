"""Keeps the process small: after reading a large fleet, more of its heap is free than in use."""

import ctypes

_ARENA_MAX = -8
"""``M_ARENA_MAX`` of glibc's mallopt."""


def share_arena() -> None:
    """Let all threads share one heap: they take turns anyway, and each additional heap has its own unused space."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Return free memory to the system, where the C library can."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:  # glibc
        malloc_trim(0)
