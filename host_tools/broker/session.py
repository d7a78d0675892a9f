"""One command's connection to the broker: connect or give up, read what is retained, publish, listen.

Does not: know what a message means.

MQTT has no word for "these were all retained messages". ``snapshot`` therefore publishes a message of its own after it
has subscribed; brokers deliver it behind the retained ones (``_SETTLE_S`` covers one that does not keep to that).
That message goes to a device that does not exist (where a host may write and read under the documented ACL), empty and
not retained, which means nothing to every reader of this protocol.
"""

import queue
import secrets
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from edge_agent.errors import BrokerError
from edge_agent.mqtt import Connected, Disconnected, Event, Incoming, Link, LinkOptions, Sent, SubscribeFailed
from edge_agent.wire.topics import Scope
from host_tools.broker.settings import Settings

_SETTLE_S = 0.03
_NO_ECHO_S = 3.0  # silence after which a broker that withholds our own message has told everything
_TICK_S = 0.2
_WINDOW = 64


class Session:
    """A connection for one command; use it in a ``with`` statement.

    Raises:
        BrokerError: from every method: the broker refused us, or was away for ``settings.broker_timeout_s``.
    """

    def __init__(self, settings: Settings) -> None:
        self.topics = settings.topics
        self._timeout_s = settings.broker_timeout_s
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._backlog: deque[Incoming] = deque()
        self._filters: list[str] = []
        self._away_since: float | None = None
        options = LinkOptions(
            url=settings.broker, client_id=f"host-{secrets.token_hex(6)}", username=settings.username,
            password_file=settings.password_file, ca_file=settings.ca_file, cert_file=settings.cert_file,
            key_file=settings.key_file,
        )  # fmt: skip
        self.link = Link(options, on_event=self._events.put)

    def __enter__(self) -> Self:
        self.link.start()
        try:
            self.link.wait_connected(self._timeout_s)
        except BaseException:
            self.link.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.link.stop()

    def subscribe(self, *filters: str) -> None:
        """Listen to ``filters`` from now on, through reconnects too."""
        self._filters += filters
        self.link.subscribe(*filters)

    def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Publish and wait until the broker has it; tries again after a reconnect."""
        deadline = time.monotonic() + self._timeout_s
        while not self._publish_once(topic, payload, deadline, retain=retain):
            if time.monotonic() >= deadline:
                raise BrokerError("broker_unreachable", f"the broker acknowledges nothing: {self.link.trouble}")
            time.sleep(_TICK_S)

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish retained messages, a window of them at a time, and wait until the broker has them all."""
        waiting: deque[tuple[str, bytes, Sent]] = deque()
        for topic, payload in messages:
            if len(waiting) >= _WINDOW:
                self._settle(*waiting.popleft())
            waiting.append((topic, payload, self.link.publish(topic, payload, retain=True)))
        while waiting:
            self._settle(*waiting.popleft())

    def next(self, timeout_s: float) -> Incoming | None:
        """The next message, or None after ``timeout_s``."""
        if self._backlog:
            return self._backlog.popleft()
        deadline = time.monotonic() + timeout_s
        while (remaining := deadline - time.monotonic()) > 0:
            event = self._take(min(remaining, _TICK_S))
            if isinstance(event, Incoming):
                return event
        return None

    def snapshot(self, *filters: str) -> dict[str, bytes]:
        """Topic → payload of every retained message under ``filters``."""
        found: dict[str, bytes] = {}
        echo = self.topics.want(Scope("d", secrets.token_hex(8)), "echo")
        self._ask(filters, echo)
        silent_since, echoed = time.monotonic(), False
        while time.monotonic() - silent_since < (_SETTLE_S if echoed else _NO_ECHO_S):
            event = self._take(_SETTLE_S / 4)
            match event:
                case Connected():
                    found.clear()
                    self._ask(filters, echo)
                    echoed = False
                case Incoming(topic) if topic == echo:
                    echoed = True
                case Incoming(topic, payload, retained=True) if _matches(topic, filters):
                    found[topic] = payload
                case Incoming():
                    self._backlog.append(event)
                case _:
                    continue
            silent_since = time.monotonic()
        self.link.unsubscribe(echo, *(name for name in filters if name not in self._filters))
        return {topic: payload for topic, payload in found.items() if payload}

    def _publish_once(self, topic: str, payload: bytes, deadline: float, *, retain: bool) -> bool:
        self.link.wait_connected(max(0.0, deadline - time.monotonic()))
        sent = self.link.publish(topic, payload, retain=retain)
        return _acknowledged(sent, max(0.0, deadline - time.monotonic()))

    def _settle(self, topic: str, payload: bytes, sent: Sent) -> None:
        if not _acknowledged(sent, self._timeout_s):
            self.publish(topic, payload)

    def _ask(self, filters: tuple[str, ...], echo: str) -> None:
        self.link.subscribe(*filters, echo)
        self.link.publish(echo, b"")

    def _take(self, timeout_s: float) -> Event | None:
        """The next event, once it has been dealt with as far as the connection is concerned."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            event = None
        match event:
            case Connected():
                self._away_since = None
                self.link.subscribe(*self._filters)
            case Disconnected(reason, code):
                if code == "broker_refused":
                    raise BrokerError(code, reason)
                self._away_since = self._away_since or time.monotonic()
            case SubscribeFailed(names, reason):
                raise BrokerError("broker_refused", f"the broker does not let us read {', '.join(names)}: {reason}")
            case Incoming():
                self.link.ack(event)
        if self._away_since is not None and time.monotonic() - self._away_since > self._timeout_s:
            raise BrokerError("broker_unreachable", f"away for {self._timeout_s:.0f} s: {self.link.trouble}")
        return event


def _matches(topic: str, filters: tuple[str, ...]) -> bool:
    levels = topic.split("/")
    return any(
        len(levels) == len(wanted) and all(b in ("+", a) for a, b in zip(levels, wanted, strict=True))
        for wanted in (name.split("/") for name in filters)
    )


def _acknowledged(sent: Sent, timeout_s: float) -> bool:
    try:
        return sent.wait(timeout_s)
    except BrokerError as error:
        if error.code == "broker_unreachable":
            return False
        raise
