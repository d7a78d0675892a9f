"""What the process that opens a sensor needs of the system, as ``[sources.NAME]`` says it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ALL_HERE = ("audio", "camera", "iio")
"""Kinds whose sensors hang on this computer."""
_IIO_BUS = ("bus", "iio", "devices")


def may_connect(table: Mapping[str, Any]) -> bool:
    """Whether a source may need the network: of our own kinds, only those that say so."""
    kind = table.get("kind")
    return kind not in _ALL_HERE and not (kind == "serial" and "://" not in str(table.get("port")))


def devices_elsewhere(table: Mapping[str, Any]) -> list[Path]:
    """Where a table says that devices and their settings are, as in a container: of kind iio, the trees of the two."""
    if table.get("kind") != "iio":
        return []
    sysfs, dev = Path(str(table.get("sysfs", ""))), Path(str(table.get("dev", "")))
    if sysfs.parts[2:][-3:] == _IIO_BUS:  # what lies there are links into the rest of the tree
        sysfs = sysfs.parents[2]
    return [folder for folder in (sysfs, dev) if folder.is_absolute() and folder.is_dir()]
