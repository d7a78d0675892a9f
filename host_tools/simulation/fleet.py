"""All devices of a plan, and the schedule of their next messages. Pure: times go in."""

import heapq
import math
from collections.abc import Iterator

from edge_agent.wire.manifest import Manifest
from host_tools.simulation.device import Said, SimulatedDevice
from host_tools.simulation.plan import Plan


class Fleet:
    """The devices of ``plan``, by their numbers from 0; all times are seconds since the epoch.

    Attributes:
        devices: all devices; a device is active from :meth:`connected` to :meth:`lost`.
    """

    def __init__(self, plan: Plan, now: float) -> None:
        self.devices = [SimulatedDevice(plan, number, now) for number in range(plan.devices)]
        self._due: list[tuple[float, int]] = []
        self._planned = [math.inf] * plan.devices
        """The valid heap entry of each device; its other entries belong to changed plans."""
        self._acts = [False] * plan.devices

    def is_connected(self, number: int) -> bool:
        """Whether a device is connected."""
        return self._acts[number]

    @property
    def connected_count(self) -> int:
        """The number of connected devices."""
        return sum(self._acts)

    @property
    def working_count(self) -> int:
        """The number of devices with a running job."""
        return sum(device.working for device in self.devices)

    @property
    def due(self) -> float:
        """When the next device may publish something; infinite if none will."""
        return self._due[0][0] if self._due else math.inf

    def connected(self, number: int, now: float) -> list[Said]:
        """Note a device's connection; returns its messages."""
        said = self.devices[number].connected(now)
        self._acts[number] = True
        self._plan_next(number)
        return said

    def lost(self, number: int) -> None:
        """Note the loss of a connection. The device's jobs continue, and it reports them when it is back."""
        self._acts[number] = False

    def order(self, number: int, manifest: Manifest, job: str, now: float) -> list[Said]:
        """Pass an order to a device; returns its messages. An order for others changes nothing."""
        device = self.devices[number]
        if not device.is_meant_by(manifest.targets):
            return []
        said = device.order(manifest.name, manifest.version, job, now)
        self._plan_next(number)
        return said

    def advance(self, now: float) -> Iterator[tuple[int, list[Said]]]:
        """Each connected device with messages due by ``now``, and these.

        An empty list means that it loses its connection.
        """
        while self._due and self._due[0][0] <= now:
            moment, number = heapq.heappop(self._due)
            if moment != self._planned[number]:
                continue
            self._planned[number] = math.inf
            if not self._acts[number]:
                continue
            device = self.devices[number]
            if device.drops(now):
                yield number, []
            elif said := device.advance(now):
                yield number, said
            self._plan_next(number)

    def _plan_next(self, number: int) -> None:
        moment = self.devices[number].due
        if moment != self._planned[number]:
            self._planned[number] = moment
            heapq.heappush(self._due, (moment, number))
