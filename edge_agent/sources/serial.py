"""A sensor on a serial port, or behind any URL that pyserial supports.

    [sources.imu]
    kind = "serial"
    port = "/dev/ttyUSB0"    # or "socket://10.0.0.7:4000", "rfc2217://server:2217"
    baud = 115200
    framing = "csv"          # a line of decimals in the order of channels; a malformed line is counted and dropped
    channels = ["ax", "ay", "az", "gx", "gy", "gz"]
    rate_hz = 50
    silence_s = 10           # time without a sample after which the sensor counts as lost

Commas, semicolons, tabs or blanks separate the decimals; the first line determines which. Lines may have labels
instead, as for Arduino's plotter (``ax:0.1,ay:0.2``). The channels are then the labels, and other labels are ignored.
The output of a booting board is only counted as malformed.

Other framings:

    framing = "json"         # a JSON object per line; channels are its fields, "acc.x" the field x of the object acc
    counter = "n"            # optional: a field that counts up by one; a jump means that the stream was interrupted

    framing = "cobs"         # binary records in COBS frames, each one followed by a zero byte
    layout = "<6h"           # as in Python's struct: byte order, then types (h int16, f float32, ..., x padding)
    scale = [0.001]          # optional: factors, one for all channels or one each
    check = "crc16-ccitt-false"   # after the numbers; none (default), sum8, crc16-ccitt-false, crc16-xmodem, crc32

    framing = "sync"         # binary records after a sync word; needs a check
    sync = "aa55"            # its bytes in hex
    layout = "<I6h"
    counter = "n"            # except in json its name has no effect: the first number of each sample is the counter
    check = "crc32"

The port is opened exclusively (a URL is not). When it disappears (cable, reset, connection), reading resumes as soon as
it is back; the reader decides how long to wait for that.
"""

import termios
import time
from collections import deque
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from serial import serial_for_url, serialposix

from edge_agent.acquisition.device_lock import ADDRESS_ADVICE, open_error
from edge_agent.acquisition.framing import Decoder, Numbers, to_samples
from edge_agent.acquisition.framing.cobs import CobsDecoder
from edge_agent.acquisition.framing.decimals import CsvDecoder
from edge_agent.acquisition.framing.json_lines import JsonDecoder
from edge_agent.acquisition.framing.record import Check, Record
from edge_agent.acquisition.framing.sync import SyncDecoder
from edge_agent.acquisition.reconnect import Retry
from edge_agent.acquisition.sample_counter import Counter
from edge_agent.sources import Samples, Stream
from edge_agent.strict import counted

_Serial: Any = serialposix.Serial
_for_url: Any = serial_for_url
"""pyserial has no type annotations."""
_GONE = (OSError, termios.error)
_UNFIT = (*_GONE, ValueError)
"""The exceptions of opening a port; a URL of an unknown protocol raises ``ValueError``."""
_COALESCE_S = 0.02
"""Shortest time between two reads of a slow line: waking up for every few bytes would cost more than decoding them."""
_BUSY_BYTES = 2048
"""A port that had this many bytes waiting is read again at once: its kernel buffer holds only 4096."""
_AT_ONCE = 1 << 16
_SETTLE_S = 0.1
"""Bytes that arrive this soon after a port came back were buffered in the adapter, and more were lost after them (seen
with a USB adapter pulled and plugged in: 11 samples, then 89 missing, without a mark)."""
_BINARY = ("cobs", "sync")

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of ``[sources.NAME]``."""

    port: Annotated[str, msgspec.Meta(min_length=1)]
    channels: Annotated[list[str], msgspec.Meta(min_length=1)]
    rate_hz: Positive
    baud: Annotated[int, msgspec.Meta(ge=50)] = 115_200
    framing: Literal["csv", "json", "cobs", "sync"] = "csv"
    counter: str = ""
    layout: str = ""
    check: Check = "none"
    sync: str = ""
    scale: list[float] = []
    silence_s: Positive = 10.0

    def __post_init__(self) -> None:
        if len(self.scale) not in (0, 1, len(self.channels)):
            raise ValueError(
                f"scale has {len(self.scale)} factors for {len(self.channels)} channels; give one, or one each"
            )
        if self.framing not in _BINARY and (self.layout or self.check != "none"):
            raise ValueError(f'layout and check need framing = "cobs" or "sync", not "{self.framing}"')
        if (self.framing == "sync") != bool(self.sync):
            raise ValueError('sync = "aa55" needs framing = "sync", and that needs it')
        if self.framing == "sync" and self.check == "none":
            raise ValueError('framing = "sync" needs a check: numbers may look like the sync word')
        decoder(self)

    @property
    def columns(self) -> int:
        """Number of columns of a sample, the counter included."""
        return len(self.names)

    @property
    def names(self) -> list[str]:
        """Names of the columns of a sample, the counter's first."""
        return [*([self.counter] if self.counter else []), *self.channels]


