"""Which retained orders had no room, and when they are fetched again. Pure: says what to subscribe to.

A retained message comes again when its topic is subscribed to again. Topics are remembered, each once; where there are
more of one scope than can be, the scope's whole filter is subscribed to once the queues are empty. So it is after a
flood: a broker has bounded queues, too, and drops in silence what has no room there.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_TOPICS = 64
AT_ONCE = 32
"""Topics that are fetched at a time."""
IN_ONE = 8
"""Filters in one SUBSCRIBE: AWS IoT Core takes no more."""
_PATIENCE_S = 2.0
_AGAIN_EVERY_S = 15.0
"""At least between two fetches of a whole scope: what fills the queues may be retained itself."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """What to subscribe to now, and what to give up: fetched, or not there any more."""

    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()


class Missed:
    """Topics that are to be fetched, those that are being fetched, and whole scopes."""

    def __init__(self) -> None:
        self._topics: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._under_way: dict[str, float] = {}
        self._over: list[str] = []
        self._scopes: set[tuple[str, ...]] = set()
        self._again_at = 0.0

    def note(self, topic: str, filters: tuple[str, ...]) -> None:
        """Remember a topic that had no room; ``filters``: those of its scope, for when there are too many."""
        if filters in self._scopes or topic in self._topics:
            return
        self._topics[topic] = filters
        if len(self._topics) > MOST_TOPICS:
            self.note_scope(filters)

    def note_scope(self, filters: tuple[str, ...], *, at_once: bool = False) -> None:
        """Remember that all orders of a scope are to be read again; ``at_once``: however lately they were."""
        self._scopes.add(filters)
        for topic in [topic for topic, its in self._topics.items() if its == filters]:
            del self._topics[topic]
        if at_once:
            self._again_at = 0.0

    def arrived(self, topic: str) -> bool:
        """Whether this topic was being fetched; it is no more."""
        if self._under_way.pop(topic, None) is None:
            return False
        self._over.append(topic)
        return True

    def forget(self) -> None:
        """A new connection: everything is subscribed to again."""
        self._topics.clear()
        self._under_way.clear()
        self._over.clear()
        self._scopes.clear()

    def due(self, now: float, *, room: bool, calm: bool) -> Fetch:
        """What to do now (monotonic seconds). ``room``: the queues take more; ``calm``: they are empty."""
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
    """``filters`` in as many parts as may go into one packet each."""
    return (filters[at : at + IN_ONE] for at in range(0, len(filters), IN_ONE))
