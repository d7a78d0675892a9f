"""Lists the sensors attached to this device from the kernel's files. Opens none of them."""

from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import ConfigError
from edge_agent.strict import did_you_mean

KINDS = ("serial", "camera", "iio", "audio", "replay")
"""Those that ``init`` can set up; the others have their own section in the configuration's reference."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor: its kind, and where it is.

    Attributes:
        channels: those that the kernel names; empty: not known.
    """

    kind: str
    where: str
    channels: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}:{self.where}" if self.where else self.kind


def found_sensors(root: Path = Path("/")) -> list[Sensor]:
    """The attached sensors, with stable names where the kernel has them."""
    dev = root / "dev"
    serial = sorted(dev.glob("serial/by-id/*")) or sorted([*dev.glob("ttyUSB*"), *dev.glob("ttyACM*")])
    cameras = sorted(dev.glob("v4l/by-id/*-index0")) or sorted(dev.glob("video[0-9]*"))
    return [
        *(Sensor("serial", str(path)) for path in serial),
        *(Sensor("camera", str(path)) for path in cameras),
        *(sensor for folder in sorted(root.glob("sys/bus/iio/devices/iio:device*")) if (sensor := _iio(folder))),
    ]


def parse_sensor(text: str) -> Sensor | None:
    """``KIND:WHERE`` as a sensor; None: ``none``. Raises ``ConfigError`` (usage) for anything else."""
    if text == "none":
        return None
    kind, _, where = text.partition(":")
    if kind not in KINDS:
        hint = did_you_mean(kind, (*KINDS, "none"))
        raise ConfigError("usage", f"--sensor {text}: unknown kind {kind!r}{hint}")
    if not where and kind != "audio":
        example = {
            "serial": "/dev/ttyUSB0",
            "camera": "/dev/video0",
            "iio": "bmi160",
            "replay": "/path/to/recording.csv",
        }
        raise ConfigError("usage", f"--sensor {text}: say where it is, such as {kind}:{example[kind]}")
    return Sensor(kind, where)


def _iio(folder: Path) -> Sensor | None:
    try:
        name = (folder / "name").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    channels = tuple(sorted(path.name[3:-4] for path in folder.glob("in_*_raw")))
    return Sensor("iio", name, channels) if channels else None
