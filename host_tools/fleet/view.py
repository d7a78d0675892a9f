"""The rows of a fleet: made of its state, and kept for as long as they are right."""

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
    """Rows, and what they were made of."""

    rows: list[Row]
    changed: int
    until: float
    newest: tuple[int, ...]
    """Of each row's model, the newest version that any device runs."""


class FleetView:
    """The rows of all devices, or of those that were named.

    Args:
        names: the devices that are looked at; None: all that say something.

    Attributes:
        fleet: what is known of them; of those that were named there is always something to show.
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
        """The devices of whose jobs only their reports tell."""
        return sorted(filter(self.is_stateless, self.fleet.devices))

    def is_stateless(self, name: str) -> bool:
        """Whether only its reports tell of the jobs of a device."""
        return name in self.fleet.devices and self.fleet.devices[name].is_stateless

    def take(self, said: Said, now: float, *, retained: bool = False) -> bool:
        """Note what a device says; False: it is none of ours, or says nothing that is new here."""
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
