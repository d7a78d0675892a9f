"""Reads a fleet from the broker into a view, then keeps listening.

Reports are read only for devices that have models but publish no model state, such as those of version 0.1. For 5,000
devices the newest twenty reports each would be hundreds of megabytes.
"""

import time
from collections.abc import Iterable, Sequence

from edge_agent.wire.telemetry import Event
from host_tools.broker.registry import read_parts
from host_tools.broker.session import Session
from host_tools.fleet.reading import Said, live_filters, read
from host_tools.fleet.view import FleetView

_ONE_BY_ONE = 50
"""Devices whose reports are subscribed to individually; if more, and most, devices need reports, all are subscribed."""
_PATIENCE_S = 0.5
"""Time after a device's status and info within which it publishes its model states, if it has any."""


class FleetReader:
    """Fills ``view`` with the retained messages, then with live ones.

    Attributes:
        known: the devices that the broker knows, including those outside the view.
    """

    def __init__(self, session: Session, view: FleetView) -> None:
        self._session, self._view = session, view
        self._topics = session.topics
        self.known: set[str] = set()
        self._reports_of: set[str] = set()
        """Devices whose reports are subscribed to."""
        self._of_all = False
        self._undecided: set[str] = set()
        self._decide_at = float("inf")

    def read(self) -> None:
        """Read the retained messages, and subscribe to later ones."""
        topics = self._topics
        retained = [topics.devices(kind) for kind in ("status", "info", "model")]
        self._take_all(self._session.snapshot(*retained, listen=True).items())
        self._session.subscribe(topics.devices("event"), *live_filters(topics))
        stateless = self._view.stateless
        self._reports_of |= set(stateless)
        self._of_all = len(stateless) > _ONE_BY_ONE and 2 * len(stateless) > len(self.known)
        self._take_all(read_parts(self._session, self._report_filters(stateless), listen=not self._of_all))
        if self._of_all:
            self._session.subscribe(topics.devices("job"))

    def next(self, timeout_s: float) -> Said | None:
        """The next message that has changed the view; a repeated event does not change it."""
        if time.monotonic() >= self._decide_at:
            self._decide()
        incoming = self._session.next(min(timeout_s, max(0.0, self._decide_at - time.monotonic())))
        if incoming is None:
            return None
        said = read(self._topics, incoming.topic, incoming.payload)
        if not isinstance(said, Said) or (isinstance(said.message, Event) and incoming.retained):
            return None  # agents never retain events, so this one's age is unknown
        changed = self._view.take(said, time.time(), retained=incoming.retained)
        new = changed and not self._of_all and said.device not in self._reports_of
        if new and self._view.is_stateless(said.device):
            self._undecided.add(said.device)
            self._decide_at = min(self._decide_at, time.monotonic() + _PATIENCE_S)
        return said if changed else None

    def _decide(self) -> None:
        """Subscribe to the reports of recently heard devices that have published no model state."""
        new = [name for name in sorted(self._undecided) if self._view.is_stateless(name)]
        self._undecided.clear()
        self._decide_at = float("inf")
        self._reports_of |= set(new)
        if new:
            self._session.subscribe(*self._report_filters(new))

    def _take_all(self, found: Iterable[tuple[str, bytes]]) -> None:
        now = time.time()
        for topic, payload in found:
            if isinstance(said := read(self._topics, topic, payload), Said):
                self.known.add(said.device)
                self._view.take(said, now, retained=True)

    def _report_filters(self, devices: Sequence[str]) -> list[str]:
        return [self._topics.device(name, "job", "+") for name in devices]
