"""Publishes the events of an outbox in their order, and takes out what the broker has acknowledged.

What was published when a connection broke is sent again by the link itself, with the next one. So behind a new
connection nothing else is published before something of that is acknowledged, and with a broker that refuses events no
more than one a connection is in vain.
"""

from collections.abc import Callable
from functools import partial

from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.pause import Pause

WINDOW = 16
"""Events under way at once."""

Send = Callable[[bytes, Callable[[str], None]], bool]
"""Publishes a message with QoS 1; returns whether it was taken. The function that it is given is then called once, by
the consumer: with "" when the broker has the message, else with why it has not."""


class EventSender:
    """Used from the consumer only; publishes nothing during ``pause``."""

    def __init__(self, outbox: Outbox, send: Send, pause: Pause) -> None:
        self._pause = pause
        self._outbox = outbox
        self._send = send
        self._open = False
        self._proved = False
        """The broker has taken an event by this connection."""

    @property
    def idle(self) -> bool:
        """Whether the broker has all that there is."""
        return self._open and not self._outbox.waiting

    def connected(self) -> None:
        """There is a new connection."""
        self._open, self._proved = True, False
        self.publish()

    def disconnected(self) -> None:
        """The connection has ended."""
        self._open = False

    def publish(self) -> None:
        """Publish what waits, as far as it may be under way."""
        if not self._open or self._pause.on:
            return
        room = (WINDOW if self._proved else 1) - sum(event.under_way for event in self._outbox.waiting)
        for event in self._outbox.waiting:
            if room <= 0:
                return
            if event.under_way:
                continue
            if not self._send(event.payload, partial(self._answered, event.number)):
                return  # the connection has just gone, or too much waits for the broker
            event.under_way = True
            room -= 1

    def _answered(self, number: int, reason: str) -> None:
        if not reason:
            self._proved = True
            self._outbox.deliver(number)
            self.publish()
            return
        self._open = False  # until the next connection: it would be refused again and again
        for event in self._outbox.waiting:
            if event.number == number:
                event.under_way = False
