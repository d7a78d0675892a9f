"""What an event says, however long and strange what it is about."""

from pathlib import Path

import pytest

from edge_agent.telemetry.events import Events, Subject
from edge_agent.telemetry.outbox import MOST, MOST_BYTES, Outbox
from edge_agent.telemetry.write_budget import WriteBudget
from edge_agent.wire.messages import Message, decode
from edge_agent.wire.telemetry import Event


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    found = Outbox(tmp_path / "events", lambda: 1e9)
    found.load()
    return found


@pytest.fixture
def events(outbox: Outbox) -> Events:
    return Events("pi-01", outbox, lambda: Message(ts="2026-01-01T00:00:00Z", seq=7, boot_id="b"))


def told(outbox: Outbox) -> list[Event]:
    return [decode(event.payload, Event) for event in outbox.waiting]


def test_an_event_says_what_when_and_about_what(events: Events, outbox: Outbox) -> None:
    events.tell("rejected", "int8 is slower", code="latency_too_high", about=Subject("har", 3, "0" * 16))

    (event,) = told(outbox)
    assert (event.device, event.kind, event.severity, event.code) == (
        "pi-01",
        "rejected",
        "warning",
        "latency_too_high",
    )
    assert (event.model, event.version, event.job, event.message) == ("har", 3, "0" * 16, "int8 is slower")
    assert (event.ts, event.seq, event.boot_id, event.event_seq) == (
        *("2026-01-01T00:00:00Z", 7, "b"),
        outbox.waiting[0].number,
    )


@pytest.mark.parametrize("text", ["\x1b[2J" * 10_000, "€" * 100_000, "\u202e" * 3000, '"' * 5000, "\n\n\n" * 900])
def test_foreign_words_are_printable_and_bounded(events: Events, outbox: Outbox, text: str) -> None:
    events.tell("failed", text, about=Subject("m" * 500, 1, "j" * 500))

    (event,) = told(outbox)
    assert event.message.isprintable()
    assert 0 < len(event.message) <= 500
    assert len(outbox.waiting[0].payload) <= MOST_BYTES


def test_an_end_that_waits_already_is_not_told_again(events: Events, outbox: Outbox) -> None:
    for kind, job in (("failed", "a"), ("failed", "a"), ("failed", "b"), ("activated", "a")):
        events.tell_end(kind, "x", code="", about=Subject("har", 1, job))

    assert [(event.kind, event.job) for event in told(outbox)] == [("failed", "a"), ("failed", "b"), ("activated", "a")]


@pytest.mark.parametrize(
    "alien", [b'{"kind":"failed","job":"x","severity":"fatal","event_seq":"9"}', b'{"job":[]}', b"\xff", b"[" * 5000]
)
def test_an_event_of_another_version_that_waits_silences_none(events: Events, outbox: Outbox, alien: bytes) -> None:
    outbox.add(outbox.next_number(), alien)
    for job in ("x", "y"):
        events.tell_end("failed", "x", code="", about=Subject("har", 1, job))

    assert b'"y"' in outbox.waiting[-1].payload
    assert len(outbox.waiting) == (2 if b"fatal" in alien else 3)


def test_what_was_dropped_is_told_with_its_number(events: Events, outbox: Outbox) -> None:
    events.tell_lost()
    assert told(outbox) == []
    for _ in range(MOST + 3):
        events.tell("started", "x")
    for event in list(outbox.waiting)[:10]:
        outbox.deliver(event.number)
    events.tell_lost()

    assert told(outbox)[-1].kind == "events_lost"
    assert told(outbox)[-1].message.startswith("3 events ")
    assert outbox.lost == 0


def test_what_is_in_memory_only_is_lost_with_the_process_and_that_is_told_later(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "events", lambda: 1e9, WriteBudget(4))
    outbox.load()
    events = Events("pi-01", outbox, Message)
    for _ in range(5):
        events.tell("started", "x")
    outbox.lose_memory()
    events.tell_lost(at_any_cost=True)
    after = Outbox(tmp_path / "events", lambda: 1e9)
    after.load()

    assert [event.kind for event in told(after)] == ["started", "started", "events_lost"]
    assert told(after)[-1].message.startswith("3 events ")
