"""What becomes of counters, and of scrapes while messages come. No broker and no HTTP."""

import sys
import threading
from collections.abc import Iterator

import msgspec
import pytest
from support.fleets import Voice

from edge_agent.mqtt import Incoming
from edge_agent.wire.messages import DeviceStatus, decode, encode
from edge_agent.wire.telemetry import EVENT_KINDS
from edge_agent.wire.topics import Topics
from host_tools.exporter.collector import FleetCollector
from host_tools.exporter.serving import Exporter

TOPICS = Topics("t/export")


@pytest.fixture
def exporter() -> Exporter:
    return Exporter(TOPICS, print)


def hear(exporter: Exporter, *messages: tuple[str, bytes]) -> None:
    for topic, payload in messages:
        exporter.heard(Incoming(topic, payload, retained=False))


def values(exporter: Exporter, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Those labels → value, of one metric."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in FleetCollector(exporter.exported).collect()
        for sample in family.samples
        if sample.name == f"edge_agent_{name}"
    }


def test_a_will_begins_no_counter_anew(exporter: Exporter) -> None:
    pi = Voice("pi-1", TOPICS)
    topic, payload = pi.status()
    seven = encode(msgspec.structs.replace(decode(payload, DeviceStatus), refused_count=7, twin="another"))

    seen = []
    for message in ((topic, seven), pi.status(online=False), (topic, seven)):
        hear(exporter, message)
        refused = values(exporter, "orders_refused_total", "device").values()
        seen.append([*refused, *values(exporter, "twin", "device").values()])

    assert seen == [[7, 1], [], [7, 1]]


def test_what_only_rises_begins_at_zero(exporter: Exporter) -> None:
    pi = Voice("pi-1", TOPICS)
    hear(exporter, pi.status())
    events = values(exporter, "events_total", "device", "kind")
    assert events == {("pi-1", kind): 0 for kind in EVENT_KINDS}
    assert values(exporter, "exporter_limited_messages_total", "device") == {("pi-1",): 0}
    assert set(values(exporter, "exporter_unreadable_messages_total", "reason").values()) == {0}

    hear(
        exporter,
        pi.event("sensor_lost", severity="error"),
        *[pi.status()] * 600,
        *[("t/export/d/No Device/x", b"")] * 600,
    )

    assert values(exporter, "events_total", "device", "kind") == events | {("pi-1", "sensor_lost"): 1}
    limited = values(exporter, "exporter_limited_messages_total", "device")
    assert set(limited) == {("pi-1",), ("(none)",)}
    assert min(limited.values()) > 0


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_scrape_while_devices_come_is_whole(exporter: Exporter, hasty: None) -> None:
    message = Voice("pi", TOPICS).status()[1]
    done = threading.Event()

    def many_come() -> None:
        for number in range(3000):
            exporter.heard(Incoming(f"t/export/d/new-{number}/status", message, retained=False))
        done.set()

    thread = threading.Thread(target=many_come)
    thread.start()
    scrapes = 0
    while not done.is_set():
        FleetCollector(exporter.exported).collect()
        scrapes += 1
    thread.join()

    assert scrapes
    assert exporter.exported.messages == 3000
    assert exporter.exported.unreadable["foreign_name"] == 3000
