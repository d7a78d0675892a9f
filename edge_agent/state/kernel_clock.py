"""Whether the kernel's clock is synchronised with a time server's, as whoever sets it tells the kernel.

``adjtimex`` only reads here, but a service with ``ProtectClock=`` may not call it at all; systemd-timesyncd leaves a
file instead, once it has synchronised since the boot.
"""

import ctypes
from functools import cache
from pathlib import Path

_TIMEX_BYTES = 512
"""More than ``struct timex`` has anywhere."""
_TIME_ERROR = 5
"""``adjtimex`` returns it while the clock is not synchronised."""
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")


def synchronised() -> bool:
    """Whether it is; False where nothing tells."""
    state = _libc().adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return state != _TIME_ERROR if state >= 0 else _TIMESYNCD.exists()


@cache
def _libc() -> ctypes.CDLL:
    """Opened once: this is asked each second, and to open it costs more than all else that the daemon then does."""
    return ctypes.CDLL(None)
