"""The outbox: what is on the disk before it is published, whatever becomes of the process, the disk and the clock."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.telemetry import outbox as module
from edge_agent.telemetry.outbox import MOST, MOST_BYTES, Outbox
from edge_agent.telemetry.write_budget import WRITES_A_DAY, WriteBudget

NOW = 1_796_050_000.0


def start(folder: Path, now: float = NOW, budget: WriteBudget | None = None) -> Outbox:
    """What a start of the daemon finds."""
    outbox = Outbox(folder / "events", lambda: now, budget)
    outbox.load()
    return outbox


def add(outbox: Outbox, payload: bytes = b"{}") -> int:
    number = outbox.next_number()
    outbox.add(number, payload)
    return number


def waiting(outbox: Outbox) -> list[tuple[int, bytes]]:
    return [(event.number, event.payload) for event in outbox.waiting]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def write(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(module, "write_durably", write)


def test_what_was_not_delivered_is_there_after_a_crash_and_what_was_is_not(tmp_path: Path) -> None:
    before = start(tmp_path)
    numbers = [add(before, b'{"n":%d}' % n) for n in range(4)]
    before.deliver(numbers[0])
    before.deliver(numbers[3])

    assert waiting(start(tmp_path)) == [(numbers[1], b'{"n":1}'), (numbers[2], b'{"n":2}')]


@pytest.mark.parametrize("later", [0.0, 3600.0, -86_400.0 * 365], ids=["at once", "later", "clock went back"])
def test_numbers_rise_over_starts_whatever_the_clock_does(tmp_path: Path, later: float) -> None:
    before = start(tmp_path)
    numbers = [add(before) for _ in range(3)]
    for number in numbers:
        before.deliver(number)

    assert add(start(tmp_path, NOW + later)) > max(numbers)
    assert len(list((tmp_path / "events").iterdir())) == 1, "of what is delivered one file stays, for its number"


def test_numbers_rise_where_the_days_writes_are_used_up_and_the_clock_goes_back_with_the_power(tmp_path: Path) -> None:
    now = [NOW]
    before = Outbox(tmp_path / "events", lambda: now[0], WriteBudget(4))
    before.load()
    numbers = []
    for _ in range(9):
        now[0] += 60
        numbers.append(add(before))
    for number in numbers:
        before.deliver(number)

    assert numbers == sorted(set(numbers))
    assert add(start(tmp_path, NOW)) > max(numbers)


def test_a_disk_that_was_made_anew_goes_on_above_what_hosts_know(tmp_path: Path) -> None:
    old = add(start(tmp_path / "old", NOW))

    assert add(start(tmp_path / "new", NOW + 1)) > old


def rot(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-2] ^= 4
    path.write_bytes(data)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [rot, tear, empty, replace_by_link, replace_by_pipe])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_broken_file_loses_itself_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None], which: int
) -> None:
    before = start(tmp_path)
    numbers = [add(before, b'{"which":"%d"}' % n) for n in range(3)]
    spoil(tmp_path / "events" / f"{numbers[which]}.json")

    after = start(tmp_path)

    assert [number for number, _ in waiting(after)] == [number for number in numbers if number != numbers[which]]
    assert after.lost == 1
    assert f"{numbers[which]}.json" in caplog.text
    after.lost = 0  # it was told
    assert add(after) > max(numbers)
    assert start(tmp_path).lost == 0, "said once"


def test_nothing_that_lies_there_prevents_a_start(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    for name in ("007.json", "9" * 300 + ".json"[:0], "x.json", "-1.json", "²³.json", "1.sent", ".5.json.tmp"):
        (folder / name[:200]).write_bytes(b"\xff")
    (folder / "77.json").mkdir()

    found = start(tmp_path)

    assert waiting(found) == []
    assert not (folder / ".5.json.tmp").exists()
    add(found)
    assert len(waiting(start(tmp_path))) == 1


def test_a_folder_that_cannot_be_is_no_reason_not_to_publish(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("a file is in its place")

    outbox = start(tmp_path)
    add(outbox)

    assert [event.stored for event in outbox.waiting] == [False]


def test_on_a_full_disk_an_event_goes_out_from_memory_and_that_is_said_once(
    tmp_path: Path, full_disk: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    outbox = start(tmp_path)
    first = add(outbox)
    full_disk()
    with caplog.at_level(logging.ERROR):
        later = [add(outbox), add(outbox)]

    assert [number for number, _ in waiting(outbox)] == [first, *later]
    assert caplog.text.count("goes out from memory") == 1
    outbox.deliver(later[0])
    assert [number for number, _ in waiting(outbox)] == [first, later[1]]


def test_one_more_than_there_is_room_for_costs_the_oldest_that_is_not_under_way(tmp_path: Path) -> None:
    outbox = start(tmp_path, budget=WriteBudget(10_000))
    numbers = [add(outbox) for _ in range(MOST)]
    outbox.waiting[0].under_way = True
    add(outbox)

    assert outbox.lost == 1
    assert [number for number, _ in waiting(outbox)][:2] == [numbers[0], numbers[2]]
    assert len(list((tmp_path / "events").iterdir())) == MOST


def test_one_that_cannot_be_written_pushes_none_off_the_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = start(tmp_path, budget=WriteBudget(2 * (MOST - 1)))
    stored = [add(outbox) for _ in range(MOST - 1)]
    memory = [add(outbox) for _ in range(30)]

    assert [number for number, _ in waiting(outbox)] == [*stored, memory[-1]]
    assert outbox.lost == 29
    assert caplog.text.count("each new one replaces the oldest") == 1
    outbox.waiting[-1].under_way = True
    for _ in range(3):
        add(outbox)
    assert [number for number, _ in waiting(outbox)] == [*stored, memory[-1]], "the new one goes"
    assert outbox.lost == 32


def test_how_many_were_lost_is_known_after_a_crash(tmp_path: Path) -> None:
    before = start(tmp_path, budget=WriteBudget(10_000))
    for _ in range(MOST + 3):
        add(before)
    assert start(tmp_path).lost == 3
    before.lost = 0  # it was told, by one more event
    add(before)

    assert start(tmp_path).lost == 1, "that event took the place of one"


def test_what_the_disk_did_not_take_costs_no_write_of_the_day(tmp_path: Path, full_disk: Callable[[], None]) -> None:
    budget = WriteBudget(20)
    outbox = start(tmp_path, budget=budget)
    full_disk()
    for _ in range(50):
        add(outbox)

    assert budget.left == pytest.approx(10, abs=0.1)


def test_all_of_it_is_less_than_a_mebibyte_on_the_disk(tmp_path: Path) -> None:
    outbox = start(tmp_path, budget=WriteBudget(10_000))
    for _ in range(2 * MOST):
        add(outbox, b"x" * MOST_BYTES)
    outbox.deliver(outbox.waiting[-1].number)
    add(outbox, b"x" * MOST_BYTES)

    blocks = [path.stat().st_blocks * 512 for path in (tmp_path / "events").iterdir()]
    assert sum(blocks) <= 1 << 20


def test_what_a_day_may_write_holds_over_starts(tmp_path: Path) -> None:
    """A daemon that crashes every ten seconds, for a day."""
    written, now = 0, NOW
    while now < NOW + 86_400:
        before = {path.name for path in tmp_path.glob("events/*.json")}
        outbox = Outbox(tmp_path / "events", lambda at=now: at)
        outbox.load()
        for event in list(outbox.waiting):
            outbox.deliver(event.number)
        add(outbox)
        written += len({path.name for path in tmp_path.glob("events/*.json")} - before)
        now += 120
    assert 400 < written <= WRITES_A_DAY


def test_the_budget_gains_half_in_a_day_and_never_more_than_half_at_once() -> None:
    now = [0.0]
    budget = WriteBudget(500, lambda: now[0])
    assert sum(budget.take() for _ in range(1000)) == 250
    now[0] = 43_200.0
    assert sum(budget.take() for _ in range(1000)) == 125
    budget.resume(1e9, at=100.0, now=50.0)
    assert budget.left == 250
    budget.resume(float("-inf"), at=100.0, now=100.0)
    assert not budget.take()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.sampled_from(["add", "deliver", "crash", "clock back", "full", "room"]), max_size=40))
def test_whatever_happens_nothing_stored_is_lost_or_twice(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, acts: list[str]
) -> None:
    folder, now = tmp_path_factory.mktemp("outbox"), NOW
    outbox, stored, seen = start(folder, now), set[int](), set[int]()
    real = module.write_durably

    def refuse(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for act in acts:
        match act:
            case "add":
                number = add(outbox)
                if outbox.waiting[-1].stored:
                    assert number not in seen
                    stored.add(number)
                    seen.add(number)
            case "deliver" if outbox.waiting:
                number = outbox.waiting[0].number
                outbox.deliver(number)
                stored.discard(number)
            case "crash":
                outbox = start(folder, now)
                assert {number for number, _ in waiting(outbox)} == stored
            case "clock back":
                now -= 1000.0
            case "full":
                monkeypatch.setattr(module, "write_durably", refuse)
            case "room":
                monkeypatch.setattr(module, "write_durably", real)
    monkeypatch.setattr(module, "write_durably", real)
    assert [number for number, _ in waiting(start(folder, now))] == sorted(stored)
