"""A sensor with a kernel driver: Linux's industrial I/O (accelerometers, gyroscopes, ADCs on I2C and SPI).

    [sources.imu]
    kind = "iio"
    device = "bmi160"        # the content of its file `name`, or "iio:device0"
    channels = ["accel_x", "accel_y", "accel_z"]   # from in_accel_x_raw and so on
    rate_hz = 100
    mode = "buffer"          # the kernel collects; or "poll": read the files at rate_hz, for a few tens of Hz
    buffer_s = 2             # length of the kernel's buffer for a late reader
    silence_s = 10

Values are ``(raw + offset) * scale``, in the units of the kernel's documentation of the channel: m/s², rad/s, mV and so
on. A buffer needs a trigger (``trigger/current_trigger``) if the driver has none, and write access to /sys, which the
service does not have. Set it up at boot, as root (a systemd unit, a udev rule); the service does not write settings
that are already correct. The device's node, /dev/iio:device0, must be readable, and the unit needs
``DeviceAllow=char-iio r``.
"""

import os
import select
import time
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from edge_agent.acquisition.device_lock import DeviceLock
from edge_agent.acquisition.framing import Numbers, to_samples
from edge_agent.acquisition.linux_iio.device import Channel, Device
from edge_agent.acquisition.pacing import Schedule
from edge_agent.acquisition.reconnect import Retry
from edge_agent.acquisition.sample_counter import stretches
from edge_agent.errors import SourceError
from edge_agent.sources import Samples, Stream

_COALESCE_S = 0.02
_AT_ONCE = 1 << 16
_LATE_SAMPLES, _LATE_S = 5, 1.0
"""A poll or a time stamp that is this late means that samples are missing."""

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of ``[sources.NAME]``."""

    device: Annotated[str, msgspec.Meta(min_length=1)]
    channels: Annotated[list[str], msgspec.Meta(min_length=1)]
    rate_hz: Positive
    mode: Literal["buffer", "poll"] = "buffer"
    buffer_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 2.0
    silence_s: Positive = 10.0
    sysfs: str = "/sys/bus/iio/devices"
    dev: str = "/dev"


class IioSource(Stream, ABC):
    """The base of polled and buffered devices: finds the device, again if it has disappeared."""

    malformed = 0

    def __init__(self, options: Options) -> None:
        """Open the device; raise ``SourceError`` (source_unavailable, source_busy)."""
        super().__init__(options.channels, options.rate_hz, options.silence_s)
        self._options = options
        self._retry = Retry()
        self._open: bool = False
        try:
            self._begin()
        except SourceError:
            self.close()
            raise

    @property
    def trouble(self) -> str:
        """The known reason why no samples arrive; empty: unknown."""
        return "" if self._open else f"{self._options.device} is gone"

    def read(self, timeout_s: float) -> Samples | None:
        """Return the available samples; wait at most ``timeout_s`` for one."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                if not self._open:
                    self._again(left)
                    continue
                numbers = self._receive(left)
            except (OSError, ValueError):
                self.interrupt()
                self.close()
                continue
            if len(numbers):
                self.arrivals.hear(len(numbers), time.monotonic())
                return to_samples((numbers + self._offsets) * self._scales)
        return None

    def close(self) -> None:
        """Release the device."""
        self._open = False

    def _begin(self) -> None:
        """Find the device and its channels; raise ``SourceError``."""
        self._device = Device(Path(self._options.sysfs), self._options.device)
        channels: list[Channel] = [self._device.channel(name) for name in self._options.channels]
        self._offsets = np.array([channel.offset for channel in channels])
        self._scales = np.array([channel.scale for channel in channels])
        self._open = True

    def _again(self, timeout_s: float) -> None:
        if self._retry.due(timeout_s):
            try:
                self._begin()
            except SourceError:
                self.close()

    @abstractmethod
    def _receive(self, timeout_s: float) -> Numbers:
        """Return raw numbers ``[n, channels]``, n may be 0; raise ``OSError`` or ``ValueError`` without a device."""


class PolledSource(IioSource):
    """Reads the channels' files at ``rate_hz``."""

    def _begin(self) -> None:
        super()._begin()
        self._schedule = Schedule(self.rate_hz)

    def _receive(self, timeout_s: float) -> Numbers:
        due = self._schedule.wait(timeout_s)
        if not due:
            return np.empty((0, len(self.channels)))
        self._schedule.take(due)
        if due > max(_LATE_SAMPLES, _LATE_S * self.rate_hz):
            self.interrupt()
        return np.array([[self._device.raw(name) for name in self.channels]])


class BufferedSource(IioSource):
    """Reads the kernel's buffer."""

    _lock: DeviceLock | None = None

    def close(self) -> None:
        """Release the device; its buffer stays set up."""
        super().close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _begin(self) -> None:
        super()._begin()
        length = max(16, round(self._options.buffer_s * self.rate_hz))
        node = Path(self._options.dev, self._device.folder.name)
        self._lock = DeviceLock(str(node), "iio")
        self._layout = self._device.set_up(self._options.channels, self.rate_hz, length)
        self._partial = b""
        self._last_ns: float | None = None
        self._stretches: deque[tuple[Numbers, bool]] = deque()

    def _receive(self, timeout_s: float) -> Numbers:
        if not self._stretches:
            time.sleep(min(_COALESCE_S, timeout_s))
            self._fetch(timeout_s)
        if not self._stretches:
            return np.empty((0, len(self.channels)))
        numbers, follows = self._stretches.popleft()
        if not follows:
            self.interrupt()
        return numbers

    def _fetch(self, timeout_s: float) -> None:
        """Move the samples in the kernel's buffer into the stretches."""
        if self._lock is None or not select.select([self._lock.descriptor], [], [], timeout_s)[0]:
            return
        try:
            data = os.read(self._lock.descriptor, _AT_ONCE)
        except BlockingIOError:
            return
        if not data:
            raise OSError("the device ended")
        data, size = self._partial + data, self._layout.scan.size
        whole = len(data) // size * size
        self._partial = data[whole:]
        if whole:
            scans = self._layout.scan.decode(data[:whole])
            breaks = self._breaks(scans[:, -1]) if self._layout.stamped else []
            self._stretches.extend(stretches(scans[:, self._layout.places], breaks))

    def _breaks(self, stamps_ns: Numbers) -> list[int]:
        """Return the indices of samples before which others are missing, judging by the kernel's time stamps."""
        before = stamps_ns[0] if self._last_ns is None else self._last_ns
        self._last_ns = float(stamps_ns[-1])
        late_ns = 1e9 * _LATE_SAMPLES / self.rate_hz
        breaks: list[int] = np.flatnonzero(np.diff(stamps_ns, prepend=before) > late_ns).tolist()
        return breaks


def open(options: Options) -> IioSource:  # noqa: A001  # the name of a kind's entry
    """Open the device; raise ``SourceError`` (source_unavailable, source_busy)."""
    return BufferedSource(options) if options.mode == "buffer" else PolledSource(options)
