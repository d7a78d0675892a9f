"""The reasons that slow the processor down now or did since boot: heat, too little voltage, too much current.

* Raspberry Pi: bits of ``vcgencmd get_throttled`` (Raspberry Pi OS documentation), which the Pi's own kernel also shows
  in sysfs; every kernel: ``Documentation/hwmon/raspberrypi-hwmon.rst`` (``in0_lcrit_alarm`` of ``rpi_volt``)
* Jetson: NVIDIA Jetson Linux Developer Guide, "Platform Power and Performance": ``oc*_event_cnt`` of ``soctherm_oc``
  and the ``*-throttle-alert`` cooling devices
* any board: cooling devices of cpufreq (``driver-api/thermal/sysfs-api.rst``); x86 counters
  (``ABI/testing/sysfs-devices-system-cpu``)
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from edge_agent.device.kernel_files import entries, number, text

UNDERVOLTAGE = "undervoltage"
"""The only reason that concerns the power supply; every other one means that the processor is slowed down."""
_PI_BITS = {0: UNDERVOLTAGE, 1: "frequency_capped", 2: "throttled", 3: "soft_temperature_limit"}
_PI_STICKY = 16
"""Offset of the same bits for events since boot, until the kernel's voltage driver clears them."""
_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Throttling:
    """The current reasons, and a count of such events that increases only while they happen.

    Attributes:
        happened: reasons that the firmware remembers since boot; each one also counts in ``events``.
        tells_speed: whether this machine can report that the processor is slowed down.
        tells_voltage: whether this machine can report too little voltage.
        remembers: whether this machine remembers past events.
    """

    reasons: tuple[str, ...]
    events: int
    happened: tuple[str, ...] = ()
    tells_speed: bool = False
    tells_voltage: bool = False
    remembers: bool = False

    def since(self, earlier: "Throttling") -> tuple[str, ...]:
        """Return the reasons that slowed the processor down since ``earlier``; empty: none were noticed."""
        counted = ("throttle_events",) if self.events > earlier.events else ()
        return tuple(dict.fromkeys(earlier.reasons + self.reasons + counted))

    @property
    def counted(self) -> int:
        """Events in the kernel's counters, without those that the firmware remembers."""
        return self.events - len(self.happened)


@dataclass(slots=True)
class ThrottlingFiles:
    """The files in which this kernel reports throttling, without those of drivers that are loaded later."""

    firmware: list[Path] = field(default_factory=list)
    voltage: list[Path] = field(default_factory=list)
    counters: list[Path] = field(default_factory=list)
    cooling: dict[Path, str] = field(default_factory=dict)
    """``cur_state`` → the kind of the cooling device."""

    @classmethod
    def find(cls, root: Path = _ROOT) -> Self:
        """Find the files below ``root``."""
        found = cls(firmware=list((root / "sys/devices/platform").glob("soc*/*firmware/get_throttled")))
        for monitor in entries(root / "sys/class/hwmon"):
            match text(monitor / "name"):
                case "rpi_volt":
                    found.voltage.append(monitor / "in0_lcrit_alarm")
                case "soctherm_oc":
                    found.counters += monitor.glob("oc*_event_cnt")
        for device in entries(root / "sys/class/thermal", "cooling_device"):
            kind = text(device / "type")
            if "cpufreq" in kind or kind.endswith("throttle-alert"):
                found.cooling[device / "cur_state"] = kind
        for core in entries(root / "sys/devices/system/cpu", "cpu"):
            counter = core / "thermal_throttle/core_throttle_count"
            if counter.exists():
                found.counters.append(counter)
        return found

    def read(self) -> Throttling:
        """Read the files."""
        reasons: list[str] = []
        happened: list[str] = []
        firmware = [bits for bits in map(_bits, self.firmware) if bits is not None]
        for bits in firmware:
            reasons += [name for bit, name in _PI_BITS.items() if bits >> bit & 1]
            happened += [name for bit, name in _PI_BITS.items() if bits >> _PI_STICKY + bit & 1]
        voltage = [alarm for alarm in map(text, self.voltage) if alarm]
        reasons += [UNDERVOLTAGE for alarm in voltage if alarm == "1"]
        cooling = [(kind, state) for file, kind in self.cooling.items() if (state := number(file)) is not None]
        reasons += [kind for kind, state in cooling if state > 0]
        counts = [count for file in self.counters if (count := number(file)) is not None]
        return Throttling(
            tuple(dict.fromkeys(reasons)),
            len(happened) + sum(counts),
            tuple(happened),
            tells_speed=bool(firmware or cooling or counts),
            tells_voltage=bool(firmware or voltage),
            # The kernel's voltage driver clears the firmware's memory every two seconds.
            remembers=bool(counts) or (bool(firmware) and not voltage),
        )


def throttling(root: Path = _ROOT) -> Throttling:
    """Return the current reasons, and the sum of all counters of such events."""
    return ThrottlingFiles.find(root).read()


def _bits(file: Path) -> int | None:
    try:
        return int(text(file), 16)
    except ValueError:
        return None
