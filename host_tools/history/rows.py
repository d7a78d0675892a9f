"""Converts messages into rows of the database. Pure.

A device's clock may be wrong by decades. Its time is used if it is neither in the future nor before the kept history;
otherwise the time of arrival is used.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Table

from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, Message
from edge_agent.wire.telemetry import Event, Health, ModelSample, ModelState
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.fleet.reading import Said
from host_tools.history.schema import EVENTS, HEALTH, MODEL_STATES, REPORTS, SERVING

_MOST_OF_KEY = 64
"""Characters of a boot id, which has 36: an index of PostgreSQL allows 2,704 bytes for the whole key."""
_AHEAD_S = 60.0
_EARLIEST = 1_704_067_200.0
"""2024-01-01: agents did not exist before."""
_TABLES: dict[type[Message], Table] = {
    Health: HEALTH, ModelSample: SERVING, ModelState: MODEL_STATES, JobReport: REPORTS, Event: EVENTS,
}  # fmt: skip
_COLUMNS = {
    kind: [column.name for column in table.columns if column.name not in ("at", "received", "results")]
    for kind, table in _TABLES.items()
}
_MOMENTS = ("active_since", "started")


@dataclass(slots=True)
class Rows:
    """Rows that belong together: table → its rows, new facts about devices, and devices that went offline."""

    of: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Devices that the broker reports as offline, which is no message of theirs, so ``last_seen`` does not change."""

    def __len__(self) -> int:
        return sum(map(len, self.of.values())) + len(self.devices) + len(self.gone)

    def add(
        self, said: Said, received: float, *, earliest: float = 0.0, retained: bool = False, trusted: bool = True
    ) -> None:
        """Add a message received at ``received``; rows from before ``earliest`` are not kept (epoch seconds).

        ``trusted``: whether the device's clock was set, as far as that is known.
        """
        message = said.message
        if message is None or (isinstance(message, DeviceStatus) and not message.online):
            if said.kind == "status":
                self.gone.add(said.device)
            return
        if retained and isinstance(message, Health | ModelSample | Event):
            return  # agents never retain these
        spoken = _spoken(message, received) if trusted else None
        when = received if spoken is None or not retained else spoken
        match message:
            case DeviceStatus():
                self.gone.discard(said.device)
                self._know(said.device, when, online=True)
            case DeviceInfo():
                about = {key: getattr(message, key) for key in ("board", "arch", "agent_version", "memory_bytes")}
                self._know(said.device, when, **about, groups=",".join(message.groups))
            case _:
                self._know(said.device, when)
                if spoken is not None and spoken < earliest:
                    if retained:  # it was stored when it was new, and would be deleted again
                        return
                    spoken = None
                table = _TABLES[type(message)]
                at = received if spoken is None else spoken
                self.of.setdefault(table.name, []).append(_row(message, at, received))

    def _know(self, device: str, when: float, **about: Any) -> None:
        known = self.devices.setdefault(device, _unknown(device, when))
        known["first_seen"] = min(known["first_seen"], when)
        known["last_seen"] = max(known["last_seen"], when)
        known |= about


def _unknown(device: str, when: float) -> dict[str, Any]:
    nothing = dict.fromkeys(("online", "board", "arch", "agent_version", "memory_bytes", "groups"))
    return {"device": device, "first_seen": when, "last_seen": when, **nothing}


def _row(message: Message, at: float, received: float) -> dict[str, Any]:
    row = {name: getattr(message, name) for name in _COLUMNS[type(message)]}
    row["boot_id"] = message.boot_id[:_MOST_OF_KEY]
    for name in _MOMENTS:
        if name in row:
            row[name] = parse_rfc3339(row[name])
    if isinstance(message, JobReport):
        row["results"] = msgspec.json.encode(message.results).decode() if message.ended else None
    return row | {"at": at, "received": received}


def _spoken(message: Message, received: float) -> float | None:
    """When a message was made, by the device's clock; None if the clock is wrong, or may be."""
    said = parse_rfc3339(message.ts)
    if said is None or (isinstance(message, Health) and not message.clock_plausible):
        return None
    return said if _EARLIEST <= said <= received + _AHEAD_S else None
