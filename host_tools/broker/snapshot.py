"""When a reading of retained messages is complete: messages and moments go in, a verdict comes out. Pure.

MQTT has no word for "these were all of them", so an echo is published behind the subscription: brokers deliver it
behind what is retained. That alone proves nothing. mosquitto drops whatever its queue for a client does not take (1,000
messages that it could not write yet) without a word, and the same ones again when the client subscribes again.

It keeps them, though, if the client has a session: what was sent with QoS 1 and not acknowledged is sent again with the
next connection. So a round that has brought many messages is followed by another connection, until a round brings so
few that no queue can have been full. MQTT 3.1.1 has no session that ends by itself; there many messages are no complete
reading.
"""

from collections.abc import Iterable
from enum import Enum, auto

SETTLE_S = 0.03
"""Silence behind the echo; covers a broker that does not deliver it last."""
NO_ECHO_S = 3.0
"""Silence after which a broker that withholds our echo has told everything."""
OVERFLOWN_S = 0.3
"""Silence without an echo after which a round with many messages is over: the echo was left out, too."""
SURE = 100
"""Fewer messages than this in one round have filled no queue: older brokers hold 100, mosquitto 1,000."""
MOST = 65_000
"""A broker has to send so many without an acknowledgement, with MQTT 5; what goes beyond it may drop."""


class Verdict(Enum):
    """What to do about a reading."""

    WAIT = auto()
    """Something may still come."""
    AGAIN = auto()
    """Connect again, and see whether something was left out."""
    COMPLETE = auto()
    INCOMPLETE = auto()


class Reading:
    """One reading of what is retained under ``filters``.

    Args:
        filters: with ``+`` for any one level.
        resumes: whether the broker keeps what it could not deliver for the next connection.
        now: seconds of any monotonic clock, as in every other call.
        patience_s: how long nothing new may come before this is no reading.

    Attributes:
        found: topic → payload.
        round: the number of connections that this took, from 0.
    """

    def __init__(self, filters: tuple[str, ...], *, resumes: bool, now: float, patience_s: float) -> None:
        self.found: dict[str, bytes] = {}
        self.round = 0
        self._filters = filters
        self._resumes = resumes
        self._patience_s = patience_s
        self._new_at = self._heard_at = now
        self._in_round = 0
        self._echoed = self._leaving = False

    def take(self, topic: str, payload: bytes, now: float) -> bool:
        """Take a retained message; False: it is of no filter of this reading."""
        if not matches(topic, self._filters):
            return False
        if topic not in self.found:
            self._new_at = now
        self.found[topic] = payload
        self._in_round += 1
        self._heard_at = now
        return True

    def echoed(self, now: float) -> None:
        """The echo of this round came back."""
        self._echoed = True
        self._heard_at = now

    def leave(self) -> None:
        """We end the connection, to see in the next one whether something was left out."""
        self._leaving = True

    def again(self, now: float, *, resumed: bool) -> None:
        """There is a new connection; ``resumed``: the broker goes on where the last one ended, else all comes again."""
        if not resumed:
            self.found.clear()
            self._resumes = self._resumes and not self._leaving  # a broker that keeps no session, whatever it was asked
        self.round += 1
        self._in_round, self._echoed, self._leaving, self._heard_at = 0, False, False, now

    def verdict(self, now: float, *, answered: bool) -> Verdict:
        """What to do now; ``answered``: the broker has acknowledged the echo, or refused it."""
        if now - self._new_at >= self._patience_s or len(self.found) >= MOST:
            return Verdict.INCOMPLETE
        many = self._in_round >= SURE
        silence_s = SETTLE_S if self._echoed else OVERFLOWN_S if many and self._resumes else NO_ECHO_S
        if self._leaving or now - self._heard_at < silence_s:
            return Verdict.WAIT
        if many:
            return Verdict.AGAIN if self._resumes else Verdict.INCOMPLETE
        return Verdict.COMPLETE if self._echoed or answered else Verdict.WAIT


def matches(topic: str, filters: Iterable[str]) -> bool:
    """Whether a topic is under one of ``filters``."""
    levels = topic.split("/")
    return any(
        len(levels) == len(wanted) and all(b in ("+", a) for a, b in zip(levels, wanted, strict=True))
        for wanted in (name.split("/") for name in filters)
    )
