"""What this device is and how it feels: board, processor, memory, governor, clock, temperature, throttling.

Reads files and starts nothing; everything it may not read is simply unknown. Where they are documented:

* board: Devicetree Specification 0.4, section 2.3.2 (``model``), as ``/proc/device-tree/model``
* Linux, below ``Documentation/``: clock: ``admin-guide/pm/cpufreq.rst``; temperature and cooling devices:
  ``driver-api/thermal/sysfs-api.rst``; x86 counters: ``ABI/testing/sysfs-devices-system-cpu``
* Raspberry Pi: bits of ``vcgencmd get_throttled`` (Raspberry Pi OS documentation), which the Pi's own kernel also shows
  in sysfs; every kernel: ``Documentation/hwmon/raspberrypi-hwmon.rst`` (``in0_lcrit_alarm`` of ``rpi_volt``)
* Jetson: NVIDIA Jetson Linux Developer Guide, "Platform Power and Performance": ``oc*_event_cnt`` of ``soctherm_oc``
  and the ``*-throttle-alert`` cooling devices
"""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_ROOT = Path("/")
_CPU = "sys/devices/system/cpu"
_PI_BITS = {0: "undervoltage", 1: "frequency_capped", 2: "throttled", 3: "soft_temperature_limit"}
_PI_STICKY = 16
"""From here on the same bits again: what has happened, until the kernel's voltage driver clears them."""
_CPU_PARTS = {  # Linux arch/arm64/include/asm/cputype.h: implementer, part
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd83"): "Neoverse-V3AE",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}


@dataclass(frozen=True, slots=True)
class Board:
    """What does not change while the device runs; empty or 0 where unknown."""

    board: str
    arch: str
    cpu: str
    cores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Throttling:
    """What slows the processor down now, and a count of such events that only rises while they happen."""

    reasons: tuple[str, ...]
    events: int

    def since(self, earlier: "Throttling") -> tuple[str, ...]:
        """What slowed the processor down between ``earlier`` and this; empty: nothing that was noticed."""
        counted = ("throttle_events",) if self.events > earlier.events else ()
        return tuple(dict.fromkeys(earlier.reasons + self.reasons + counted))


@dataclass(frozen=True, slots=True)
class Conditions:
    """What does change: governor and clock of the first core, temperature of each zone, throttling."""

    governor: str
    clock_mhz: float | None
    max_clock_mhz: float | None
    temperature_c: dict[str, float]
    throttled: tuple[str, ...]
    throttle_events: int


def describe(root: Path = _ROOT) -> Board:
    """The board below ``root``."""
    return Board(
        board=_text(root / "proc/device-tree/model") or _text(root / "sys/class/dmi/id/product_name"),
        arch=os.uname().machine,
        cpu=_processor(root),
        cores=_count_list(_text(root / _CPU / "online")),
        memory_bytes=_memory_total(root),
    )


def conditions(root: Path = _ROOT) -> Conditions:
    """The conditions now."""
    frequency = root / _CPU / "cpu0/cpufreq"
    state = throttling(root)
    return Conditions(
        governor=_text(frequency / "scaling_governor"),
        clock_mhz=_scaled(frequency / "scaling_cur_freq", 1000),
        max_clock_mhz=_scaled(frequency / "cpuinfo_max_freq", 1000),
        temperature_c=_temperatures(root),
        throttled=state.reasons,
        throttle_events=state.events,
    )


def stamp(root: Path = _ROOT) -> dict[str, Any]:
    """Board and conditions as plain data: what stands beside a measurement."""
    return asdict(describe(root)) | asdict(conditions(root))


def throttling(root: Path = _ROOT) -> Throttling:
    """What slows the processor down now, and the sum of all counters of such events."""
    reasons: list[str] = []
    events = 0
    for file in (root / "sys/devices/platform").glob("soc*/*firmware/get_throttled"):
        try:
            bits = int(_text(file), 16)
        except ValueError:
            continue
        reasons += [name for bit, name in _PI_BITS.items() if bits >> bit & 1]
        events += (bits >> _PI_STICKY).bit_count()
    for monitor in _entries(root / "sys/class/hwmon"):
        match _text(monitor / "name"):
            case "rpi_volt" if _text(monitor / "in0_lcrit_alarm") == "1":
                reasons.append("undervoltage")
            case "soctherm_oc":
                events += sum(_number(file) or 0 for file in monitor.glob("oc*_event_cnt"))
    for device in _entries(root / "sys/class/thermal", "cooling_device"):
        kind = _text(device / "type")
        if ("cpufreq" in kind or kind.endswith("throttle-alert")) and (_number(device / "cur_state") or 0) > 0:
            reasons.append(kind)
    for core in _entries(root / _CPU, "cpu"):
        events += _number(core / "thermal_throttle/core_throttle_count") or 0
    return Throttling(tuple(dict.fromkeys(reasons)), events)


def _processor(root: Path) -> str:
    """The processor's name; big.LITTLE clusters are joined by ``+``."""
    names: list[str] = []
    implementer = ""
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            names.append(value)
        elif key == "CPU implementer":
            implementer = value
        elif key == "CPU part":
            names.append(_CPU_PARTS.get((implementer, value), f"{implementer}:{value}"))
    return " + ".join(dict.fromkeys(names))


def _memory_total(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        key, _, value = line.partition(":")
        if key == "MemTotal":
            return int(value.split()[0]) * 1024
    return 0


def _temperatures(root: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for zone in _entries(root / "sys/class/thermal", "thermal_zone"):
        value = _scaled(zone / "temp", 1000)
        name = _text(zone / "type") or zone.name
        if value is not None:  # several zones may share a type: the hottest counts
            found[name] = max(value, found.get(name, value))
    return found


def _count_list(text: str) -> int:
    """How many CPUs a list such as ``0-3,6`` names."""
    count = 0
    for piece in filter(None, text.split(",")):
        first, _, last = piece.partition("-")
        if not (first + last).isdigit():
            return 0
        count += int(last or first) - int(first) + 1
    return count


def _entries(directory: Path, prefix: str = "") -> Iterator[Path]:
    """The numbered entries of a sysfs directory, in their order."""
    try:
        found = [path for path in directory.iterdir() if path.name.removeprefix(prefix) != path.name or not prefix]
    except OSError:
        return
    yield from sorted(found, key=lambda path: (len(path.name), path.name))


def _scaled(path: Path, divisor: int) -> float | None:
    value = _number(path)
    return None if value is None else value / divisor


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace").strip("\0\n\t ")
    except OSError:
        return ""
