"""All devices of a plan, and which of them has something to say next. Pure: moments go in."""

import heapq
import math
from collections.abc import Iterator

from edge_agent.wire.manifest import Manifest
from host_tools.simulation.device import Said, SimulatedDevice
from host_tools.simulation.plan import Plan


class Fleet:
    """The devices of ``plan``, by their numbers from 0; every moment is in seconds since the epoch.

    Attributes:
        devices: all of them; a device acts from :meth:`connected` to :meth:`lost`.
    """

    def __init__(self, plan: Plan, now: float) -> None:
        self.devices = [SimulatedDevice(plan, number, now) for number in range(plan.devices)]
        self._due: list[tuple[float, int]] = []
        self._planned = [math.inf] * plan.devices
        """Of each device, the moment in the heap that counts; others there are of a plan that was changed."""
        self._acts = [False] * plan.devices

    def is_connected(self, number: int) -> bool:
        """Whether a device is connected."""
        return self._acts[number]

    @property
    def connected_count(self) -> int:
        """How many are connected."""
        return sum(self._acts)

    @property
    def working_count(self) -> int:
        """How many have a job under way."""
        return sum(device.working for device in self.devices)

    @property
    def due(self) -> float:
        """When the next one may have something to say; infinite: nobody has."""
        return self._due[0][0] if self._due else math.inf

    def connected(self, number: int, now: float) -> list[Said]:
        """A device is connected; what it says to that."""
        said = self.devices[number].connected(now)
        self._acts[number] = True
        self._plan_next(number)
        return said

    def lost(self, number: int) -> None:
        """A device has lost its connection. Its jobs go on, and it will tell of them when it is back."""
        self._acts[number] = False

    def order(self, number: int, manifest: Manifest, job: str, now: float) -> list[Said]:
        """A device got an order; what it says to that. What is not for it changes nothing."""
        device = self.devices[number]
        if not device.is_meant_by(manifest.targets):
            return []
        said = device.order(manifest.name, manifest.version, job, now)
        self._plan_next(number)
        return said

    def advance(self, now: float) -> Iterator[tuple[int, list[Said]]]:
        """Each connected device that has something to say by ``now``, and what; nothing: it loses its connection."""
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
