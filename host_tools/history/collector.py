"""The collector: stores the fleet's messages in the database, in batches.

Messages differ in their risk of loss. Retained messages (reports, states of models) are read completely at the start
and after each outage, and the database skips those that it has. Events wait at the broker until they are stored.
Samples that were not received are lost.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

from edge_agent.errors import StoreError
from edge_agent.mqtt import Incoming
from edge_agent.strict import counted
from edge_agent.wire.topics import Topics
from host_tools.fleet.flood import Flood
from host_tools.fleet.reading import Said, Unreadable, device_of, read
from host_tools.history.database import Database
from host_tools.history.events import EventStream
from host_tools.history.waiting import Waiting

_DAY_S = 24 * 3600.0
_MOST = 2000
"""Characters of a stored string."""
_AGAIN_S = 2.0
_PRUNE_EVERY_S = 3600.0
_MOST_EVENTS = 20_000
"""Events of one device that may have waited: a broker holds them for a week, in which an agent has some thousands."""


class Collector:
    """Stores messages; :func:`host_tools.fleet.listening.follow` feeds it.

    Args:
        topics: topics of the namespace.
        database: receives the rows.
        events: source of the events.
        keep_days: how long rows are kept; 0: for ever.
        say: receives sentences for a person.
    """

    def __init__(
        self, topics: Topics, database: Database, events: EventStream, keep_days: float, say: Callable[[str], None]
    ) -> None:
        self.dealt_with = 0
        self._topics = topics
        self._database = database
        self._events = events
        self._keep_s = keep_days * _DAY_S
        self._say = say
        self._flood = Flood()
        self._floods = Flood(burst=_MOST_EVENTS)
        """Separate limit for events, so that samples do not use up the allowance of events that waited at the
        broker."""
        self._waiting = Waiting(self._earliest)
        self._retry_at = self._prune_at = float("-inf")
        self._away = False

    @property
    def wants_all(self) -> bool:
        """Whether some retained messages found no room."""
        return self._waiting.read_again and not self._away

    def connected(self, *, up: bool) -> None:
        """Ignored, as the messages themselves show it."""

    def kept(self, messages: Mapping[str, bytes]) -> None:
        """Handle all retained messages."""
        self._waiting.read_again = False
        for topic, payload in messages.items():
            self._take(topic, payload, retained=True)
            self._store_if_due()

    def heard(self, message: Incoming) -> None:
        """Handle a device's message."""
        if message.retained or self._lets_in(self._flood, message):
            self._take(message.topic, message.payload, retained=message.retained)
        self._store_if_due()

    def tick(self) -> bool:
        """Handle events, and store or delete what is due; True: there were events, so more may follow."""
        before = self.dealt_with
        self._events.tend()
        if not self._away:  # otherwise events stay at the broker, which has room for them
            for event in self._events.come():
                if self._lets_in(self._floods, event):
                    self._take(event.topic, event.payload, retained=event.retained)
                self._waiting.acknowledge.append(partial(self._events.acknowledge, event))
                self._store_if_due()
        self._store_if_due()
        if self._keep_s and not self._away and time.monotonic() >= self._prune_at:
            self._prune()
        self._say_floods()
        return bool(self._waiting.acknowledge) or self.dealt_with > before

    def finish(self) -> None:
        """Store the waiting rows, as far as possible."""
        if len(self._waiting.rows):
            self._retry_at = float("-inf")
            self._store()
        self._say_floods(last=True)

    def _lets_in(self, flood: Flood, message: Incoming) -> bool:
        return flood.lets_in(device_of(self._topics, message.topic), time.monotonic(), len(message.payload))

    def _say_floods(self, *, last: bool = False) -> None:
        for flood in (self._flood, self._floods):
            for news in flood.news(time.monotonic(), last=last):
                self._say(news)

    def _take(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        match read(self._topics, topic, payload, _MOST):
            case Said() as said:
                self._waiting.add(said, time.time(), time.monotonic(), retained=retained)
            case Unreadable():
                pass

    def _store_if_due(self) -> None:
        if self._away or self._waiting.due(time.monotonic()):  # an empty batch shows whether it is back
            self._store()

    def _store(self) -> None:
        began = time.monotonic()
        if began < self._retry_at:
            return
        try:
            refused = self._database.write(self._waiting.rows)
        except StoreError as error:
            self._failed(error, began)
            return
        if self._away:
            left_out, self._waiting.left_out = self._waiting.left_out, 0
            lost = f"; {counted(left_out, 'message')} were lost meanwhile" if left_out else ""
            self._say(f"the database is back{lost}")
        if refused:
            self._say(f"the database rejects {counted(refused, 'row')}; they are left out")
        self._away = False
        self.dealt_with += self._waiting.stored()

    def _failed(self, error: StoreError, began: float) -> None:
        """Pause for as long as the failed attempt took, so that messages are received meanwhile."""
        if error.code != "database_unreachable":
            raise error
        if not self._away:
            self._say(f"{error.message}; trying again")
        self._away = True
        now = time.monotonic()
        self._retry_at = now + max(_AGAIN_S, now - began)

    def _prune(self) -> None:
        began = time.monotonic()
        try:
            more = self._database.prune(self._earliest(time.time()))
        except StoreError as error:
            self._failed(error, began)
            return
        if not more:
            self._prune_at = time.monotonic() + _PRUNE_EVERY_S

    def _earliest(self, now: float) -> float:
        return now - self._keep_s if self._keep_s else 0.0
