from host_tools.broker.commands import Answer
from host_tools.dashboard.orders.ledger import MOST, Entry, Ledger


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.changes = 0
        self.ledger = Ledger(self.lines.append, self._changed)

    def _changed(self) -> None:
        self.changes += 1


def entry(**fields: str) -> Entry:
    return Entry(who="anna", action="rollback", about="har 3", whom=("d/pi-01",), command="x", **fields)


def test_who_ordered_what_and_what_was_answered_is_on_the_page_and_in_the_log() -> None:
    log = Log()
    one = entry()
    log.ledger.begin(one)
    log.ledger.answer(one.id, "pi-01", Answer("", "har 2 is active again", 0))
    log.ledger.answer(one.id, "pi-01", Answer("", "har 2 is active again", 0))
    log.ledger.end(one.id)

    found = log.ledger.entry(one.id)
    assert found is not None
    assert (found.answers["pi-01"].message, found.waiting, found.trouble) == ("har 2 is active again", False, "")
    assert log.lines == [
        f"order {one.id}: anna orders rollback har 3 for d/pi-01",
        f"order {one.id}: pi-01 answers done: har 2 is active again",
    ]
    assert log.changes >= 3


def test_what_was_sent_is_never_said_to_be_not_sent() -> None:
    log = Log()
    never, sent = entry(), entry()
    for one in (never, sent):
        log.ledger.begin(one)
    log.ledger.change(sent.id, until="2026-12-01T00:00:00Z")
    for one in (never, sent):
        log.ledger.end(one.id, "broker_unreachable: away for 60 s")

    failures = [found.failure for one in (never, sent) if (found := log.ledger.entry(one.id))]
    assert failures[0] == "Not sent: broker_unreachable: away for 60 s"
    assert failures[1].startswith("Sent, and devices obey it until 2026-12-01T00:00:00Z;")
    assert [line.partition(": ")[2] for line in log.lines[2:]] == failures


def test_a_form_is_known_again_unless_its_order_was_not_sent() -> None:
    log = Log()
    first, failed = entry(once="a1"), entry(once="b2")
    for one in (first, failed, entry()):
        log.ledger.begin(one)
    log.ledger.end(failed.id, "broker_refused: no")

    assert [one.id for one in log.ledger.given("a1")] == [first.id]
    assert log.ledger.given("b2") == log.ledger.given("") == []


def test_how_far_a_device_is_fills_no_log() -> None:
    log = Log()
    one = entry()
    log.ledger.begin(one)
    for percent in range(10):
        log.ledger.answer(one.id, "pi-01", Answer("pending", f"capture: {percent} %", 0), said=False)

    assert len(log.lines) == 1


def test_the_newest_are_kept() -> None:
    log = Log()
    every = [entry() for _ in range(MOST + 5)]
    for one in every:
        log.ledger.begin(one)

    assert [one.id for one in log.ledger.entries()] == [one.id for one in reversed(every[5:])]
    log.ledger.answer(every[0].id, "pi-01", Answer("", "", 0))
    assert log.ledger.entry(every[0].id) is None
