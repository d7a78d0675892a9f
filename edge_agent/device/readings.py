"""The current use of resources by this machine and this process: processor, memory, disk, temperature, clock.

Reads files and starts no process; None means that no file reports the value. The files are documented in ``proc(5)``
and, below Linux's ``Documentation/``, in ``admin-guide/iostats.rst`` and ``admin-guide/pm/cpufreq.rst``. An ordinary
user may read all of them, also inside the service's unit.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from edge_agent.device import board
from edge_agent.device.kernel_files import entries, number, text
from edge_agent.device.memory import kernel_memory, resident_bytes
from edge_agent.device.throttling import Throttling, ThrottlingFiles

_SECTOR_BYTES = 512  # the unit of the kernel's statistics, whatever the disk's sector size
_WRITTEN_FIELD = 6  # of a block device's ``stat``: sectors written
_IDLE_FIELDS = (3, 4)  # of a line of /proc/stat: idle, iowait
_TIME_FIELDS = 8  # the fields after them are guest times, which user and nice already include
_PROCESSOR_ZONES = ("cpu", "soc", "tj", "x86_pkg")
"""Substrings of the thermal zone types of a processor: a Pi's, a Jetson's, a PC's."""
_SEARCH_AGAIN = 60
"""Number of readings after which the files are searched again: drivers may be loaded late."""


@dataclass(frozen=True, slots=True)
class Readings:
    """One reading. Counters restart with each boot, those of the process with the process.

    Attributes:
        at_s: monotonic time of the reading.
        cpu_busy, cpu_total: time of all processors together, in the kernel's ticks.
        disk_written_bytes: bytes written by all processes to the whole block device that holds the state folder.
        temperature_c: the processor's hottest zone; if no zone is marked as the processor's, the hottest of all zones.
        clock_hz: clock rate of the slowest processor that is online.
        process_cpu_s: processor time of this process without its children.
    """

    at_s: float
    uptime_s: float | None
    cpu_busy: int
    cpu_total: int
    load_1m: float | None
    memory_available_bytes: int | None
    swap_used_bytes: int | None
    disk_free_bytes: int | None
    disk_written_bytes: int | None
    temperature_c: float | None
    clock_hz: float | None
    throttling: Throttling
    process_rss_bytes: int | None
    process_cpu_s: float


class Machine:
    """Takes readings; ``folder`` is the state folder, ``root`` the root of ``/proc`` and ``/sys``."""

    def __init__(self, folder: Path, root: Path = Path("/")) -> None:
        self._folder = folder
        self._root = root
        self._throttling = ThrottlingFiles()
        self._taken = 0

    def read(self) -> Readings:
        """Take a reading, from a few dozen small files."""
        if self._taken % _SEARCH_AGAIN == 0:
            self._throttling = ThrottlingFiles.find(self._root)
        self._taken += 1
        busy, total = self._cpu()
        memory = kernel_memory(self._root)
        own = os.times()
        return Readings(
            at_s=time.monotonic(),
            uptime_s=self._first("proc/uptime"),
            cpu_busy=busy,
            cpu_total=total,
            load_1m=self._first("proc/loadavg"),
            memory_available_bytes=memory.get("MemAvailable"),
            swap_used_bytes=memory["SwapTotal"] - memory["SwapFree"]
            if {"SwapTotal", "SwapFree"} <= set(memory)
            else None,
            disk_free_bytes=free_bytes(self._folder),
            disk_written_bytes=self._written(),
            temperature_c=_of_processor(board.temperatures(self._root)),
            clock_hz=self._clock(),
            throttling=self._throttling.read(),
            process_rss_bytes=resident_bytes(self._root),
            process_cpu_s=own.user + own.system,
        )

    def _first(self, name: str) -> float | None:
        try:
            return float(text(self._root / name).split()[0])
        except (ValueError, IndexError):
            return None

    def _cpu(self) -> tuple[int, int]:
        """Return busy and total ticks since boot; zeros: unknown."""
        try:
            spent = [
                int(field) for field in text(self._root / "proc/stat").splitlines()[0].split()[1 : 1 + _TIME_FIELDS]
            ]
            return sum(spent) - sum(spent[field] for field in _IDLE_FIELDS), sum(spent)
        except (ValueError, IndexError):
            return 0, 0

    def _written(self) -> int | None:
        """Return the bytes written to the whole block device; a partition counts only its own. None: no such device."""
        try:
            number_of = self._folder.stat().st_dev
            device = (self._root / f"sys/dev/block/{os.major(number_of)}:{os.minor(number_of)}").resolve(strict=True)
            whole = device.parent if (device / "partition").exists() else device
            return int(text(whole / "stat").split()[_WRITTEN_FIELD]) * _SECTOR_BYTES
        except (OSError, ValueError, IndexError):
            return None

    def _clock(self) -> float | None:
        cpu = self._root / "sys/devices/system/cpu"
        folders = [*entries(cpu / "cpufreq", "policy")] or [core / "cpufreq" for core in entries(cpu, "cpu")]
        known = [clock for folder in folders if (clock := number(folder / "scaling_cur_freq")) is not None]
        return min(known) * 1000.0 if known else None


def free_bytes(folder: Path) -> int | None:
    """Return the bytes that an ordinary user may still write to the file system of ``folder``."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _of_processor(zones: dict[str, float]) -> float | None:
    own = [value for kind, value in zones.items() if any(word in kind.lower() for word in _PROCESSOR_ZONES)]
    return max(own or zones.values(), default=None)