def decoder(options: Options) -> tuple[Decoder, int]:
    """Return the framing's decoder, and the value at which a counter wraps; raise ``ValueError``."""
    match options.framing:
        case "csv":
            return CsvDecoder(options.columns, options.names), 0
        case "json":
            return JsonDecoder(options.names), 0
    record = Record(options.layout, options.columns, options.check)
    if options.framing == "cobs":
        return CobsDecoder(record, options.columns), record.first_modulus
    try:
        sync = bytes.fromhex(options.sync)
    except ValueError:
        raise ValueError(f'sync = "{options.sync}" must be bytes in hexadecimal, such as "aa55"') from None
    return SyncDecoder(record, options.columns, sync), record.first_modulus


class SerialSource(Stream):
    """An open serial port."""

    def __init__(self, options: Options) -> None:
        """Open the port; raise ``SourceError`` (source_unavailable, source_busy)."""
        super().__init__(options.channels, options.rate_hz, options.silence_s)
        self._options = options
        self._decoder, modulus = decoder(options)
        self._counter = Counter(modulus) if options.counter else None
        self._scale = np.array(options.scale or [1.0])
        self._stretches: deque[tuple[Numbers, bool]] = deque()
        self._retry = Retry()
        self._idle = True
        self._settled = 0.0
        try:
            self._port: Any = self._open()
        except _UNFIT as error:
            raise open_error(options.port, error, "dialout", " as a serial port") from None

    @property
    def malformed(self) -> int:
        """Number of dropped samples."""
        return self._decoder.malformed

    @property
    def trouble(self) -> str:
        """The known reason why no samples arrive; empty: unknown."""
        if self._port is None:
            advice = ADDRESS_ADVICE if "://" in self._options.port else "check cable and power"
            return f"{self._options.port} is gone; {advice}"
        if self.malformed:
            last = f"; the last was {self.malformed_example}" if self.malformed_example else ""
            dropped = f"{counted(self.malformed, self._decoder.unit)} {'was' if self.malformed == 1 else 'were'} not"
            return f"{dropped} {self._decoder.wanted}; check baud, framing and channels{last}"
        return ""

    @property
    def malformed_example(self) -> str:
        """The last dropped sample, and its fault; empty if it cannot be shown."""
        return self._decoder.example

    def read(self, timeout_s: float) -> Samples | None:
        """Return the next consecutive samples; wait at most ``timeout_s`` for one."""
        deadline = time.monotonic() + timeout_s
        while not self._stretches:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            numbers = self._decoder.feed(self._receive(left))
            if self._counter is not None:
                self._stretches.extend(self._counter.split(numbers))
            elif len(numbers):
                self._stretches.append((numbers, True))
        numbers, follows = self._stretches.popleft()
        if not follows:
            self.interrupt()
        self.arrivals.hear(len(numbers), time.monotonic())
        return to_samples(numbers * self._scale)

    def close(self) -> None:
        """Close the port."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _receive(self, timeout_s: float) -> bytes:
        """Return the bytes that have arrived; empty if there are none, or if the port is gone."""
        if self._port is None and not self._reopen(timeout_s):
            return b""
        if self._idle:
            time.sleep(min(_COALESCE_S, timeout_s))
        parts, size = [], 0
        try:
            while size < _AT_ONCE and (part := self._port.read(_AT_ONCE)):
                parts.append(part)
                size += len(part)
        except _GONE:
            if not parts:  # bytes before the error count; the next read raises it again
                self._lose()
        self._idle = size < _BUSY_BYTES
        return b"".join(parts) if time.monotonic() >= self._settled else b""

    def _lose(self) -> None:
        self.interrupt()
        self._decoder.restart()
        if self._counter is not None:
            self._counter.restart()
        try:
            self.close()
        except _GONE:
            self._port = None

    def _reopen(self, timeout_s: float) -> bool:
        """Try to reopen the port; False after a short wait if it is not back yet."""
        if not self._retry.due(timeout_s):
            return False
        try:
            self._port = self._open()
        except _GONE:
            return False
        if "://" not in self._options.port:  # a new connection has no old bytes
            self._settled = time.monotonic() + _SETTLE_S
        return True

    def _open(self) -> Any:
        """Open the port with non-blocking reads, since the ports behind URLs have their own ways of waiting."""
        port, baud = self._options.port, self._options.baud
        if "://" in port:
            return _for_url(port, baud, timeout=0)
        return _Serial(port, baud, timeout=0, exclusive=True)


def open(options: Options) -> SerialSource:  # noqa: A001  # the name of a kind's entry
    """Open the port; raise ``SourceError`` (source_unavailable, source_busy)."""
    return SerialSource(options)
