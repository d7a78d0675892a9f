"""Runs a simulated fleet on a broker until it is stopped, and cleans up after it.

Each device has its own connection with its own will, like a real one. With fewer connections than devices, several
share one, and none has a will: each publishes itself that it is offline.
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from edge_agent.errors import BrokerError
from edge_agent.mqtt import Connected, Event, Incoming
from edge_agent.mqtt.options import ClientOptions
from edge_agent.mqtt.outcome import Outcome, Reached
from edge_agent.mqtt.version import Version
from edge_agent.retry.backoff import Backoff
from edge_agent.wire.topics import CommandTopic, Scope, Topics, WantTopic
from host_tools.broker.registry import parse
from host_tools.broker.settings import Settings
from host_tools.simulation.crowd import Crowd
from host_tools.simulation.device import Said
from host_tools.simulation.fleet import Fleet
from host_tools.simulation.orders import read_order
from host_tools.simulation.plan import Plan

_TURN_S = 0.05
_GOOD_BYE_S, _SILENCE_S = 30.0, 5.0
"""Total time limit for leaving, and for the broker's silence meanwhile, as a person waits."""
_CONNECT_AGAIN_S = (1.0, 30.0)
_MOST_ORDERS = 20_000
_SHORT_SESSIONS = 5
"""Number of short sessions in a row on one connection, shorter than its longest pause, that indicate a twin."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The progress of a simulation.

    Attributes:
        connected: connected devices; after the end, those connected at that time.
        working: devices with a running job.
        messages: number of published messages.
        payload_bytes: size of their payloads.
        seconds: time since the start.
    """

    connected: int
    working: int
    messages: int
    payload_bytes: int
    seconds: float

    def since(self, before: "Counts | None") -> float:
        """Messages per second since ``before``; None: since the start."""
        seconds = self.seconds - (before.seconds if before else 0.0)
        return (self.messages - (before.messages if before else 0)) / seconds if seconds > 0 else 0.0


