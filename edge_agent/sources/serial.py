"""A sensor on a serial port that writes one line of decimals per sample.

    [sources.imu]
    kind = "serial"
    port = "/dev/ttyUSB0"
    baud = 115200
    framing = "csv"          # decimals in the order of channels, comma, LF; a malformed line is counted and dropped
    channels = ["ax", "ay", "az", "gx", "gy", "gz"]
    rate_hz = 50
    silence_s = 10           # this long without a sample: silent or lost

The port is held exclusively. When it goes away (cable, reset), reading goes on as soon as it is back; how long to wait
for that is the reader's decision.
"""

import errno
import os
import termios
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from serial import serialposix

from edge_agent.errors import SourceError
from edge_agent.framing import CsvDecoder
from edge_agent.sources import Samples

_Serial: Any = serialposix.Serial
"""pyserial brings no types."""
_GONE = (OSError, termios.error)
_BUSY = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)
_REOPEN_EVERY_S = 0.2
_COALESCE_S = 0.02
"""A slow line is read this often at most: waking up for every few bytes would cost more than decoding them."""
_BUSY_BYTES = 2048
"""A port that had this much waiting is read again at once: its kernel buffer holds but 4096."""

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of ``[sources.NAME]``."""

    port: Annotated[str, msgspec.Meta(min_length=1)]
    channels: Annotated[list[str], msgspec.Meta(min_length=1)]
    rate_hz: Positive
    baud: Annotated[int, msgspec.Meta(ge=50)] = 115_200
    framing: Literal["csv"] = "csv"
    silence_s: Positive = 10.0


class SerialSource:
    """An open serial port."""

    live = True
    window_size = 0
    length = 0
    repeats = False

    def __init__(self, options: Options) -> None:
        """Open the port; raises ``SourceError`` (source_unavailable, source_busy)."""
        self.channels = tuple(options.channels)
        self.rate_hz = options.rate_hz
        self.silence_s = options.silence_s
        self.gaps = 0
        self._options = options
        self._decoder = CsvDecoder(len(options.channels))
        self._try_again_at = 0.0
        self._idle = True
        try:
            self._port: Any = self._open()
        except _GONE as error:
            raise _explain(options.port, error) from None

    @property
    def malformed(self) -> int:
        """Lines that were dropped."""
        return self._decoder.malformed

    @property
    def trouble(self) -> str:
        """What is known of why nothing comes."""
        if self._port is None:
            return f"{self._options.port} is gone"
        if self.malformed:
            return f"{self.malformed} lines were not {len(self.channels)} decimals; check baud, framing and channels"
        return ""

    def read(self, timeout_s: float) -> Samples | None:
        """The samples of all lines that ended since the last read; waits for one at most ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            samples = self._decoder.feed(self._receive(left))
            if len(samples):
                return samples
        return None

    def close(self) -> None:
        """Let the port go."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _receive(self, timeout_s: float) -> bytes:
        """What has arrived; empty if nothing did, or if the port is gone."""
        if self._port is None and not self._reopen(timeout_s):
            return b""
        port = self._port
        try:
            if self._idle:
                time.sleep(min(_COALESCE_S, timeout_s))
            port.timeout = timeout_s
            first: bytes = port.read(1)
            data = first + port.read(port.in_waiting) if first else first
        except _GONE:
            self._lose()
            return b""
        self._idle = len(data) < _BUSY_BYTES
        return data

    def _lose(self) -> None:
        self.gaps += 1
        self._decoder.restart()
        try:
            self.close()
        except _GONE:
            self._port = None

    def _reopen(self, timeout_s: float) -> bool:
        """Try to have the port back; False after a short wait if it is not there yet."""
        time.sleep(max(0.0, min(self._try_again_at - time.monotonic(), timeout_s)))
        if time.monotonic() < self._try_again_at:
            return False
        self._try_again_at = time.monotonic() + _REOPEN_EVERY_S
        try:
            self._port = self._open()
        except _GONE:
            return False
        return True

    def _open(self) -> Any:
        return _Serial(self._options.port, self._options.baud, exclusive=True)


def open(options: Options) -> SerialSource:  # noqa: A001  # the name of a kind's entry
    """Open the port; raises ``SourceError`` (source_unavailable, source_busy)."""
    return SerialSource(options)


def _explain(port: str, error: BaseException) -> SourceError:
    number = getattr(error, "errno", None)
    if number in _BUSY:
        return SourceError("source_busy", f"{port} is held by {_holder(port)}; stop it")
    if number == errno.EACCES:
        return SourceError("source_unavailable", f"{port}: permission denied; add this user to the group dialout")
    if number == errno.ENOENT:
        return SourceError("source_unavailable", f"{port} does not exist; check cable and port")
    return SourceError("source_unavailable", f"{port} cannot be opened as a serial port: {error}")


def _holder(port: str) -> str:
    """Who holds a lock on ``port``, as the kernel's list of locks says."""
    try:
        status = Path(port).stat()
        wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            if wanted in fields and fields[4] != "0":
                name = Path("/proc", fields[4], "comm").read_text(encoding="utf-8").strip()
                return f"process {fields[4]} ({name})"
    except (OSError, UnicodeDecodeError, IndexError):
        pass
    return "another process"
