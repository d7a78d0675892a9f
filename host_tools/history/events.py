"""Receives events without loss: the broker holds them for up to a week while the collector is offline.

For this the collector of a database always connects with the same client id, and acknowledges an event only when it is
stored.
"""

import queue
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from edge_agent.errors import BrokerError
from edge_agent.mqtt import Connected, Disconnected, Incoming, Link, Oversized, SubscribeFailed
from edge_agent.mqtt import Event as Happened
from edge_agent.mqtt.inflow import Inflow
from edge_agent.wire.messages import MAX_REPORT_BYTES
from host_tools.broker.settings import Settings

_LONGEST_DELAY_S = 2.0
_AT_ONCE_S = 2.0
_MOST_BYTES = 4 << 20
"""Size of the events that wait here."""


class EventStream:
    """Connected until :meth:`close`, and again after each outage."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._filter = settings.topics.devices("event")
        self._happened: queue.SimpleQueue[Happened] = queue.SimpleQueue()
        self._link = Link(
            settings,
            client_id,
            on_event=self._happened.put,
            clean=False,
            longest_delay_s=_LONGEST_DELAY_S,
            inflow=Inflow(_MOST_BYTES, lambda _: MAX_REPORT_BYTES),
        )
        self._waiting: deque[Incoming] = deque()
        self._link.start()
        with suppress(BrokerError):  # the loop that receives the fleet reports it
            self._link.wait_connected(_AT_ONCE_S)
            self._link.subscribe(self._filter)  # before anything else is read, so that no event is missed

    def tend(self) -> None:
        """Subscribe again after an outage, and collect the events since the last call.

        Raises:
            BrokerError: the broker refuses the client, or does not permit it to read events.
        """
        while True:
            try:
                happened = self._happened.get_nowait()
            except queue.Empty:
                return
            match happened:
                case Connected():
                    self._link.subscribe(self._filter)
                case SubscribeFailed(_, reason):
                    raise BrokerError("broker_refused", f"the broker does not let us read {self._filter}: {reason}")
                case Disconnected(reason, code) if happened.lasting:
                    raise BrokerError(code, reason)
                case Incoming():
                    self._waiting.append(happened)
                case Oversized():
                    self._link.ack(happened)

    def come(self) -> Iterator[Incoming]:
        """The collected events; the caller must acknowledge each."""
        while self._waiting:
            yield self._waiting.popleft()

    def acknowledge(self, message: Incoming) -> None:
        """Acknowledge an event that is stored, or that cannot be: the broker may drop it."""
        self._link.ack(message)

    def close(self) -> None:
        """Close the connection; the broker holds later events."""
        self._link.stop()
