"""A command's connection to the broker: connect or give up, read retained messages, publish, listen.

MQTT has no signal for the end of the retained messages; ``snapshot.py`` decides when a ``snapshot`` is complete. Its
echo goes to a device that does not exist (where a host may write and read under the documented ACL). The echo is empty
and not retained, and every reader of this protocol ignores it. Otherwise a session does not interpret messages.

If the broker goes away, the session waits for it, and reports that within two seconds, whatever the command is doing.
"""

import queue
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from types import TracebackType
from typing import Self

from edge_agent.errors import BrokerError
from edge_agent.mqtt import Connected, Disconnected, Event, Incoming, Link, Sent, SubscribeFailed
from edge_agent.printable import printable
from edge_agent.strict import counted
from edge_agent.wire.topics import Scope
from host_tools.broker import acl
from host_tools.broker.filters import Filters
from host_tools.broker.outage import Outage
from host_tools.broker.settings import Settings
from host_tools.broker.snapshot import SETTLE_S, Reading, Verdict

_SESSION_S = 60  # how long the broker keeps undelivered messages
_TICK_S = 0.2
_WINDOW = 64
_LONGEST_DELAY_S = 2.0  # a person waits for the reconnect


def to_stderr(text: str) -> None:
    """Print a sentence for a person that is no part of a command's result."""
    print(printable(text), file=sys.stderr, flush=True)


class StoppedError(Exception):
    """The user of the session has asked to stop."""


