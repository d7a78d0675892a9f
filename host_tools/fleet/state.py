"""The newest messages of each device in a fleet, in bounded memory. Pure: messages and times go in.

All views are pure functions of it: :mod:`host_tools.fleet.rows`, the exporter's metrics.
"""

from collections.abc import Iterable

from edge_agent.wire.telemetry import Event, Health, ModelSample
from host_tools.fleet.device_state import DeviceState
from host_tools.fleet.noting import clear, note, see
from host_tools.fleet.reading import Said

MOST_DEVICES = 20_000
FORGET_S = 3600.0
"""Time after which a silent device without retained messages is forgotten."""
_LIVE = (Health, ModelSample, Event)
_RETAINED = ("status", "info", "model", "job")


class Fleet:
    """All devices by id.

    Attributes:
        devices: at most :data:`MOST_DEVICES`.
        left_out: messages of further devices.
        changes: rises with every message that changes something.
    """

    def __init__(self) -> None:
        self.devices: dict[str, DeviceState] = {}
        self.left_out = 0
        self.changes = 0

    def take(self, said: Said, now: float, *, retained: bool = False) -> bool:
        """Apply a device's message at ``now``; False: it contains nothing new.

        ``retained``: the message was retained, so it may be old. A device whose last retained message is cleared is
        removed until it publishes again.
        """
        device = self.devices.get(said.device)
        if said.message is None:
            return device is not None and self._clear(device, said)
        if retained and isinstance(said.message, _LIVE):
            return False  # agents never retain these, so this one's age is unknown
        if device is None:
            if len(self.devices) >= MOST_DEVICES:
                self.left_out += 1
                return False
            device = self.devices[said.device] = DeviceState(said.device)
        noted = note(device, said.message, now)
        see(device, said.message, now, retained=retained)
        self._change(device)
        return noted

    def replace_kept(self, kept: "Fleet", now: float) -> None:
        """Use the retained state from ``kept``, made by :meth:`of_kept`, with the live data of this fleet."""
        before, self.devices = self.devices, kept.devices
        for name, device in before.items():
            self.devices.setdefault(name, DeviceState(name)).adopt_live(device)
        for device in self.devices.values():
            self._change(device)
        self.forget(now)

    @classmethod
    def of_kept(cls, messages: Iterable[Said], now: float) -> "Fleet":
        """A fleet made from retained messages.

        Models must come before jobs (:func:`host_tools.fleet.reading.models_first`): they decide what to store of jobs.
        """
        fleet = cls()
        for said in messages:
            fleet.take(said, now, retained=True)
        return fleet

    def forget(self, now: float) -> None:
        """Remove devices without retained messages that have been silent for long."""
        gone = [name for name, one in self.devices.items() if not one.kept and now - one.seen > FORGET_S]
        for name in gone:
            self.changes += 1
            del self.devices[name]

    def _clear(self, device: DeviceState, said: Said) -> bool:
        if said.kind not in _RETAINED:
            return False
        clear(device, said)
        self._change(device)
        if not device.kept:
            del self.devices[device.id]
        return True

    def _change(self, device: DeviceState) -> None:
        self.changes += 1
        device.changed = self.changes
