"""System resources that a sensor's process needs, derived from ``[sources.NAME]``."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent.settings.source_kinds import own_kinds

_NETWORKED = ("mqtt", "serial")
"""Our kinds that may reach a sensor over the network. Sensors of all others are attached to this computer."""
_BLUETOOTH = 31  # linux/socket.h; a Python built without the Bluetooth headers lacks the constant
_BUSES = (socket.AF_NETLINK, socket.AF_CAN, _BLUETOOTH)
"""Netlink, on which the kernel reports hotplugged devices to libusb, and two buses that sensors use."""
_IIO_BUS = ("bus", "iio", "devices")


def may_connect(table: Mapping[str, Any]) -> bool:
    """Whether a source may need the network. Local kinds, and serial ports without a URL, do not."""
    kind = table.get("kind")
    if kind == "serial":
        return "://" in str(table.get("port"))
    return kind in _NETWORKED or kind not in own_kinds()


def socket_families(table: Mapping[str, Any]) -> tuple[int, ...]:
    """The socket families (``AF_…``) that a source may need in addition to local ones.

    Kinds of other packages get the network and both buses, because their needs are unknown and no setting grants more.
    """
    if not may_connect(table):
        return ()
    network = (socket.AF_INET, socket.AF_INET6)
    return network if table.get("kind") in own_kinds() else (*network, *_BUSES)


def devices_elsewhere(table: Mapping[str, Any]) -> list[Path]:
    """Non-standard device folders of a table, as in a container: sysfs and dev of kind iio."""
    if table.get("kind") != "iio":
        return []
    sysfs, dev = Path(str(table.get("sysfs", ""))), Path(str(table.get("dev", "")))
    if sysfs.parts[2:][-3:] == _IIO_BUS:  # its entries are links into the rest of the tree
        sysfs = sysfs.parents[2]
    return [folder for folder in (sysfs, dev) if folder.is_absolute() and folder.is_dir()]
