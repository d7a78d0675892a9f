"""Limits for incoming messages: how many may wait for the owner of a link, and how large one may be. Pure.

The receive window limits messages of QoS 1. Nothing limits those of QoS 0: whoever may write to a topic decides how
fast they arrive. So while too many messages wait for the owner, a message of QoS 0 is dropped here, as QoS 0 permits.
Leaving it unread would be worse: the broker's queue would fill with such messages, and mosquitto then drops messages of
QoS 1, too. Reading stops only for messages of QoS 1 that arrive without a window, as MQTT 3.1.1 permits.

A broker that sends faster than the network still drops messages of QoS 1 and does not send them again within the
connection. Each lost message occupies its place in the window; once all 32 are lost, no more QoS 1 arrives. So after a
flood, and from time to time during a long one, the link reconnects: the broker then sends the messages that it holds.
"""

from collections.abc import Callable

from edge_agent.mqtt.events import Incoming, Oversized

_EVENT_BYTES = 1024
"""Memory of an event beside its payload; a generous estimate, so that empty messages are limited, too."""
_CALM_S = 2.0
"""A flood is over after this time without a dropped message."""
_RENEW_EVERY_S = 60.0
"""Time between reconnections during a flood."""
_SHARE_OF_QOS_0 = 0.25
"""Share of the queue that QoS 0 may fill, so that a message of QoS 1 never waits behind more than that."""


class Inflow:
    """The account of messages that wait for a link's owner. One thread calls :meth:`came`, one :meth:`dealt_with`.

    Args:
        most_bytes: bytes that may wait; 0: no limit, for an owner that does not call :meth:`dealt_with`.
        limit_of: topic → the largest useful payload in bytes; None: no limit.

    Attributes:
        dropped: number of dropped messages of QoS 0.
    """

    def __init__(self, most_bytes: int = 0, limit_of: Callable[[str], int] | None = None) -> None:
        self._most_bytes = most_bytes
        self._limit_of = limit_of
        self._came = 0  # two counters that only increase, each written by one thread, need no lock
        self._dealt_with = 0
        self.dropped = 0
        self._dropped_at: float | None = None
        self._renewed_at = 0.0

    @property
    def full(self) -> bool:
        """Whether the link should stop reading for now."""
        return 0 < self._most_bytes <= self._came - self._dealt_with

    def came(self, message: Incoming, qos: int, now: float) -> Incoming | Oversized | None:
        """Count a message that has arrived, and return the event for the owner; None: the message was dropped.

        A message that is too large becomes an event without the payload.
        """
        if qos == 0 and 0 < self._most_bytes * _SHARE_OF_QOS_0 <= self._came - self._dealt_with:
            if self._dropped_at is None:
                self._renewed_at = now
            self.dropped += 1
            self._dropped_at = now
            return None
        size = len(message.payload)
        event: Incoming | Oversized = message
        if self._limit_of is not None and size > self._limit_of(message.topic):
            event = Oversized(message.topic, size, message.token)
        self._came += _cost(event)
        return event

    def renewal_due(self, now: float) -> bool:
        """Return True, once, if the link should reconnect now, since the broker may hold messages it did not send."""
        if self._dropped_at is None:
            return False
        calm = now - self._dropped_at >= _CALM_S
        if not calm and now - self._renewed_at < _RENEW_EVERY_S:
            return False
        self._dropped_at, self._renewed_at = None if calm else self._dropped_at, now
        return True

    def dealt_with(self, event: Incoming | Oversized) -> bool:
        """Count a message that the owner has handled; True: this one makes room, so reading can resume."""
        before = self.full
        self._dealt_with += _cost(event)
        return before and not self.full


def _cost(event: Incoming | Oversized) -> int:
    return _EVENT_BYTES + (len(event.payload) if isinstance(event, Incoming) else 0)
