"""Whether a time server has synchronised the kernel's clock, as the time service reports it to the kernel.

``adjtimex`` only reads here, but a service with ``ProtectClock=`` may not call it at all. The fallback is the file that
systemd-timesyncd writes after its first synchronisation since the boot.
"""

import ctypes
from functools import cache
from pathlib import Path

_TIMEX_BYTES = 512
"""Larger than ``struct timex`` on every platform."""
_TIME_ERROR = 5
"""``adjtimex`` returns it while the clock is not synchronised."""
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")


def synchronised() -> bool:
    """Return whether the clock is synchronised; False if the system does not report it."""
    state = _libc().adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return state != _TIME_ERROR if state >= 0 else _TIMESYNCD.exists()


@cache
def _libc() -> ctypes.CDLL:
    """Open libc once: the daemon asks each second, and opening it would dominate an idle daemon's work."""
    return ctypes.CDLL(None)
