"""Decides when a reading of retained messages is complete: messages and times go in, a verdict comes out. Pure.

MQTT has no signal for the end of the retained messages, so the reader publishes an echo after the subscription. Brokers
deliver it after the retained messages. That alone proves nothing: mosquitto silently drops messages that exceed its
queue for a client (1,000 unwritten messages), and drops the same ones when the client subscribes again.

With MQTT 5 it keeps them, as the client has a session: unacknowledged QoS 1 messages are sent again on the next
connection. So a round with many messages is followed by another connection, until a round has so few that no queue can
have been full.

MQTT 3.1.1 has no session that ends by itself. QoS 0 is better there, as no window holds messages back until a queue is
full. But a broker may still send at most a fixed number, or drop messages that the network is too slow for. So a round
with many messages is followed by another one that requests **more**, by wider filters: a fixed number would now cut off
something else, and random drops would differ. Only if both rounds contain the same messages is the reading complete. It
is no proof: where several filters have one wider filter in common, a broker that cuts both rounds short at the same
message goes undetected.
"""

from collections import Counter
from collections.abc import MutableMapping
from enum import Enum, auto

from host_tools.broker.filters import Filters

SETTLE_S = 0.03
"""Silence after the echo; covers a broker that does not deliver it last."""
NO_ECHO_S = 3.0
"""Silence after which a broker that withholds the echo has delivered everything."""
OVERFLOWN_S = 0.3
"""Silence without an echo that ends a round with many messages: the echo was dropped, too."""
SURE = 100
"""Fewer messages than this in one round cannot have filled a queue: older brokers hold 100, mosquitto 1,000."""
MOST = 65_000
"""Messages that a broker must send without an acknowledgement with MQTT 5; it may drop any beyond that."""
_MOST_ROUNDS = 4
"""Rounds without a session; the fleet changes between rounds, so the second pair may agree where the first did not."""
_PAGES = "h"
"""The topic level of digest pages. Chunks are beside it: a wider filter would fetch every model."""


class Verdict(Enum):
    """The next action for a reading."""

    WAIT = auto()
    """More messages may still arrive."""
    AGAIN = auto()
    """Connect again to find out whether messages were dropped."""
    COMPLETE = auto()
    INCOMPLETE = auto()


class Reading:
    """One reading of the retained messages under ``filters``.

    Args:
        filters: filters with ``+`` for any single level.
        resumes: whether the broker keeps undelivered messages for the next connection.
        now: monotonic seconds, as in every other call.
        patience_s: how long a reading may go without a new message before it fails.
        into: mapping to fill with topics and payloads.

    Attributes:
        found: topic → payload; the same mapping as ``into``.
        round: number of the current connection, from 0.
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
        """Topics that match only a wider filter."""
        self._before: set[str] | None = None
        """Topics found in the previous round, without a session."""
        self._compared = 0
        """Number of earlier rounds without a session."""

    @property
    def qos(self) -> int:
        """The QoS to subscribe with."""
        return int(self._resumes)

    @property
    def asks(self) -> tuple[str, ...]:
        """The filters to subscribe to in this round, unless the broker resumes the last connection's session."""
        return tuple(self._wider if self._wide else self._filters)

    def take(self, topic: str, payload: bytes, now: float) -> bool:
        """Add a retained message; False if it matches no filter of this reading."""
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
        """Note the echo of this round."""
        self._echoed = True
        self._heard_at = now

    def leave(self) -> None:
        """Note that the reader closes the connection, to check for dropped messages in the next one."""
        self._leaving = True

    def again(self, now: float, *, resumed: bool) -> None:
        """Start the next round on a new connection; without ``resumed`` the broker sends everything again."""
        if not resumed:
            self._begin_anew()
        self.round += 1
        self._in_round, self._echoed, self._leaving, self._heard_at = 0, False, False, now

    def verdict(self, now: float, *, answered: bool) -> Verdict:
        """The action to take now; ``answered``: the broker has acknowledged the echo, or refused it."""
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
        if self._leaving and self._resumes:  # the broker keeps no session despite the request
            self._resumes = False
        elif self._leaving:
            self._before, self._wide = set(self.found), not self._wide
            self._compared += 1
        if self._wide:
            self._beside.clear()
        self.found.clear()

    def _compare(self) -> Verdict:
        """Compare this round with the previous one, without a session; one of them used wider filters."""
        if self._before == set(self.found) and self._proved:
            return Verdict.COMPLETE
        provable = all(wider(name) != name for name in self._filters)
        return Verdict.AGAIN if provable and self._compared + 1 < _MOST_ROUNDS else Verdict.INCOMPLETE

    @property
    def _proved(self) -> bool:
        """Whether no filter with many messages, or without such filters at least one filter, was cut short."""
        brought = Counter(name for topic in self.found for name in self._filters.over(topic))
        of_many = [name for name, messages in brought.items() if messages >= SURE]
        return all(map(self._has_more, of_many)) if of_many else any(map(self._has_more, self._filters))

    def _has_more(self, name: str) -> bool:
        """Whether a wider filter has found more than ``name``, so that no fixed limit can have cut ``name`` short."""
        only, more = Filters([name]), Filters([wider(name)])
        return any(map(more.match, self._beside)) or any(
            more.match(topic) and not only.match(topic) for topic in self.found
        )


def wider(name: str) -> str:
    """A filter that matches more than ``name``, with its last fixed level a wildcard; ``name`` if there is none."""
    levels = name.split("/")
    last = max((place for place, level in enumerate(levels) if level != "+"), default=0)
    if levels[last] == _PAGES:
        return name
    return "/".join([*levels[:last], "+", *levels[last + 1 :]])
