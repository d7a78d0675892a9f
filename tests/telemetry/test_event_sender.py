"""The order in which events are published, and what becomes of those that a broker refuses or a connection loses."""

from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.telemetry.event_sender import DENIED, WINDOW, EventSender
from edge_agent.telemetry.outbox import Outbox


class Wire:
    """Keeps what is published until a test answers it, as the link does over connections."""

    def __init__(self) -> None:
        self.published: list[bytes] = []
        self.under_way: list[Callable[[str], None]] = []
        self.takes = True

    def send(self, payload: bytes, answered: Callable[[str], None]) -> bool:
        if self.takes:
            self.published.append(payload)
            self.under_way.append(answered)
        return self.takes

    def answer(self, reason: str = "") -> None:
        self.under_way.pop(0)(reason)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    found = Outbox(tmp_path / "events", lambda: 1e9)
    found.load()
    for number in range(40):
        found.add(found.next_number(), b"%d" % number)
    return found


def test_they_go_out_in_order_a_window_at_a_time(outbox: Outbox, wire: Wire) -> None:
    sender = EventSender(outbox, wire.send)
    sender.publish()
    assert wire.published == [], "there is no connection"
    sender.connected()
    assert wire.published == [b"0"], "one, until the broker has taken it"
    wire.answer()
    assert len(wire.under_way) == WINDOW
    while wire.under_way:
        assert len(wire.under_way) <= WINDOW
        wire.answer()

    assert wire.published == [b"%d" % number for number in range(40)]
    assert sender.idle


def test_a_connection_that_breaks_lets_the_link_send_what_was_under_way(outbox: Outbox, wire: Wire) -> None:
    sender = EventSender(outbox, wire.send)
    sender.connected()
    wire.answer()
    sent = list(wire.published)
    sender.disconnected()
    sender.publish()
    sender.connected()
    assert wire.published == sent, "nothing else goes before the link has sent those again"
    while wire.under_way:
        wire.answer()

    assert wire.published == [b"%d" % number for number in range(40)]


def test_a_broker_that_refuses_is_asked_once_a_connection(outbox: Outbox, wire: Wire) -> None:
    sender = EventSender(outbox, wire.send)
    sender.connected()
    wire.answer(DENIED)
    for _ in range(5):
        sender.publish()
    assert wire.published == [b"0"]
    assert len(outbox.waiting) == 40, "they stay"
    sender.connected()
    wire.answer()

    assert wire.published[:3] == [b"0", b"0", b"1"]


@pytest.mark.parametrize("code", [0x80, 0x83, 0x97])
def test_what_a_broker_refuses_for_now_is_tried_again_in_the_same_connection(
    outbox: Outbox, wire: Wire, code: int
) -> None:
    now = [1e6]
    sender = EventSender(outbox, wire.send, lambda: now[0])
    sender.connected()
    wire.answer()
    reason = str(ReasonCode(PacketTypes.PUBACK, identifier=code))
    while wire.under_way:
        wire.answer(reason)
    sent = len(wire.published)
    now[0] += 29
    sender.publish()
    assert len(wire.published) == sent
    now[0] += 32
    sender.publish()
    assert len(wire.published) == sent + 1, "one, until the broker has taken it"
    wire.answer(reason)
    now[0] += 59
    sender.publish()
    assert len(wire.published) == sent + 1, "each time it waits longer"
    now[0] += 62
    sender.publish()
    while wire.under_way:
        wire.answer()

    assert sender.idle


def test_the_link_calls_a_lacking_right_by_the_name_that_is_looked_for() -> None:
    assert str(ReasonCode(PacketTypes.PUBACK, identifier=0x87)) == DENIED


def test_what_the_link_does_not_take_is_tried_again(outbox: Outbox, wire: Wire) -> None:
    sender = EventSender(outbox, wire.send)
    wire.takes = False
    sender.connected()
    wire.takes = True
    sender.publish()

    assert wire.published == [b"0"]


def test_an_answer_about_what_was_dropped_meanwhile_is_nothing(outbox: Outbox, wire: Wire) -> None:
    sender = EventSender(outbox, wire.send)
    sender.connected()
    outbox.waiting.popleft()
    wire.answer()

    assert wire.published[:2] == [b"0", b"1"]
