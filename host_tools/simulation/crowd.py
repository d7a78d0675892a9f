"""Many clients of one broker, each with its own connection, served by one thread.

A thread per client, as in ``Link``, would mean 5,000 threads. Here one selector waits for all of them, and each uses
the same MQTT library as a real device.

It does not reconnect: the owner connects a client again that has lost its connection.
"""

import logging
import selectors
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

from edge_agent.errors import BrokerError
from edge_agent.mqtt import Event, Sent
from edge_agent.mqtt.client import Client
from edge_agent.mqtt.inflow import Inflow
from edge_agent.mqtt.options import ClientOptions
from edge_agent.mqtt.outcome import Outcome
from edge_agent.mqtt.serving import Library, close
from edge_agent.mqtt.version import Version

log = logging.getLogger(__name__)

_WINDOW = 128
"""Unacknowledged messages of one client; the library allows twice as many."""
_Message = tuple[str, bytes, bool, int]
_LOOK_EVERY_S = 5.0
"""How often each client checks its keep-alive; brokers allow half of the keep-alive time in addition."""


class _Member:
    """A client. ``file`` is the file number of its connection, None without one."""

    def __init__(self, number: int, dirty: dict[int, "_Member"]) -> None:
        self.number = number
        self.client: Client
        self.file: int | None = None
        self.writes = False
        """Whether the selector reports when there is room to write."""
        self.connections = 0
        self.waiting: deque[_Message] = deque()
        self.unacknowledged: deque[Sent] = deque()
        self._dirty = dirty

    @property
    def library(self) -> Library:
        return self.client.library

    def wake(self) -> None:
        """Note that there is something to write."""
        self._dirty[self.number] = self


class Crowd:
    """The clients; use it in a ``with`` statement, from one thread.

    Args:
        options: common options of all clients, which start without a session.
        version: version of MQTT.
        on_event: called with a client's number and an event of its connection.
        on_end: called with a client's number and the outcome of its connection.

    Attributes:
        acknowledged: whether the broker has acknowledged any message.
        heard_at: when the broker last sent anything, in seconds of the monotonic clock.
        refused: why the broker has refused the last refused message; empty: it accepted all.
    """

    def __init__(
        self,
        options: ClientOptions,
        version: Version,
        on_event: Callable[[int, Event], None],
        on_end: Callable[[int, Outcome], None],
    ) -> None:
        self._options, self._version = options, version
        self._on_event, self._on_end = on_event, on_end
        self._members: dict[int, _Member] = {}
        self._dirty: dict[int, _Member] = {}
        self._looked = 0.0
        self.refused = ""
        self.acknowledged = False
        self.heard_at = time.monotonic()
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self._members.values():
            close(member.library)
        self._selector.close()

    def connect(self, number: int, client_id: str, will: tuple[str, bytes] | None) -> Outcome | None:
        """Connect or reconnect a client; the broker's answer is an event.

        Returns the failure if there is no connection.
        """
        member = self._members.get(number)
        if member is None:
            member = self._members[number] = _Member(number, self._dirty)
        # A reused client would resend its unacknowledged messages after newer ones.
        member.client = self._make(client_id, will, member)
        member.connections += 1
        if (failed := member.client.open(member.connections)) is not None:
            return failed
        connection = member.library.socket()
        member.file, member.writes = connection.fileno(), False
        self._selector.register(member.file, selectors.EVENT_READ, member)
        member.wake()
        return None

    @property
    def settled(self) -> bool:
        """Whether every connected client has sent all messages, and the broker has acknowledged them."""
        members = list(self._members.values())
        return not any(
            member.waiting or not all(sent.done for sent in list(member.unacknowledged)) for member in members
        )

    @property
    def open_count(self) -> int:
        """The number of open connections."""
        return sum(member.file is not None for member in self._members.values())

    def publish(self, number: int, topic: str, payload: bytes, *, retain: bool, qos: int) -> None:
        """Send a message by a connected client, after the messages before it.

        Messages that are unacknowledged when the connection ends are lost.
        """
        member = self._members[number]
        member.waiting.append((topic, payload, retain, qos))
        self._send_waiting(member)

    def subscribe(self, number: int, *filters: str) -> None:
        """Subscribe a connected client to ``filters``."""
        self._members[number].client.subscribe(filters, 1)

    def leave(self) -> None:
        """Disconnect every client properly, so that the broker publishes no will."""
        for member in self._members.values():
            if member.file is not None:
                member.library.disconnect()

    def drop(self, number: int) -> None:
        """Break the connection without a DISCONNECT, so that the broker publishes the will."""
        self._members[number].client.drop()

    def serve(self, timeout_s: float) -> None:
        """Read and write on all connections; returns after about ``timeout_s`` at the latest."""
        self._write_all()
        for key, ready in self._selector.select(timeout_s):
            member: _Member = key.data
            if ready & selectors.EVENT_READ:
                self.heard_at = time.monotonic()
                self._read(member)
            if ready & selectors.EVENT_WRITE and member.file is not None:
                self._write(member)
        self._write_all()
        if time.monotonic() - self._looked >= _LOOK_EVERY_S:
            self._looked = time.monotonic()
            for member in self._members.values():
                if member.file is not None:
                    self._try(member, member.library.loop_misc)

    def _make(self, client_id: str, will: tuple[str, bytes] | None, member: _Member) -> Client:
        options = replace(self._options, client_id=client_id, will=will)
        return Client(options, self._version, partial(self._on_event, member.number), member, Inflow())

    def _send_waiting(self, member: _Member) -> None:
        unacknowledged = member.unacknowledged
        while unacknowledged and unacknowledged[0].done:
            try:
                self.acknowledged |= unacknowledged.popleft().wait(0)
            except BrokerError as error:
                self.refused = error.message  # not raised here, inside the library's call
        while member.waiting and len(unacknowledged) < _WINDOW:
            topic, payload, retain, qos = member.waiting.popleft()
            sent = member.client.publish(topic, payload, retain=retain, qos=qos)
            if qos:
                unacknowledged.append(sent)

    def _write_all(self) -> None:
        while self._dirty:
            _, member = self._dirty.popitem()
            if member.file is not None:
                self._write(member)

    def _write(self, member: _Member) -> None:
        if member.library.want_write():
            self._try(member, member.library.loop_write)
        self._dirty.pop(member.number, None)
        if member.file is not None and member.writes != member.library.want_write():
            member.writes = not member.writes
            events = selectors.EVENT_READ | member.writes * selectors.EVENT_WRITE
            self._selector.modify(member.file, events, member)

    def _read(self, member: _Member) -> None:
        while member.file is not None:
            self._try(member, member.library.loop_read)
            connection = member.library.socket()
            if not (isinstance(connection, ssl.SSLSocket) and connection.pending() > 0):
                break
        self._send_waiting(member)

    def _try(self, member: _Member, act: Callable[[], object]) -> None:
        """Use a connection, and note if that has ended it."""
        try:
            act()
        except Exception:  # the library's error for bytes that are not MQTT
            log.exception("a connection broke")
            close(member.library)
        if member.library.socket() is None and member.file is not None:
            self._selector.unregister(member.file)  # at once, as a new connection may get the same number
            member.file = None
            member.waiting.clear()
            member.unacknowledged.clear()
            self._on_end(member.number, member.client.outcome)
