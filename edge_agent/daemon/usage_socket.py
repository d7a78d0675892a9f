"""The socket that applications tell their inferences to: ``state_dir/telemetry.sock``, one datagram at a time.

Its mode is 0666: whoever may read a release, and that is every user of the device, may say how it serves. So what
comes counts as far as it is typed and bounded (:mod:`edge_agent.telemetry.usage`), and the kernel says which process it
is of. No thread waits here. The daemon reads what is there once a second, and no more than so much of it: what the
kernel's queue has no room for stays with the application, which tells it later.
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
"""Datagrams that are read in a second."""
_PER_S, _BURST = 2.0, 32
"""Of one process: one model is told every ten seconds, and a process may have many."""
_MOST_PROCESSES = 256
"""Whose allowances are remembered; of more than that, what is read in a second is the limit."""
_TELL_EVERY_S = 3600.0
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size)


class UsageSocket:
    """Reads what applications say.

    Attributes:
        dropped: datagrams that were not counted, as too many came, or as they were too large or without sense; whoever
            has said so sets it back.
    """

    def __init__(self, state_dir: Path) -> None:
        """Nobody listens yet."""
        self._path = state_dir / SOCKET_NAME
        self._socket: socket.socket | None = None
        self._allowances: dict[int, Allowance] = {}
        self.dropped = 0
        self._untold = 0
        self._told_at = -math.inf

    def open(self) -> None:
        """Listen in ``state_dir``; where that cannot be, it is logged, and nothing will come."""
        try:
            self._path.unlink(missing_ok=True)
            self._socket = self._bound()
        except OSError as error:
            log.warning("%s: %s; what applications serve is not told", self._path, error.strerror)

    def read(self) -> Iterator[tuple[Usage, int]]:
        """What has come, with the id of the process that it is of; never waits."""
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                data, messages, flags, _ = self._socket.recvmsg(MOST_BYTES, _ROOM)
            except OSError:  # nothing is there
                return
            pid = _pid_in(messages)
            usage = decode_usage(data) if not flags & socket.MSG_TRUNC and self._allowed(pid) else None
            if usage is None:
                self.drop(pid)
            else:
                yield usage, pid

    def drop(self, pid: int) -> None:
        """A datagram of process ``pid`` is not counted."""
        self.dropped += 1
        self._untold += 1
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            text = "%s: %d datagrams were not counted, the last one of process %d"
            log.warning(text, self._path, self._untold, pid)
            self._told_at, self._untold = time.monotonic(), 0

    def close(self) -> None:
        """Listen no more."""
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
    """Whose a datagram is; the kernel puts that first, so descriptors that somebody sends along have no room."""
    for level, kind, content in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(content) == _CREDENTIALS.size:
            return int(_CREDENTIALS.unpack(content)[0])
    return 0
