"""The one picture of the fleet that all pages are drawn from; a thread of its own hears the broker.

Whoever reads or writes it holds a lock, for as long as it takes to make rows. ``revision`` rises with every change, so
a stream that knows the last one has nothing to do when there is none.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from edge_agent.mqtt import Incoming
from edge_agent.wire.messages import DeviceInfo, JobReport
from edge_agent.wire.telemetry import Event, ModelState
from edge_agent.wire.topics import EVERYONE, Topics
from host_tools.dashboard.history.memory import MemoryHistory
from host_tools.dashboard.live.details import Details
from host_tools.fleet.flood import Flood
from host_tools.fleet.reading import Said, Unreadable, device_of, models_first, read
from host_tools.fleet.row import Row
from host_tools.fleet.state import DeviceState, copied
from host_tools.fleet.view import FleetView


@dataclass(frozen=True, slots=True)
class BrokerState:
    """Whether the broker can be heard, and since when that is so (seconds since the epoch).

    Attributes:
        heard: whether it ever was; before that there is nothing to show.
    """

    up: bool
    since: float
    heard: bool = False


class Watched:
    """Keeps what the fleet says; :func:`host_tools.fleet.listening.follow` tells it what there is.

    Attributes:
        revision: rises with every change.
        broker: whether the broker can be heard.
        messages: that came.
        recent: samples since the dashboard runs, in bounded memory.
    """

    wants_all = False

    def __init__(self, topics: Topics, say: Callable[[str], None]) -> None:
        self.revision = 0
        self.messages = 0
        self.broker = BrokerState(up=False, since=time.time())
        self._topics = topics
        self._say = say
        self._lock = threading.Lock()
        self._flood = Flood()
        self._view = FleetView()
        self._details = Details()
        self.recent = MemoryHistory()

    # What pages ask

    def rows(self, now: float) -> list[Row]:
        """One row a model of each device, ordered by both."""
        with self._lock:
            return list(self._view.rows(now))

    def rows_of(self, device: str, now: float) -> list[Row]:
        """The rows of one device; none: nobody knows it."""
        with self._lock:
            return self._view.rows_of(device, now)

    def device(self, name: str) -> DeviceState | None:
        """The newest that a device has said, as it is now; None: nobody knows it."""
        with self._lock:
            found = self._view.fleet.devices.get(name)
            return None if found is None else copied(found)

    def model(self, name: str) -> list[DeviceState]:
        """The devices that have a model of that name, ordered."""
        with self._lock:
            devices = self._view.fleet.devices
            return [copied(devices[one]) for one in sorted(devices) if name in devices[one].models]

    def devices(self) -> list[str]:
        """Every device's name, ordered."""
        with self._lock:
            return sorted(self._view.fleet.devices)

    def groups(self) -> list[str]:
        """Every group that a device says it is in, ordered."""
        with self._lock:
            boards = (one.board for one in self._view.fleet.devices.values())
            return sorted({group for board in boards if board for group in board.groups})

    def members(self, group: str) -> list[str]:
        """The devices of a group, ordered."""
        with self._lock:
            devices = self._view.fleet.devices.values()
            return sorted(one.id for one in devices if one.board and group in (EVERYONE, *one.board.groups))

    def info(self, device: str) -> DeviceInfo | None:
        """What a device says of itself."""
        with self._lock:
            return self._details.info(device)

    def report(self, device: str, job: str) -> JobReport | None:
        """The newest report of a job."""
        with self._lock:
            return self._details.report(device, job)

    def reports(self, device: str) -> list[JobReport]:
        """The reports of a device's jobs, the newest first."""
        with self._lock:
            return self._details.reports(device)

    def touch(self) -> None:
        """Something that pages show has changed, although no device said anything."""
        self.revision += 1

    # What the listening thread tells

    def connected(self, *, up: bool) -> None:
        """Whether the broker can be heard."""
        if up is not self.broker.up:  # what the broker keeps has been read by then
            self.broker = BrokerState(up, time.time(), heard=True)
            self.revision += 1

    def kept(self, messages: Mapping[str, bytes]) -> None:
        """All that the broker keeps. It is read before the lock is taken, as it takes seconds for a large fleet."""
        details = Details()
        found = list(self._read_kept(messages, details))
        with self._lock:
            self._details = details
            self._view.fleet.replace_kept(found, time.time())
            self.revision += 1

    def _read_kept(self, messages: Mapping[str, bytes], details: Details) -> Iterator[Said]:
        states: set[tuple[str, str]] = set()
        for topic in models_first(messages):
            self.messages += 1
            if not isinstance(said := read(self._topics, topic, messages[topic]), Said):
                continue
            details.take(said)
            match said.message:
                case ModelState(model=model):
                    states.add((said.device, model))
                case JobReport(model=model) as report if (said.device, model) in states:
                    said = replace(said, message=msgspec.structs.replace(report, results={}))  # less of it
            yield said

    def heard(self, message: Incoming) -> None:
        """What a device says now, unless it says too much."""
        if message.retained or self._lets_in(message.topic):
            self._take(message.topic, message.payload, retained=message.retained)

    def tick(self) -> bool:
        """Nothing waits here."""
        return False

    def _lets_in(self, topic: str) -> bool:
        device, now = device_of(self._topics, topic), time.monotonic()
        if self._flood.lets_in(device, now):
            return True
        if news := self._flood.news(device, now):
            self._say(news)
        return False

    def _take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        self.messages += 1
        said = read(self._topics, topic, payload)
        if isinstance(said, Unreadable):
            return
        with self._lock:
            self._note(said, retained=retained)
            self.revision += 1

    def _note(self, said: Said, *, retained: bool) -> None:
        if isinstance(said.message, Event) and retained:
            return  # no agent has the broker keep one, and nobody knows how old it is
        new = self._view.take(said, time.time(), retained=retained)
        self._details.take(said)
        if new:
            self.recent.take(said.message, time.time())
