"""The rows of a fleet: made from its state, and cached while they are valid."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from host_tools.fleet.device_state import DeviceState
from host_tools.fleet.reading import Said
from host_tools.fleet.row import Row
from host_tools.fleet.rows import right_until, rows_of
from host_tools.fleet.state import Fleet


@dataclass(frozen=True, slots=True)
class _Made:
    """Rows, and the state that they were made from."""

    rows: list[Row]
    changed: int
    until: float
    newest: tuple[int, ...]
    """For each row's model, the newest version that any device runs."""


class FleetView:
    """The rows of all devices, or of the named ones.

    Args:
        names: the devices to show; None: all that publish anything.

    Attributes:
        fleet: the state of the devices; named devices have rows even without a state.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self.fleet = Fleet()
        self._named = None if names is None else {name: DeviceState(name) for name in names}
        self._made: dict[str, _Made] = {}

    def __contains__(self, name: str) -> bool:
        return name in (self.fleet.devices if self._named is None else self._named)

    @property
    def names(self) -> list[str]:
        """The devices, in order."""
        return sorted(self.fleet.devices if self._named is None else self._named)

    @property
    def stateless(self) -> list[str]:
        """The devices whose jobs are described by reports only."""
        return sorted(filter(self.is_stateless, self.fleet.devices))

    def is_stateless(self, name: str) -> bool:
        """Whether a device's jobs are described by reports only."""
        return name in self.fleet.devices and self.fleet.devices[name].is_stateless

    def take(self, said: Said, now: float, *, retained: bool = False) -> bool:
        """Apply a device's message; False: the device is not shown, or the message contains nothing new."""
        if self._named is not None and said.device not in self._named:
            return False
        return self.fleet.take(said, now, retained=retained)

    def rows(self, now: float) -> Iterator[Row]:
        """All rows, ordered by device and model."""
        if len(self._made) > len(self.fleet.devices):
            self._made = {name: made for name, made in self._made.items() if name in self.fleet.devices}
        newest = self._newest_versions()
        for name in self.names:
            yield from self._rows_of(self._device(name), newest, now)

    def rows_of(self, device: str, now: float) -> list[Row]:
        """The rows of one device."""
        return self._rows_of(self._device(device), self._newest_versions(), now) if device in self else []

    def _device(self, name: str) -> DeviceState:
        known = self.fleet.devices.get(name)
        return known if known is not None or self._named is None else self._named[name]  # type: ignore[return-value]

    def _newest_versions(self) -> Counter[str]:
        newest: Counter[str] = Counter()
        for device in self.fleet.devices.values():
            for name, state in device.models.items():
                newest[name] = max(newest[name], state.active_version)
        return newest

    def _rows_of(self, device: DeviceState, newest: Counter[str], now: float) -> list[Row]:
        made = self._made.get(device.id)
        if made is None or made.changed != device.changed or now > made.until:
            made = _Made(list(rows_of(device, now)), device.changed, right_until(device, now), ())
        versions = tuple(newest[row.model] for row in made.rows)
        if made.newest != versions:
            rows = [
                replace(row, outdated=0 < row.version < version)
                for row, version in zip(made.rows, versions, strict=True)
            ]
            made = replace(made, rows=rows, newest=versions)
        self._made[device.id] = made
        return made.rows
