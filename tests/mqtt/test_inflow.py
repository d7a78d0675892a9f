"""What a broker may fill memory with: messages that wait, and packets that are too large."""

import queue
import resource
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support.brokers import MosquittoBroker
from support.flood import Flood, publish
from support.links import QueuedLink
from support.raw_broker import raw_broker

from edge_agent.mqtt import Connected, Event, Incoming, Link, Oversized
from edge_agent.mqtt.inflow import Inflow
from edge_agent.settings.broker import BrokerSettings

MIB = 1024 * 1024
MOST = 2 * MIB
SIZE = 60_000


@pytest.mark.mosquitto
@pytest.mark.parametrize("qos", [0, 1])
def test_what_waits_for_an_owner_who_is_busy_is_bounded_and_goes_on_later(
    mosquitto: MosquittoBroker, namespace: str, qos: int
) -> None:
    with QueuedLink(mosquitto.url, clean=False, inflow=Inflow(MOST)) as link:
        link.expect(Connected)
        link.link.subscribe(f"{namespace}/+")
        with Flood(mosquitto.url, lambda number: (f"{namespace}/x", b"%09d" % number + bytes(SIZE)), qos=qos) as flood:
            deadline = time.monotonic() + 60
            while (flood.sent < 500 or link.inbox.qsize() < MOST // SIZE // 8) and time.monotonic() < deadline:
                time.sleep(0.05)
            sent = flood.sent
        waiting = link.inbox.qsize()
        assert sent >= 500
        assert waiting * SIZE <= MOST + SIZE

        for _ in range(waiting):
            link.link.ack(link.expect(Incoming))
        with QueuedLink(mosquitto.url, "honest") as honest:
            honest.expect(Connected)
            assert honest.link.publish(f"{namespace}/honest", b"1", retain=True).wait(60)
        deadline = time.monotonic() + 60
        while (event := link.expect(Incoming)).topic != f"{namespace}/honest" and time.monotonic() < deadline:
            link.link.ack(event)

    assert event.payload == b"1"


def test_a_connection_that_breaks_while_nothing_is_read_takes_no_processor_time_and_is_made_again() -> None:
    with raw_broker(publish("t/x", bytes(100), 1, 0, retain=False) * 2, close_after_s=0.3) as (url, connections):
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        link = Link(BrokerSettings(url=url), "full", on_event=events.put, inflow=Inflow(1))
        link.start()
        while not isinstance(first := events.get(timeout=60), Incoming):
            pass
        before = resource.getrusage(resource.RUSAGE_SELF)
        time.sleep(2)
        after = resource.getrusage(resource.RUSAGE_SELF)
        link.ack(first)
        deadline = time.monotonic() + 60
        while len(connections) < 2 and time.monotonic() < deadline:
            while not events.empty():
                if isinstance(event := events.get(), Incoming):
                    link.ack(event)
            time.sleep(0.01)
        link.stop()

    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    assert len(connections) >= 2


def test_a_payload_above_its_topics_limit_does_not_reach_the_owner(one_broker: MosquittoBroker, namespace: str) -> None:
    limits = {f"{namespace}/a": 10}
    inflow = Inflow(MOST, lambda topic: limits.get(topic, MIB))
    with QueuedLink(one_broker.url, clean=False, inflow=inflow) as link:
        link.expect(Connected)
        link.link.subscribe(f"{namespace}/+")
        link.link.publish(f"{namespace}/a", bytes(11)).wait(60)
        link.link.publish(f"{namespace}/a", bytes(10)).wait(60)

        large = link.expect(Oversized)
        link.link.ack(large)
        fits = link.expect(Incoming)

    assert (large.topic, large.size, len(fits.payload)) == (f"{namespace}/a", 11, 10)


def test_of_a_packet_of_3_1_1_that_is_too_large_only_the_beginning_is_kept_and_it_is_acknowledged() -> None:
    """No broker of 3.1.1 is told how much we take; a single message may have 256 MB."""
    huge = publish("t/huge", bytes(96 * MIB), 1, 6, retain=True)
    with raw_broker(huge + publish("t/next", b"next", 1, 7, retain=True)) as (url, connections):
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        before = forget_peak()
        link = Link(
            BrokerSettings(url=url), "small", on_event=events.put, clean=False, inflow=Inflow(MOST, lambda _: MIB // 8)
        )
        link.start()
        got: list[Incoming | Oversized] = []
        while len(got) < 2:
            if isinstance(event := events.get(timeout=60), Incoming | Oversized):
                got.append(event)
                link.ack(event)
        deadline = time.monotonic() + 60
        while b"\x40\x02\x00\x08" not in connections[0] and time.monotonic() < deadline:
            time.sleep(0.01)
        link.stop()
        grown = peak_kib() - before

    assert isinstance(got[0], Oversized)
    assert got[0].topic == "t/huge"
    assert got[1] == Incoming("t/next", b"next", retained=True, token=got[1].token)
    assert connections[0].count(b"\x40\x02\x00\x07") == connections[0].count(b"\x40\x02\x00\x08") == 1
    assert grown < 32 * 1024


def peak_kib() -> int:
    """The largest RSS of this process since :func:`forget_peak`."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def forget_peak() -> int:
    """Begin anew with the RSS of now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_kib()


@pytest.mark.mosquitto
def test_what_the_broker_could_not_deliver_in_a_flood_comes_after_it(
    mosquitto: MosquittoBroker, namespace: str
) -> None:
    """What a mosquitto drops keeps its place in the window: 32 of them, and all is silent."""
    honest = {f"{namespace}/honest-{number}" for number in range(150)}
    seen: set[str] = set()
    inflow = Inflow(MOST)
    with QueuedLink(mosquitto.url, clean=False, inflow=inflow) as link, QueuedLink(mosquitto.url, "host") as host:
        link.expect(Connected)
        host.expect(Connected)
        link.link.subscribe(f"{namespace}/+")

        def take(seconds: float) -> None:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0 and not honest <= seen:
                with suppress(queue.Empty):
                    if isinstance(event := link.inbox.get(timeout=min(left, 0.05)), Incoming):
                        seen.add(event.topic)
                        link.link.ack(event)

        with Flood(mosquitto.url, lambda number: (f"{namespace}/x", b"%09d" % number + bytes(SIZE))):
            deadline = time.monotonic() + 60
            while not inflow.dropped and time.monotonic() < deadline:  # the owner is busy
                time.sleep(0.05)
            for topic in sorted(honest):
                assert host.link.publish(topic, b"1", retain=True).wait(60)
                take(0.01)
        take(60)

    assert inflow.dropped
    assert honest <= seen


def test_a_flood_that_does_not_end_has_the_connection_made_again_now_and_then() -> None:
    inflow = Inflow(1)
    message = Incoming("t", b"", retained=False)
    due = []
    inflow.came(message, 1, 0.0)
    for second in range(150):
        inflow.came(message, 0, float(second))
        due.append(inflow.renewal_due(float(second)))
    due += [inflow.renewal_due(150.0 + second) for second in range(10)]

    assert [second for second, one in enumerate(due) if one] == [60, 120, 151]
