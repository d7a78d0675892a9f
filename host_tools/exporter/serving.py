"""The exporter: listens to the fleet, and answers Prometheus' scrapes over HTTP."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from edge_agent.errors import ConfigError
from edge_agent.mqtt import Incoming
from edge_agent.strict import why
from edge_agent.wire.topics import Topics
from host_tools.exporter.collector import Exported, FleetCollector
from host_tools.fleet.reading import Said, Unreadable, device_of, models_first, read
from host_tools.fleet.state import Fleet

_MOST = 200
"""Characters of a stored string; labels show fewer."""


class Exporter:
    """Holds the exported state; :func:`host_tools.fleet.listening.follow` feeds it."""

    wants_all = False

    def __init__(self, topics: Topics, say: Callable[[str], None]) -> None:
        self.exported = Exported()
        self._topics = topics
        self._say = say

    def connected(self, *, up: bool) -> None:
        """Note whether the broker is connected."""
        self.exported.connected = up

    def kept(self, messages: Mapping[str, bytes]) -> None:
        """Replace the state by all retained messages."""
        found = (said for topic in models_first(messages) if (said := self._read(topic, messages[topic])))
        kept = Fleet.of_kept(found, time.time())
        with self.exported.lock:
            self.exported.fleet.replace_kept(kept, time.time())

    def heard(self, message: Incoming) -> None:
        """Handle a device's message, unless that device sends too many."""
        said = self._read(message.topic, message.payload, limited=not message.retained)
        if said is not None:
            with self.exported.lock:
                self.exported.fleet.take(said, time.time(), retained=message.retained)

    def tick(self) -> bool:
        """Report devices that send too many messages; nothing waits here."""
        with self.exported.lock:
            told = self.exported.flood.news(time.monotonic())
        for news in told:
            self._say(news)
        return False

    def _read(self, topic: str, payload: bytes, *, limited: bool = False) -> Said | None:
        """Decode a message; whether to skip it is decided before, by the device in its topic."""
        exported = self.exported
        device = device_of(self._topics, topic)
        with exported.lock:
            exported.messages += 1
            if limited and not exported.flood.lets_in(device, time.monotonic(), len(payload)):
                return None
        said = read(self._topics, topic, payload, _MOST)
        if isinstance(said, Unreadable):
            with exported.lock:
                exported.unreadable[said.reason] += 1
            return None
        return said


@contextmanager
def answering(exported: Exported, host: str, port: int) -> Iterator[int]:
    """Answer scrapes while the block runs; yields the port, which the system chooses for 0.

    Raises:
        ConfigError: ``usage``: the address is not available.
    """
    registry = CollectorRegistry()
    registry.register(FleetCollector(exported))
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except (OSError, OverflowError) as error:
        raise ConfigError("usage", f"--listen {host}:{port}: {why(error)}; give another address or port") from None
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
