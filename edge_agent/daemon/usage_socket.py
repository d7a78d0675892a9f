"""The socket on which applications report their inferences: ``state_dir/telemetry.sock``, one datagram per report.

Its mode is 0666: every user of the device may read a release, and so may report on it. A report therefore counts only
as far as it is typed and bounded (:mod:`edge_agent.telemetry.usage`), and the kernel names the sending process. No
thread waits here. The daemon reads a limited number once a second. What the kernel's queue has no room for stays with
the application, which sends it later.
"""

import logging
import math
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_agent.foreign.allowance import Allowance
from edge_agent.process.unix_address import short_address
from edge_agent.telemetry.usage import MOST_BYTES, SOCKET_NAME, Usage, decode_usage

log = logging.getLogger(__name__)

_MODE = 0o666
_AT_ONCE = 64
"""Datagrams read per second."""
_PER_S, _BURST = 2.0, 32
"""Limits per process: a report per model every ten seconds, and a process may have many models."""
_MOST_PROCESSES = 256
"""Processes whose allowances are remembered; beyond that only the number read per second limits them."""
_LOG_EVERY_S = 3600.0
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size)


class UsageSocket:
    """Reads the reports of applications.

    Attributes:
        dropped: datagrams that were not counted because they were too many, too large or invalid; the reader who
            reports the count resets it.
    """

    def __init__(self, state_dir: Path) -> None:
        """Create the object without listening yet."""
        self._path = state_dir / SOCKET_NAME
        self._socket: socket.socket | None = None
        self._allowances: dict[int, Allowance] = {}
        self.dropped = 0
        self._unlogged = 0
        self._logged_at = -math.inf

    def open(self) -> None:
        """Listen in ``state_dir``; a failure is logged, and no reports arrive."""
        try:
            self._path.unlink(missing_ok=True)
            self._socket = self._bound()
        except OSError as error:
            log.warning("%s: %s; serving statistics of applications are not reported", self._path, error.strerror)

    def read(self) -> Iterator[tuple[Usage, int]]:
        """The waiting reports with their process ids; never blocks."""
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                data, messages, flags, _ = self._socket.recvmsg(MOST_BYTES, _ROOM)
            except OSError:  # nothing waits
                return
            pid = _pid_in(messages)
            usage = decode_usage(data) if not flags & socket.MSG_TRUNC and self._allowed(pid) else None
            if usage is None:
                self.drop(pid)
            else:
                yield usage, pid

    def drop(self, pid: int) -> None:
        """Count a datagram of process ``pid`` as dropped, and log that once an hour."""
        self.dropped += 1
        self._unlogged += 1
        if time.monotonic() - self._logged_at >= _LOG_EVERY_S:
            text = "%s: %d datagrams were not counted, the last one of process %d"
            log.warning(text, self._path, self._unlogged, pid)
            self._logged_at, self._unlogged = time.monotonic(), 0

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            with short_address(self._path) as address:
                listener.bind(address)
            self._path.chmod(_MODE)
        except OSError:
            listener.close()
            raise
        return listener

    def _allowed(self, pid: int) -> bool:
        if pid not in self._allowances:
            if len(self._allowances) >= _MOST_PROCESSES:
                del self._allowances[next(iter(self._allowances))]
            self._allowances[pid] = Allowance(_PER_S, _BURST)
        return self._allowances[pid].take()


def _pid_in(messages: list[tuple[int, int, bytes]]) -> int:
    """The sender's process id; the kernel puts it first, so that descriptors sent along find no room."""
    for level, kind, content in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(content) == _CREDENTIALS.size:
            return int(_CREDENTIALS.unpack(content)[0])
    return 0
