"""The hardware of this device and its conditions: board, processor, memory, governor, clock, temperature, throttling.

Reads files and starts no process; a file that it may not read counts as unknown. The files are documented in:

* board: Devicetree Specification 0.4, section 2.3.2 (``model``), as ``/proc/device-tree/model``
* Linux, below ``Documentation/``: clock: ``admin-guide/pm/cpufreq.rst``; temperature:
  ``driver-api/thermal/sysfs-api.rst``
* throttling: see :mod:`edge_agent.device.throttling`
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_agent.device.kernel_files import entries, scaled, text
from edge_agent.device.memory import kernel_memory
from edge_agent.device.throttling import throttling

_ROOT = Path("/")
_CPU = "sys/devices/system/cpu"
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
    """The constant properties of the device; empty or 0 if unknown."""

    board: str
    arch: str
    cpu: str
    cores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Conditions:
    """The changing conditions: governor and clock of the first core, temperature of each zone, throttling."""

    governor: str
    clock_mhz: float | None
    max_clock_mhz: float | None
    temperature_c: dict[str, float]
    throttled: tuple[str, ...]
    throttle_events: int


def describe(root: Path = _ROOT) -> Board:
    """Return the board below ``root``."""
    return Board(
        board=text(root / "proc/device-tree/model") or text(root / "sys/class/dmi/id/product_name"),
        arch=os.uname().machine,
        cpu=_processor(root),
        cores=_count_list(text(root / _CPU / "online")),
        memory_bytes=kernel_memory(root).get("MemTotal", 0),
    )


def conditions(root: Path = _ROOT) -> Conditions:
    """Return the current conditions."""
    frequency = root / _CPU / "cpu0/cpufreq"
    state = throttling(root)
    return Conditions(
        governor=text(frequency / "scaling_governor"),
        clock_mhz=scaled(frequency / "scaling_cur_freq", 1000),
        max_clock_mhz=scaled(frequency / "cpuinfo_max_freq", 1000),
        temperature_c=temperatures(root),
        throttled=state.reasons,
        throttle_events=state.events,
    )


def stamp(root: Path = _ROOT) -> dict[str, Any]:
    """Return board and conditions as plain data, to store beside a measurement."""
    return asdict(describe(root)) | asdict(conditions(root))


def _processor(root: Path) -> str:
    """Return the processor's name; big.LITTLE clusters are joined by ``+``."""
    names: list[str] = []
    implementer = ""
    for line in text(root / "proc/cpuinfo").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            names.append(value)
        elif key == "CPU implementer":
            implementer = value
        elif key == "CPU part":
            names.append(_CPU_PARTS.get((implementer, value), f"{implementer}:{value}"))
    return " + ".join(dict.fromkeys(names))


def temperatures(root: Path = _ROOT) -> dict[str, float]:
    """Return kind of thermal zone → its temperature in °C."""
    found: dict[str, float] = {}
    for zone in entries(root / "sys/class/thermal", "thermal_zone"):
        value = scaled(zone / "temp", 1000)
        name = text(zone / "type") or zone.name
        if value is not None:  # several zones may share a type: the hottest counts
            found[name] = max(value, found.get(name, value))
    return found


def _count_list(listed: str) -> int:
    """Return the number of CPUs in a list such as ``0-3,6``."""
    count = 0
    for piece in filter(None, listed.split(",")):
        first, _, last = piece.partition("-")
        if not (first + last).isdigit():
            return 0
        count += int(last or first) - int(first) + 1
    return count
