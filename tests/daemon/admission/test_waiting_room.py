"""Where documents wait: bounded, and fair to every scope."""

import itertools

import msgspec

from edge_agent.daemon.admission.documents import Address, Document
from edge_agent.daemon.admission.missed import AT_ONCE, MOST_TOPICS, Missed
from edge_agent.daemon.admission.verdicts import MOST as MOST_VERDICTS
from edge_agent.daemon.admission.verdicts import Verdicts
from edge_agent.daemon.admission.waiting_room import MOST, MOST_BYTES, WaitingRoom
from edge_agent.wire.envelope import Envelope
from edge_agent.wire.topics import CommandTopic, Scope, WantTopic

OWN, LAB = Scope("d", "pi-01"), Scope("g", "lab")
NUMBERS = itertools.count()


def document(topic: Address, size: int = 100) -> Document:
    return Document(topic, Envelope("", "x"), next(NUMBERS).to_bytes(32), size)


def want(scope: Scope = OWN, size: int = 100, model: str = "har") -> Document:
    return document(WantTopic(scope, model), size)


def command(scope: Scope = OWN) -> Document:
    return document(CommandTopic(scope, "one"))


def test_own_wants_come_before_groups_and_commands_and_none_is_starved() -> None:
    room = WaitingRoom([OWN, LAB])
    own, lab, told = [want() for _ in range(MOST)], want(LAB), command()
    for one in (told, lab, *own):
        assert room.add(one)

    assert room.take()[:4] == [own[0], lab, told, own[1]]


def test_whoever_fills_a_queue_fills_only_that_one() -> None:
    room = WaitingRoom([OWN, LAB])
    taken = [room.add(want(LAB)) for _ in range(2 * MOST)]

    assert taken == [True] * MOST + [False] * MOST
    assert room.add(want())
    assert room.add(command(LAB))
    assert room.add(want(LAB), fetched=True), "what was fetched on purpose has a place"


def test_whoever_makes_names_up_does_not_stand_in_the_way_of_models_that_are_here() -> None:
    room = WaitingRoom([OWN, LAB])
    for number in range(MOST):
        room.add(want(model=f"x{number}"))
    update = msgspec.structs.replace(want(), familiar=True)

    assert room.add(update)
    assert room.take()[0] is update
    room.add(update)
    room.drop(update.topic)
    assert update not in room.take()


def test_what_waits_is_bounded_in_bytes() -> None:
    room = WaitingRoom([OWN])
    taken = sum(room.add(want(size=64 * 1024)) for _ in range(100))

    assert taken == MOST_BYTES // (64 * 1024)
    assert sum(one.size for one in room.take()) <= MOST_BYTES
    assert not room.take()


def test_the_same_document_waits_once_and_what_is_cleared_no_more() -> None:
    room = WaitingRoom([OWN])
    one, other = want(), want(model="gait")
    for each in (one, one, other):
        room.add(each)

    room.drop(one.topic)

    assert room.take() == [other]


def test_after_a_failed_check_each_is_checked_alone() -> None:
    room = WaitingRoom([OWN])
    room.put_back([want(), want()])
    room.add(want())

    assert [len(room.take()) for _ in range(4)] == [1, 1, 1, 0]


def test_what_was_missed_is_fetched_when_there_is_room() -> None:
    missed = Missed()
    missed.note("d/want/har", ("d/want/+",))

    assert missed.due(0.0, room=False, calm=False).subscribe == ()
    assert missed.due(1.0, room=True, calm=False).subscribe == ("d/want/har",)
    assert missed.arrived("d/want/har")
    assert not missed.arrived("d/want/har")
    assert missed.due(2.0, room=True, calm=True).unsubscribe == ("d/want/har",)


def test_what_does_not_come_is_given_up_and_the_next_are_fetched() -> None:
    missed = Missed()
    for number in range(AT_ONCE + 1):
        missed.note(f"t{number}", ("t+",))

    first = missed.due(0.0, room=True, calm=False).subscribe
    second = missed.due(60.0, room=True, calm=False)

    assert len(first) == AT_ONCE
    assert set(second.unsubscribe) == set(first)
    assert second.subscribe == (f"t{AT_ONCE}",)


def test_of_more_topics_than_can_be_remembered_the_whole_scope_is_read() -> None:
    missed = Missed()
    for number in range(MOST_TOPICS + 1):
        missed.note(f"t{number}", ("t+",))

    assert missed.due(0.0, room=True, calm=False).subscribe == (), "its topics are among them"
    assert missed.due(1.0, room=True, calm=True).subscribe == ("t+",)
    missed.note_scope(("t+",))
    assert missed.due(2.0, room=True, calm=True).subscribe == (), "what fills the queues may lie there itself"
    assert missed.due(60.0, room=True, calm=True).subscribe == ("t+",)


def test_a_flood_of_bad_documents_costs_no_good_verdict_its_place() -> None:
    verdicts = Verdicts()
    verdicts.note(b"good", good=True)
    for number in range(2 * MOST_VERDICTS):
        verdicts.note(number.to_bytes(4), good=False)

    assert verdicts.known(b"good") is True
    assert verdicts.known((2 * MOST_VERDICTS - 1).to_bytes(4)) is False
    assert verdicts.known((0).to_bytes(4)) is None
