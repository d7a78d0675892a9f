"""Publishes the events of an outbox in order, and removes each one that the broker has acknowledged.

The link itself resends messages that were unacknowledged when a connection broke. So on a new connection the sender
publishes nothing else until the broker has acknowledged one of them. A broker that refuses events therefore costs at
most one failed publish per connection. After a refusal for any reason but the broker's ACL, such as a quota, the sender
retries after a minute, then at growing intervals.
"""

import math
import time
from collections.abc import Callable
from functools import partial

from edge_agent.retry.backoff import Backoff
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.pause import Pause

WINDOW = 16
"""The most events in flight at once."""
DENIED = "Not authorized"
"""The link's text for reason 0x87, which holds for the whole connection."""
_AGAIN_AFTER_S, _AGAIN_AT_LAST_S = 60.0, 3600.0

Send = Callable[[bytes, Callable[[str], None]], bool]
"""Publishes a message with QoS 1; returns whether the link accepted it. The consumer later calls the given function
once: with "" when the broker has acknowledged the message, otherwise with the reason of its refusal."""


class EventSender:
    """Used from the consumer only; publishes nothing while ``pause`` is on."""

    def __init__(self, outbox: Outbox, send: Send, pause: Pause, timer: Callable[[], float] = time.monotonic) -> None:
        """``timer``: a monotonic clock, in seconds."""
        self._pause = pause
        self._outbox = outbox
        self._send = send
        self._timer = timer
        self._backoff = Backoff(_AGAIN_AFTER_S, _AGAIN_AT_LAST_S, jitter=0.5)
        self._not_before_s = -math.inf
        self._open = False
        self._proved = False
        """Whether the broker has accepted an event on this connection."""

    @property
    def idle(self) -> bool:
        """Whether the broker has acknowledged every event."""
        return self._open and not self._outbox.waiting

    def connected(self) -> None:
        """Start publishing on a new connection."""
        self._open, self._proved, self._not_before_s = True, False, -math.inf
        self.publish()

    def disconnected(self) -> None:
        """Stop publishing: the connection has ended."""
        self._open = False

    def publish(self) -> None:
        """Publish waiting events, up to the limit of events in flight."""
        if not self._open or self._pause.on or self._timer() < self._not_before_s:
            return
        room = (WINDOW if self._proved else 1) - sum(event.under_way for event in self._outbox.waiting)
        for event in self._outbox.waiting:
            if room <= 0:
                return
            if event.under_way:
                continue
            if not self._send(event.payload, partial(self._answered, event.number)):
                return  # the connection has just ended, or the link's queue is full
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
            self._open = False  # the ACL holds for the whole connection; a retry would be refused again
        elif self._timer() >= self._not_before_s:  # later refusals of the same window have the same cause
            self._proved = False
            self._not_before_s = self._timer() + self._backoff.failed()
