"""What the process that opens a sensor needs of the system, as ``[sources.NAME]`` says it."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent.settings.source_kinds import own_kinds

_ALL_HERE = ("audio", "camera", "iio")
"""Kinds whose sensors hang on this computer."""
_BLUETOOTH = 31  # linux/socket.h; a Python that was built without its headers has no name for it
_BUSES = (socket.AF_NETLINK, socket.AF_CAN, _BLUETOOTH)
"""Where the kernel names devices that come and go, as libusb asks it; and two buses that sensors hang on."""
_IIO_BUS = ("bus", "iio", "devices")


def may_connect(table: Mapping[str, Any]) -> bool:
    """Whether a source may need the network: of our own kinds, only those that say so."""
    kind = table.get("kind")
    return kind not in _ALL_HERE and not (kind == "serial" and "://" not in str(table.get("port")))


def socket_families(table: Mapping[str, Any]) -> tuple[int, ...]:
    """The families of sockets (``AF_…``) that a source may need beside those of this computer.

    Nothing is known of the kinds that other packages bring, and no setting could let one have its bus.
    """
    if not may_connect(table):
        return ()
    network = (socket.AF_INET, socket.AF_INET6)
    return network if table.get("kind") in own_kinds() else (*network, *_BUSES)


def devices_elsewhere(table: Mapping[str, Any]) -> list[Path]:
    """Where a table says that devices and their settings are, as in a container: of kind iio, the trees of the two."""
    if table.get("kind") != "iio":
        return []
    sysfs, dev = Path(str(table.get("sysfs", ""))), Path(str(table.get("dev", "")))
    if sysfs.parts[2:][-3:] == _IIO_BUS:  # what lies there are links into the rest of the tree
        sysfs = sysfs.parents[2]
    return [folder for folder in (sysfs, dev) if folder.is_absolute() and folder.is_dir()]