class Simulation:
    """A fleet on a broker.

    Args:
        settings: address of the broker, and the client's identity there.
        plan: the fleet.
        version: version of MQTT that the broker supports.
        connections: number of connections; 0: one per device.
        ramp: new connections per second.

    Attributes:
        orders: topics of orders for single devices of the fleet, which nobody else will clear.
        has_twin: whether another client uses the name of a device, so that the devices' messages may be another's.
    """

    def __init__(self, settings: Settings, plan: Plan, version: Version, *, connections: int, ramp: float) -> None:
        self._topics: Topics = settings.topics
        self._plan = plan
        self._ramp = ramp
        self._connections = connections or plan.devices
        self._began, self._epoch = time.monotonic(), time.time()
        self.fleet = Fleet(plan, self._epoch)
        options = ClientOptions.read(settings, "simulation", will=None, clean=True, session_s=0)
        self._crowd = Crowd(options, version, self._heed, self._ended)
        self._to_connect = [(0.0, number) for number in range(self._connections)]
        """A heap of the missing connections with their times of connecting, in seconds of the monotonic clock."""
        self._backoff = Backoff(*_CONNECT_AGAIN_S, jitter=0.5)
        self._returns: dict[int, Backoff] = {}
        """The pause of each lost connection before it returns."""
        self._ready_at = 0.0
        self._messages = self._bytes = 0
        self._leaving = False
        self._stayed = 0
        """The number of devices that were connected at the end."""
        self.has_twin = False
        self._names = frozenset(plan.names)
        self.orders: set[str] = set()

    @property
    def counts(self) -> Counts:
        """The progress so far."""
        return Counts(
            self._stayed if self._leaving else self.fleet.connected_count,
            self.fleet.working_count,
            self._messages,
            self._bytes,
            time.monotonic() - self._began,
        )

    @property
    def all_connected(self) -> bool:
        """Whether every device is connected."""
        return not self._to_connect and self.fleet.connected_count == self._plan.devices

    @property
    def may_clear(self) -> bool:
        """Whether the broker retains messages of these devices, certainly of no others."""
        return self._crowd.acknowledged and not self.has_twin

    @property
    def settled(self) -> bool:
        """Whether the broker has acknowledged all messages."""
        return self._crowd.settled

    def run(self, stop: Callable[[], bool]) -> None:
        """Publish until ``stop`` returns True, then publish that every device is offline, and disconnect.

        Raises:
            BrokerError: the broker refuses the client or a message, or another client connects as one of the devices.
        """
        with self._crowd:
            while not stop():
                self._connect_some()
                for number, said in self.fleet.advance(self._now):
                    if said:
                        self._say(number, said)
                    else:
                        self._crowd.drop(number % self._connections)
                self._crowd.serve(self._idle_s)
                if self._crowd.refused:
                    raise BrokerError("broker_refused", self._refused)
            self._leave()

    @property
    def _now(self) -> float:
        """Seconds since the epoch; later changes of the system clock have no effect."""
        return self._epoch + time.monotonic() - self._began

    @property
    def _idle_s(self) -> float:
        """How long there is nothing to do but to listen."""
        moments = [_TURN_S, self.fleet.due - self._now]
        if self._to_connect:
            moments.append(max(self._ready_at, self._to_connect[0][0]) - time.monotonic())
        return max(0.0, min(moments))

    @property
    def _refused(self) -> str:
        written = f"{self._topics.namespace}/d/+/#"
        text = f"{self._crowd.refused}; a simulation writes as its devices: let this user write {written}, best in a"
        return f"{text} namespace of its own (--namespace)"

    def _devices_of(self, connection: int) -> range:
        return range(connection, self._plan.devices, self._connections)

    @property
    def _own(self) -> bool:
        """Whether each device has a connection of its own."""
        return self._connections >= self._plan.devices

    # -- connections

    def _connect_some(self) -> None:
        began = time.monotonic()
        while self._to_connect and began + _TURN_S > time.monotonic() >= max(self._ready_at, self._to_connect[0][0]):
            _, connection = heapq.heappop(self._to_connect)
            self._ready_at = max(self._ready_at, time.monotonic() - _TURN_S) + 1 / self._ramp
            name, will = self._plan.name(connection), None
            if self._own:
                offline = self.fleet.devices[connection].offline
                will = self._topics.device(name, offline.kind), offline.payload
            failed = self._crowd.connect(connection, self._client_id(connection), will)
            if failed is not None:
                self._failed(connection, failed)

    def _client_id(self, connection: int) -> str:
        return f"edge-agent-{self._plan.name(connection)}"

    def _failed(self, connection: int, outcome: Outcome) -> None:
        """Retry later, and connect nobody else before; raises ``BrokerError`` if a retry would not help."""
        if outcome.failure.lasting:
            raise BrokerError(outcome.failure.code, outcome.failure.reason)
        self._ready_at = time.monotonic() + self._backoff.failed()
        heapq.heappush(self._to_connect, (0.0, connection))

    def _heed(self, connection: int, event: Event) -> None:
        match event:
            case Connected():
                self._backoff.succeeded()
                self._listen(connection)
                for number in self._devices_of(connection):
                    self._say(number, self.fleet.connected(number, self._now))
            case Incoming(topic, payload):
                self._note_order(topic, payload)
                if order := read_order(payload):
                    for number in self._devices_of(connection):
                        self._say(number, self.fleet.order(number, *order, self._now))

    def _note_order(self, topic: str, payload: bytes) -> None:
        match parse(self._topics, topic):
            case WantTopic(Scope("d", name)) | CommandTopic(Scope("d", name)) if name in self._names:
                if not payload:
                    self.orders.discard(topic)
                elif len(self.orders) < _MOST_ORDERS:
                    self.orders.add(topic)

    def _listen(self, connection: int) -> None:
        groups = (self._topics.want(Scope("g", name), "+") for name in self._plan.obeyed_groups)
        # One filter for all devices of a connection, as brokers are slow with thousands of filters.
        own = self._topics.orders(Scope("d", self._plan.name(connection) if self._own else "+"))
        self._crowd.subscribe(connection, *groups, *own)

    def _ended(self, connection: int, outcome: Outcome) -> None:
        for number in self._devices_of(connection):
            self.fleet.lost(number)
        if self._leaving:
            return
        if outcome.failure.twin:
            self._end_for_twin(f"another client connects as {self._client_id(connection)!r}")
        if outcome.reached is not Reached.A_SESSION:
            self._failed(connection, outcome)
            return
        if self._plan.drops_per_hour:
            away_s = self.fleet.devices[connection].away_s()
        else:  # each connection has its own backoff, like a real device
            backoff = self._returns.setdefault(connection, Backoff(*_CONNECT_AGAIN_S, jitter=0.5))
            away_s = backoff.ended(outcome.lasted_s)
            if backoff.failures >= _SHORT_SESSIONS:  # some brokers do not report why they end a connection
                text = f"the broker repeatedly ends the connection of {self._client_id(connection)!r}, as it does"
                self._end_for_twin(f"{text} when another client connects with that id")
        heapq.heappush(self._to_connect, (time.monotonic() + away_s, connection))

    def _end_for_twin(self, text: str) -> NoReturn:
        self.has_twin = True
        raise BrokerError("broker_refused", f"{text}; give another --prefix")

    # -- messages

    def _say(self, number: int, said: list[Said]) -> None:
        device = self._plan.name(number)
        for one in said:
            payload = one.payload
            topic = self._topics.device(device, one.kind, one.leaf)
            self._crowd.publish(number % self._connections, topic, payload, retain=one.retain, qos=one.qos)
            self._messages += 1
            self._bytes += len(payload)

    def _leave(self) -> None:
        """Publish that every connected device is offline, and disconnect once the broker has acknowledged that."""
        self._stayed, self._leaving = self.fleet.connected_count, True
        for number, device in enumerate(self.fleet.devices):
            if self.fleet.is_connected(number):
                self._say(number, [device.offline])
        began = time.monotonic()
        self._serve_until(lambda: self._crowd.settled, began)
        self._crowd.leave()
        self._serve_until(lambda: self._crowd.open_count == 0, began)

    def _serve_until(self, done: Callable[[], bool], began: float) -> None:
        give_up = began + _GOOD_BYE_S
        while not done() and time.monotonic() < min(give_up, max(began, self._crowd.heard_at) + _SILENCE_S):
            self._crowd.serve(_TURN_S)
