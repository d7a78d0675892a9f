"""Publishes the events of an outbox in their order, and takes out what the broker has acknowledged.

What was published when a connection broke is sent again by the link itself, with the next one. So behind a new
connection nothing else is published before something of that is acknowledged, and with a broker that refuses events no
more than one a connection is in vain. What is refused for another reason than the broker's ACL, such as a quota, is
tried again after a minute, then ever more rarely.
"""

import math
import time
from collections.abc import Callable
from functools import partial

from edge_agent.retry.backoff import Backoff
from edge_agent.telemetry.outbox import Outbox

WINDOW = 16
"""Events under way at once."""
DENIED = "Not authorized"
"""What the link makes of reason 0x87: it holds as long as the connection does."""
_AGAIN_AFTER_S, _AGAIN_AT_LAST_S = 60.0, 3600.0

Send = Callable[[bytes, Callable[[str], None]], bool]
"""Publishes a message with QoS 1; returns whether it was taken. The function that it is given is then called once, by
the consumer: with "" when the broker has the message, else with why it has not."""


class EventSender:
    """Used from the consumer only."""

    def __init__(self, outbox: Outbox, send: Send, timer: Callable[[], float] = time.monotonic) -> None:
        """``timer``: seconds, of a clock that is not set back."""
        self._outbox = outbox
        self._send = send
        self._timer = timer
        self._backoff = Backoff(_AGAIN_AFTER_S, _AGAIN_AT_LAST_S, jitter=0.5)
        self._not_before_s = -math.inf
        self._open = False
        self._proved = False
        """The broker has taken an event by this connection."""

    @property
    def idle(self) -> bool:
        """Whether the broker has all that there is."""
        return self._open and not self._outbox.waiting

    def connected(self) -> None:
        """There is a new connection."""
        self._open, self._proved, self._not_before_s = True, False, -math.inf
        self.publish()

    def disconnected(self) -> None:
        """The connection has ended."""
        self._open = False

    def publish(self) -> None:
        """Publish what waits, as far as it may be under way."""
        if not self._open or self._timer() < self._not_before_s:
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
            self._backoff.succeeded()
            self._outbox.deliver(number)
            self.publish()
            return
        for event in self._outbox.waiting:
            if event.number == number:
                event.under_way = False
        if reason == DENIED:
            self._open = False  # until the next connection: it would be refused again and again
        elif self._timer() >= self._not_before_s:  # the others of a window are refused for the same reason
            self._proved = False
            self._not_before_s = self._timer() + self._backoff.failed()