class Session:
    """A connection for one command; use it in a ``with`` statement.

    Args:
        settings: the broker and the client's identity.
        say: receives sentences for a person while the command runs.
        until: polled a few times a second during every wait; True stops the session.

    Attributes:
        connections: number of connections made so far; after a new one, messages may have been cleared meanwhile.

    Raises:
        BrokerError: from every method: the broker refused the client or has an invalid certificate (both at once), or
            it was away for ``settings.broker_timeout_s``.
        StoppedError: from every method: ``until`` has returned True.
    """

    def __init__(
        self, settings: Settings, say: Callable[[str], None] = to_stderr, until: Callable[[], bool] = lambda: False
    ) -> None:
        self.settings = settings
        self.topics = settings.topics
        self.connections = 0
        self._say = say
        self._until = until
        self._timeout_s = settings.broker_timeout_s
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._backlog: deque[Incoming] = deque()
        self._filters = Filters()
        self._outage = Outage(self._timeout_s)
        client_id = f"host-{secrets.token_hex(6)}"
        self.link = Link(
            settings, client_id, on_event=self._events.put, longest_delay_s=_LONGEST_DELAY_S, session_s=_SESSION_S
        )

    def __enter__(self) -> Self:
        self.link.start()
        self._outage.left(time.monotonic())
        try:
            self._wait_connected(time.monotonic() + self._timeout_s)
        except BaseException:
            self.link.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.link.stop()

    def subscribe(self, *filters: str) -> None:
        """Listen to ``filters`` from now on, also after reconnects."""
        self._filters.add(filters)
        self.link.subscribe(*filters)

    def say(self, text: str) -> None:
        """Pass a sentence on to the person; an empty one is skipped."""
        if text:
            self._say(text)

    def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Publish and wait for the broker's acknowledgement; retries after a reconnect."""
        deadline = time.monotonic() + self._timeout_s
        while not self._publish_once(topic, payload, deadline, retain=retain):
            if time.monotonic() >= deadline:
                raise BrokerError("broker_unreachable", f"the broker acknowledges nothing: {self.link.trouble}")
            time.sleep(_TICK_S)

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish retained messages, a window at a time, and wait until the broker has acknowledged them all."""
        waiting: deque[tuple[str, bytes, Sent]] = deque()
        for topic, payload in messages:
            if len(waiting) >= _WINDOW:
                self._settle(*waiting.popleft())
            waiting.append((topic, payload, self.link.publish(topic, payload, retain=True)))
        while waiting:
            self._settle(*waiting.popleft())

    def clear(self, topics: Iterable[str]) -> list[str]:
        """Clear retained messages; returns the topics that the broker refuses to clear.

        A command tidies up after its work is done, so a refusal is no error here; :meth:`say_left` reports it.
        """
        left: list[str] = []
        waiting: deque[tuple[str, Sent]] = deque()

        def settle(topic: str, sent: Sent) -> None:
            try:
                self._settle(topic, b"", sent)
            except BrokerError as error:
                if error.code != "broker_refused":
                    raise
                left.append(topic)

        for topic in topics:
            if len(waiting) >= _WINDOW:
                settle(*waiting.popleft())
            waiting.append((topic, self.link.publish(topic, b"", retain=True)))
        while waiting:
            settle(*waiting.popleft())
        return left

    def say_left(self, left: Sequence[str]) -> None:
        """Print one line about the topics that :meth:`clear` could not clear."""
        self.say(acl.not_cleared(self.topics, left))

    def next(self, timeout_s: float) -> Incoming | None:
        """The next message, or None after ``timeout_s``."""
        if self._backlog:
            return self._backlog.popleft()
        deadline = time.monotonic() + timeout_s
        while (remaining := deadline - time.monotonic()) > 0:
            event = self._take(min(remaining, _TICK_S))
            if isinstance(event, Incoming) and self._filters.match(event.topic):
                return event
        return None

    def snapshot(
        self, *filters: str, listen: bool = False, into: MutableMapping[str, bytes] | None = None
    ) -> MutableMapping[str, bytes]:
        """Topic → payload of every retained message under ``filters``.

        ``listen``: also subscribe to them, as :meth:`subscribe` does, without missing a message in between.
        ``into``: an empty mapping to fill and return.

        Raises:
            BrokerError: ``snapshot_incomplete``: the broker did not deliver them all, or completeness cannot be shown.
        """
        nobody = Scope("d", secrets.token_hex(8))
        ours = Filters((*self._filters, *(filters if listen else ())))
        reading = Reading(
            filters, resumes=self.link.resumes, now=time.monotonic(), patience_s=self._timeout_s, into=into
        )
        sent = self._ask(reading, nobody)
        while (verdict := reading.verdict(time.monotonic(), answered=sent.done)) is not Verdict.COMPLETE:
            if verdict is Verdict.INCOMPLETE:
                raise BrokerError("snapshot_incomplete", self._incomplete(reading))
            if verdict is Verdict.AGAIN:
                reading.leave()
                self.link.reconnect()
            match self._take(SETTLE_S / 4):
                case Connected(session_present):
                    resumed = session_present and self.link.resumes
                    reading.again(time.monotonic(), resumed=resumed)
                    sent = self._ask(reading, nobody, resumed=resumed)
                case Incoming(topic) if topic == self._echo(nobody, reading.round):
                    reading.echoed(time.monotonic())
                case Incoming(topic, payload, retained=True) if reading.take(topic, payload, time.monotonic()):
                    pass
                case Incoming(topic) as message if ours.match(topic):
                    self._backlog.append(message)
        self._filters = ours
        if reading.qos == 0:  # the reading has lowered the QoS of filters that stay, unless it used wider ones
            self.link.subscribe(*(name for name in dict.fromkeys((*reading.asks, *filters)) if name in ours))
        self.link.unsubscribe(self._echoes(nobody), *(name for name in reading.asks if name not in ours))
        for topic in [topic for topic, payload in reading.found.items() if not payload]:
            del reading.found[topic]
        return reading.found

    def _incomplete(self, reading: Reading) -> str:
        came = counted(len(reading.found), "retained message")
        here = f"the broker delivered {came}, and it is unknown whether that is all"
        if self.link.resumes:
            return f"{here}; try again, or give it more time with --broker-timeout"
        return f"{here}; use a broker that speaks MQTT 5 and keeps sessions"

    def _echoes(self, nobody: Scope) -> str:
        """The filter for the echoes of a reading: messages to a device that does not exist."""
        return self.topics.want(nobody, "+")

    def _echo(self, nobody: Scope, number: int) -> str:
        return self.topics.want(nobody, f"echo-{number}")

    def _publish_once(self, topic: str, payload: bytes, deadline: float, *, retain: bool) -> bool:
        self._wait_connected(deadline)
        return self._acknowledged(topic, self.link.publish(topic, payload, retain=retain), deadline)

    def _settle(self, topic: str, payload: bytes, sent: Sent) -> None:
        if not self._acknowledged(topic, sent, time.monotonic() + self._timeout_s):
            self.publish(topic, payload)

    def _wait_connected(self, deadline: float) -> None:
        while not self.link.connected:
            remaining = deadline - time.monotonic()
            try:
                self.link.wait_connected(max(0.0, min(_TICK_S, remaining)))
            except BrokerError as error:
                if error.code != "broker_unreachable" or remaining <= 0:
                    raise
            self._look_up()
        self._look_up()

    def _acknowledged(self, topic: str, sent: Sent, deadline: float) -> bool:
        """Whether the broker has accepted a message; False if not by ``deadline``, or if it was never sent."""
        self._outage.owes(time.monotonic())
        while True:
            remaining = deadline - time.monotonic()
            try:
                if sent.wait(max(0.0, min(_TICK_S, remaining))):
                    self.say(self._outage.acknowledged(time.monotonic()))
                    return True
            except BrokerError as error:
                if error.code == "broker_unreachable":
                    return False
                raise BrokerError(error.code, acl.refused(self.topics, topic, error.message)) from None
            self._look_up()
            if remaining <= 0:
                return False

    def _look_up(self) -> None:
        """Handle the events of the connection that arrived during another wait."""
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            self._heed(event)
            if isinstance(event, Incoming) and self._filters.match(event.topic):
                self._backlog.append(event)
        self._judge_outage()

    def _ask(self, reading: Reading, nobody: Scope, *, resumed: bool = False) -> Sent:
        self.link.subscribe(*(() if resumed else reading.asks), self._echoes(nobody), qos=reading.qos)
        return self.link.publish(self._echo(nobody, reading.round), b"")

    def _take(self, timeout_s: float) -> Event | None:
        """The next event, after handling what it means for the connection."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            event = None
        if event is not None:
            self._heed(event)
        self._judge_outage()
        return event

    def _heed(self, event: Event) -> None:
        match event:
            case Connected():
                self.connections += 1
                self.say(self._outage.returned())
                self.link.subscribe(*self._filters)
            case Disconnected(reason, code):
                if event.lasting:
                    raise BrokerError(code, reason)
                self._outage.left(time.monotonic())
            case SubscribeFailed(names, reason):
                raise BrokerError("broker_refused", f"the broker does not let us read {', '.join(names)}: {reason}")
            case Incoming():
                self.link.ack(event)

    def _judge_outage(self) -> None:
        if self._until():
            raise StoppedError
        now = time.monotonic()
        if self._outage.away_s(now) > self._timeout_s:
            raise BrokerError("broker_unreachable", f"away for {self._timeout_s:.2g} s: {self.link.trouble}")
        self.say(self._outage.news(now, self.link.trouble))
