"""Retained orders that found no room, and the time to fetch them again. Pure: returns the filters to subscribe to.

The broker delivers a retained message again when its topic is subscribed to again. Missed topics are remembered, each
once. When a scope has too many, its whole filter is subscribed to once the queues are empty. The same follows a flood,
as a broker's queues are bounded, too, and it drops silently what does not fit.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_TOPICS = 64
AT_ONCE = 32
"""The most topics that are fetched at once."""
IN_ONE = 8
"""Filters per SUBSCRIBE packet; AWS IoT Core accepts no more."""
_PATIENCE_S = 2.0
_AGAIN_EVERY_S = 15.0
"""Minimum time between two fetches of a whole scope: the retained orders themselves may be what fills the queues."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Filters to subscribe to now, and topics to unsubscribe from because they were fetched or are gone."""

    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()


class Missed:
    """Topics to fetch, topics being fetched, and scopes to fetch as a whole."""

    def __init__(self) -> None:
        self._topics: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._under_way: dict[str, float] = {}
        self._over: list[str] = []
        self._scopes: set[tuple[str, ...]] = set()
        self._again_at = 0.0

    def note(self, topic: str, filters: tuple[str, ...]) -> None:
        """Remember a topic that found no room; ``filters`` are those of its scope, used when too many are missed."""
        if filters in self._scopes or topic in self._topics:
            return
        self._topics[topic] = filters
        if len(self._topics) > MOST_TOPICS:
            self.note_scope(filters)

    def note_scope(self, filters: tuple[str, ...], *, at_once: bool = False) -> None:
        """Remember to read all orders of a scope again; ``at_once`` skips the minimum time between two fetches."""
        self._scopes.add(filters)
        for topic in [topic for topic, its in self._topics.items() if its == filters]:
            del self._topics[topic]
        if at_once:
            self._again_at = 0.0

    def arrived(self, topic: str) -> bool:
        """Whether this topic was being fetched; marks it as fetched."""
        if self._under_way.pop(topic, None) is None:
            return False
        self._over.append(topic)
        return True

    def forget(self) -> None:
        """Forget everything: a new connection subscribes to all orders anyway."""
        self._topics.clear()
        self._under_way.clear()
        self._over.clear()
        self._scopes.clear()

    def due(self, now: float, *, room: bool, calm: bool) -> Fetch:
        """The next fetch at ``now`` (monotonic seconds). ``room``: the queues accept more; ``calm``: they are empty."""
        silent = [topic for topic, since in self._under_way.items() if now - since >= _PATIENCE_S]
        for topic in silent:
            del self._under_way[topic]
        over, self._over = tuple(self._over + silent), []
        filters: tuple[str, ...] = ()
        if room and not self._under_way and self._topics:
            some = [self._topics.popitem(last=False)[0] for _ in range(min(AT_ONCE, len(self._topics)))]
            self._under_way = dict.fromkeys(some, now)
            filters = tuple(some)
        elif calm and self._scopes and not self._under_way and now >= self._again_at:
            self._again_at = now + _AGAIN_EVERY_S
            filters = tuple(sorted({one for scope in self._scopes for one in scope}))
            self._scopes.clear()
        return Fetch(filters, tuple(topic for topic in over if topic not in filters))


def batched(filters: Sequence[str]) -> Iterator[Sequence[str]]:
    """``filters`` in parts that each fit one packet."""
    return (filters[at : at + IN_ONE] for at in range(0, len(filters), IN_ONE))
