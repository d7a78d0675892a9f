"""Gives memory back that is free: after a large fleet was read, that is more than what is in use."""

import ctypes


def give_back() -> None:
    """Return free memory to the system, where the C library can."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:  # glibc
        malloc_trim(0)
