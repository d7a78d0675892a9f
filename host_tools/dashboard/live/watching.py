"""The picture of the fleet behind all pages; a separate thread listens to the broker.

Readers and writers hold a lock while they make rows. ``revision`` rises with every change, so a stream that has seen
the last one has nothing to do.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge_agent.mqtt import Incoming
from edge_agent.wire.messages import DeviceInfo, JobReport
from edge_agent.wire.telemetry import ModelState
from edge_agent.wire.topics import EVERYONE, Topics
from host_tools.broker.packed import Packed, pack
from host_tools.dashboard.history.memory import MemoryHistory
from host_tools.dashboard.live.details import KINDS, Details
from host_tools.dashboard.live.heap import give_back
from host_tools.dashboard.live.sealed import head_in, info_in, report_in
from host_tools.fleet.device_state import DeviceState, copied
from host_tools.fleet.flood import Flood
from host_tools.fleet.names import is_name
from host_tools.fleet.reading import Said, Unreadable, device_of, models_first, read
from host_tools.fleet.row import Row
from host_tools.fleet.state import Fleet
from host_tools.fleet.view import FleetView


@dataclass(frozen=True, slots=True)
class BrokerState:
    """Whether the broker is connected, and since when (seconds since the epoch).

    Attributes:
        heard: whether it ever was; before that there is nothing to show.
    """

    up: bool
    since: float
    heard: bool = False


class Watched:
    """Holds the fleet's messages; :func:`host_tools.fleet.listening.follow` feeds it.

    Attributes:
        revision: rises with every change.
        broker: the state of the broker's connection.
        messages: number of received messages.
        recent: samples since the dashboard's start, in bounded memory.
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
        self._details = Details(self._topics)
        self.recent = MemoryHistory()

    # Called by pages

    def rows(self, now: float) -> list[Row]:
        """One row per model and device, ordered by device and model."""
        with self._lock:
            return list(self._view.rows(now))

    def rows_of(self, device: str, now: float) -> list[Row]:
        """The rows of one device; empty if it is unknown."""
        with self._lock:
            return self._view.rows_of(device, now)

    def device(self, name: str) -> DeviceState | None:
        """A copy of a device's current state; None if it is unknown."""
        with self._lock:
            found = self._view.fleet.devices.get(name)
            return None if found is None else copied(found)

    def model(self, name: str) -> list[DeviceState]:
        """The devices that have a model of that name, ordered."""
        with self._lock:
            devices = self._view.fleet.devices
            return [copied(devices[one]) for one in sorted(devices) if name in devices[one].models]

    def devices(self) -> list[str]:
        """The names of all devices, ordered."""
        with self._lock:
            return sorted(self._view.fleet.devices)

    def groups(self) -> list[str]:
        """The groups of all devices, ordered."""
        with self._lock:
            boards = (one.board for one in self._view.fleet.devices.values())
            return sorted({group for board in boards if board for group in board.groups if is_name(group)})

    def members(self, group: str) -> list[str]:
        """The devices of a group, ordered."""
        with self._lock:
            devices = self._view.fleet.devices.values()
            return sorted(one.id for one in devices if one.board and group in (EVERYONE, *one.board.groups))

    def info(self, device: str) -> DeviceInfo | None:
        """A device's info."""
        with self._lock:
            found = self._details.info(device)
        return info_in(found) if found else None

    def report(self, device: str, job: str) -> JobReport | None:
        """The newest report of a job."""
        with self._lock:
            found = self._details.report(device, job)
        return report_in(found) if found else None

    def reports(self, device: str) -> list[JobReport]:
        """The reports of a device's jobs without their results, the newest first."""
        with self._lock:
            found = self._details.reports(device)
        return [report for one in found if (report := head_in(one))]

    def touch(self) -> None:
        """Note a change that pages show although it came from no device."""
        self.revision += 1

    # Called by the listening thread

    def connected(self, *, up: bool) -> None:
        """Note whether the broker is connected."""
        if up is not self.broker.up:  # the retained messages have been read before
            self.broker = BrokerState(up, time.time(), heard=True)
            self.revision += 1

    def kept(self, messages: Packed) -> None:
        """Replace the state by all retained messages, which are decoded without the lock, as that takes seconds."""
        details = Details(self._topics)
        kept = Fleet.of_kept(self._read_kept(messages, details), time.time())
        with self._lock:
            self._details = details
            self._view.fleet.replace_kept(kept, time.time())
            self.revision += 1
        give_back()

    def _read_kept(self, messages: Packed, details: Details) -> Iterator[Said]:
        states: set[tuple[str, str]] = set()
        for topic in models_first(messages):
            self.messages += 1
            payload = messages[topic]
            said = read(self._topics, topic, payload, results=False)
            if not isinstance(said, Said):
                continue
            match said.message:
                case ModelState(model=model):
                    states.add((said.device, model))
                case JobReport(model=model) if (said.device, model) not in states:  # its results describe the model
                    said = _whole(self._topics, topic, payload, said)  # decoded with its results
            details.take(said, messages.packed(topic))
            del messages[topic]  # it is stored, or has no room
            yield said

    def heard(self, message: Incoming) -> None:
        """Handle a device's message, unless that device sends too many."""
        if message.retained or self._lets_in(message.topic):
            self._take(message.topic, message.payload, retained=message.retained)

    def tick(self) -> bool:
        """Report devices that send too many messages; nothing waits here."""
        for news in self._flood.news(time.monotonic()):
            self._say(news)
        return False

    def _lets_in(self, topic: str) -> bool:
        return self._flood.lets_in(device_of(self._topics, topic), time.monotonic())

    def _take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        self.messages += 1
        said = read(self._topics, topic, payload)
        if isinstance(said, Unreadable):
            return
        packed = pack(payload) if said.kind in KINDS else b""
        with self._lock:
            self.revision += 1
            if self._view.take(said, time.time(), retained=retained):
                self.recent.take(said.message, time.time())
            self._details.take(said, packed)


def _whole(topics: Topics, topic: str, payload: bytes, part: Said) -> Said:
    said = read(topics, topic, payload)
    return said if isinstance(said, Said) else part
