"""A host that stays subscribed while it or the broker is away, and keeps what it hears of one device's telemetry."""

import queue
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from edge_agent.mqtt import Connected, Incoming
from edge_agent.wire.messages import decode
from edge_agent.wire.telemetry import Event, Health
from support.links import QueuedLink


class Ear:
    """Listens below ``device_topics``; is subscribed on entering.

    Attributes:
        events: in the order in which they came, each once by its ``event_seq``.
        again: how many deliveries brought one that was known.
        health: the samples.
    """

    def __init__(self, url: str, device_topics: str) -> None:
        self._topics = device_topics
        self._link = QueuedLink(url, f"ear-{device_topics.replace('/', '-')}", clean=False)
        self.events: list[Event] = []
        self.again = 0
        self.health: list[Health] = []

    def __enter__(self) -> Self:
        self._link.__enter__()
        self._link.expect(Connected)
        self._subscribe()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.__exit__(kind, error, trace)

    @property
    def kinds(self) -> list[str]:
        """Of the events, in their order."""
        return [event.kind for event in self.events]

    def listen(self, until: Callable[[], bool], timeout_s: float = 60) -> None:
        """Take what comes until ``until()`` holds."""
        deadline = time.monotonic() + timeout_s
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout_s:g} s; heard {self.kinds}, {len(self.health)} samples")
            self.take(0.2)

    def take(self, timeout_s: float) -> None:
        """Take what comes next, if it comes in time."""
        try:
            heard = self._link.inbox.get(timeout=timeout_s)
        except queue.Empty:
            return
        if isinstance(heard, Connected):
            self._subscribe()
        if not isinstance(heard, Incoming):
            return
        if heard.payload and heard.topic.endswith("/event"):
            event = decode(heard.payload, Event)
            if self.events and event.event_seq <= self.events[-1].event_seq:
                self.again += 1
            else:
                self.events.append(event)
        elif heard.payload:
            self.health.append(decode(heard.payload, Health))
        self._link.link.ack(heard)

    def _subscribe(self) -> None:
        self._link.link.subscribe(f"{self._topics}/event", f"{self._topics}/tele/health")
