"""How much of what the broker sends may wait for the owner of a link, and how large a message may be. Pure.

A message of QoS 1 is held back by the broker's window, one of QoS 0 by nothing: whoever may write to a topic decides
how fast it comes. So while too much waits for the owner, a message of QoS 0 is dropped here, as QoS 0 permits. To leave
it unread would be worse: the broker's queue would be full of those, and mosquitto then drops messages of QoS 1, too.
Only for those that come without a window, as MQTT 3.1.1 permits, reading stops.

A broker that is faster than the network drops them all the same, and does not send them again within the connection.
Each keeps its place in the window, and once all 32 are lost, nothing of QoS 1 comes any more. So after a flood, and now
and then during a long one, the connection is made again: the broker then sends what it holds.
"""

from collections.abc import Callable

from edge_agent.mqtt.events import Incoming, Oversized

_EVENT_BYTES = 1024
"""What an event takes in memory beside its payload; generous, so that empty messages are bounded, too."""
_CALM_S = 2.0
"""Without a message that had to be dropped, and a flood is over."""
_RENEW_EVERY_S = 60.0
"""During one that is not."""
_SHARE_OF_QOS_0 = 0.25
"""Of what may wait; so a message of QoS 1 never waits behind more than that."""


class Inflow:
    """What waits for the owner of a link. One thread calls :meth:`came`, one :meth:`dealt_with`.

    Args:
        most_bytes: that may wait; 0: any number, for an owner that does not say when it has dealt with a message.
        limit_of: topic → the largest payload in bytes that is of use there; None: any size is.

    Attributes:
        dropped: the messages of QoS 0 that were dropped.
    """

    def __init__(self, most_bytes: int = 0, limit_of: Callable[[str], int] | None = None) -> None:
        self._most_bytes = most_bytes
        self._limit_of = limit_of
        self._came = 0  # two counters that only rise, each written by one thread, need no lock
        self._dealt_with = 0
        self.dropped = 0
        self._dropped_at: float | None = None
        self._renewed_at = 0.0

    @property
    def full(self) -> bool:
        """Whether nothing should be read now."""
        return 0 < self._most_bytes <= self._came - self._dealt_with

    def came(self, message: Incoming, qos: int, now: float) -> Incoming | Oversized | None:
        """Count a message that has arrived; returns what the owner gets: of one that is too large not the payload.

        None: it was dropped.
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
        """Whether the connection should be made again now, as the broker may hold what it did not send; told once."""
        if self._dropped_at is None:
            return False
        calm = now - self._dropped_at >= _CALM_S
        if not calm and now - self._renewed_at < _RENEW_EVERY_S:
            return False
        self._dropped_at, self._renewed_at = None if calm else self._dropped_at, now
        return True

    def dealt_with(self, event: Incoming | Oversized) -> bool:
        """Count a message that the owner is done with; True: it is because of this one that reading can go on."""
        before = self.full
        self._dealt_with += _cost(event)
        return before and not self.full


def _cost(event: Incoming | Oversized) -> int:
    return _EVENT_BYTES + (len(event.payload) if isinstance(event, Incoming) else 0)
