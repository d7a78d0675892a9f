"""When a reading of retained messages is complete: messages and moments go in, a verdict comes out. Pure.

MQTT has no word for "these were all of them", so an echo is published behind the subscription: brokers deliver it
behind what is retained. That alone proves nothing. mosquitto drops whatever its queue for a client does not take (1,000
messages that it could not write yet) without a word, and the same ones again when the client subscribes again.

With MQTT 5 it keeps them, though, as the client has a session: what was sent with QoS 1 and not acknowledged is sent
again with the next connection. So a round that has brought many messages is followed by another connection, until a
round brings so few that no queue can have been full.

MQTT 3.1.1 has no session that ends by itself. QoS 0 is better there, as no window holds messages back until a queue is
full, but a broker may still send a fixed number at most, or drop what the network does not take. So a round with many
messages is followed by another one that asks for **more**, by filters that are wider: a fixed number would now leave
something out, and what is dropped by chance would be something else. Only if both have brought the same is that taken
for all. It is no proof: where several filters have one wider filter in common, a broker that cuts both rounds short at
the same message is believed.
"""

from collections import Counter
from collections.abc import MutableMapping
from enum import Enum, auto

from host_tools.broker.filters import Filters

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
_MOST_ROUNDS = 4
"""Without a session; a fleet changes between two rounds, so the second pair may agree where the first has not."""
_PAGES = "h"
"""The level of pages of digests. Beside it are the chunks: a wider filter would fetch every model."""


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
        into: where topics and payloads are put.

    Attributes:
        found: topic → payload; ``into``.
        round: the number of connections that this took, from 0.
    """

    def __init__(
        self,
        filters: tuple[str, ...],
        *,
        resumes: bool,
        now: float,
        patience_s: float,
        into: MutableMapping[str, bytes] | None = None,
    ) -> None:
        self.found: MutableMapping[str, bytes] = {} if into is None else into
        self.round = 0
        self._filters = Filters(filters)
        self._wider = Filters(map(wider, filters))
        self._resumes = resumes
        self._patience_s = patience_s
        self._new_at = self._heard_at = now
        self._in_round = 0
        self._echoed = self._leaving = self._wide = False
        self._beside: set[str] = set()
        """The topics that only a wider filter has asked for."""
        self._before: set[str] | None = None
        """What the round before has found, without a session."""
        self._compared = 0
        """Rounds without a session before this one."""

    @property
    def qos(self) -> int:
        """What to subscribe with."""
        return int(self._resumes)

    @property
    def asks(self) -> tuple[str, ...]:
        """What to subscribe in this round, unless the broker goes on where the last connection ended."""
        return tuple(self._wider if self._wide else self._filters)

    def take(self, topic: str, payload: bytes, now: float) -> bool:
        """Take a retained message; False: it is of no filter of this reading."""
        if self._filters.match(topic):
            if topic not in self.found:
                self._new_at = now
            self.found[topic] = payload
        elif self._wide and self._wider.match(topic):
            self._beside.add(topic)
        else:
            return False
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
            self._begin_anew()
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
        if self._resumes and many:
            return Verdict.AGAIN
        if not self._resumes and (many or self._before is not None):
            return self._compare()
        return Verdict.COMPLETE if self._echoed or answered else Verdict.WAIT

    def _begin_anew(self) -> None:
        if self._leaving and self._resumes:  # a broker that keeps no session, whatever it was asked
            self._resumes = False
        elif self._leaving:
            self._before, self._wide = set(self.found), not self._wide
            self._compared += 1
        if self._wide:
            self._beside.clear()
        self.found.clear()

    def _compare(self) -> Verdict:
        """Without a session: whether this round and the one before, one of them by wider filters, prove each other."""
        if self._before == set(self.found) and self._proved:
            return Verdict.COMPLETE
        provable = all(wider(name) != name for name in self._filters)
        return Verdict.AGAIN if provable and self._compared + 1 < _MOST_ROUNDS else Verdict.INCOMPLETE

    @property
    def _proved(self) -> bool:
        """Whether every filter that has brought many, or else any, was no end in itself."""
        brought = Counter(name for topic in self.found for name in self._filters.over(topic))
        of_many = [name for name, messages in brought.items() if messages >= SURE]
        return all(map(self._has_more, of_many)) if of_many else any(map(self._has_more, self._filters))

    def _has_more(self, name: str) -> bool:
        """Whether a wider filter has brought more than ``name``: so no fixed number can have cut that short."""
        only, more = Filters([name]), Filters([wider(name)])
        return any(map(more.match, self._beside)) or any(
            more.match(topic) and not only.match(topic) for topic in self.found
        )


def wider(name: str) -> str:
    """A filter that asks for more than ``name``: its last level that is no wildcard is one. None such: ``name``."""
    levels = name.split("/")
    last = max((place for place, level in enumerate(levels) if level != "+"), default=0)
    if levels[last] == _PAGES:
        return name
    return "/".join([*levels[:last], "+", *levels[last + 1 :]])
