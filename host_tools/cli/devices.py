"""``host-tools devices``: lists the devices, their hardware, and their active releases."""

import json
import sys
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from host_tools.broker.registry import Device, read_devices
from host_tools.broker.session import Session
from host_tools.cli.options import connection_of, name_of
from host_tools.display.console import stdout_console

_GIB = 1 << 30


def devices(
    context: typer.Context,
    *,
    group: Annotated[str | None, typer.Option("--group", metavar="NAME", help="only this group's members")] = None,
) -> None:
    """List the devices that the broker knows.

    Shows their state, groups, hardware, sources, and active releases.
    """
    options = connection_of(context)
    if group:
        name_of(group, "group")
    with Session(options.settings()) as session:
        known = read_devices(session)
    wanted = [
        device
        for name, device in sorted(known.items())
        if group is None or (device.info is not None and group in device.info.groups)
    ]
    if options.as_json:
        print(json.dumps([as_dict(device) for device in wanted]))
        return
    if not wanted:
        print("no device has spoken here yet; check --broker and --namespace", file=sys.stderr)
    stdout_console().print(device_table(wanted))


def as_dict(device: Device) -> dict[str, Any]:
    """The fields of a device for scripts: its info and its status."""
    fields: dict[str, Any] = msgspec.to_builtins(device.info) if device.info else {"device": device.id}
    fields["online"] = device.online
    if device.status:
        fields["last_seen"] = device.status.ts
        fields["clock_plausible"] = device.status.clock_plausible
        fields["refused"] = msgspec.to_builtins(device.status.refused)
        fields["refused_count"] = device.status.refused_count
        if device.status.twin:
            fields["twin"] = device.status.twin
    return fields


def device_table(devices: list[Device]) -> Table:
    """A table with one row per device. Pure."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for heading in ("device", "state", "groups", "hardware", "sources", "active"):
        table.add_column(heading, overflow="fold", min_width=len(heading))  # a heading is not split
    for device in devices:
        info = device.info
        state = Text("online", "green") if device.online else Text("offline", "dim")
        if device.status and device.status.refused:
            state.append(f" refused {device.status.refused.model}: {device.status.refused.code}", "red")
        if device.status and device.status.twin:
            state.append(" another client has its id", "red")
        hardware = [info.board, info.arch, f"{info.memory_bytes / _GIB:.1f} GiB"] if info else []
        active = (
            [f"{one.model} {one.version} ({one.verdict}{', stale' if one.stale else ''})" for one in info.active]
            if info
            else []
        )
        cells = (
            ", ".join(info.groups) if info else "",
            ", ".join(filter(None, hardware)),
            ", ".join(info.sources) if info else "",
            ", ".join(active),
        )
        table.add_row(device.id, state, *cells)
    return table
