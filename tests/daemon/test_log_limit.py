"""What others can make a daemon write into its log."""

import logging

from edge_agent.daemon.log_limit import BURST, EVERY_S, LogLimit


class Lines(logging.Handler):
    """Keeps what gets past the filter; ``now`` is the time."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.now = 0.0
        self.addFilter(LogLimit(lambda: self.now))

    def hostile(self, number: int) -> None:
        """One place that logs."""
        self.handle(logging.makeLogRecord({"pathname": "a.py", "lineno": 1, "msg": "hostile %d", "args": (number,)}))

    def other(self, text: str) -> None:
        """Another."""
        self.handle(logging.makeLogRecord({"pathname": "a.py", "lineno": 2, "msg": "%s", "args": (text,)}))

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def test_each_place_may_write_a_few_lines_and_then_one_now_and_then() -> None:
    lines = Lines()

    for number in range(1000):
        lines.hostile(number)
    lines.other("honest")
    lines.now += EVERY_S
    for number in range(5):
        lines.hostile(number)

    assert lines.said[:BURST] == [f"hostile {number}" for number in range(BURST)]
    assert lines.said[BURST:] == ["honest", f"hostile 0 ({1000 - BURST} lines like this were left out)"]


def test_what_was_left_out_is_counted() -> None:
    lines = Lines()

    for number in range(2 * BURST + 1):
        lines.now += EVERY_S * (number == 2 * BURST)
        lines.hostile(number)

    assert lines.said[-1] == f"hostile {2 * BURST} ({BURST} lines like this were left out)"


def test_a_line_cannot_move_the_cursor_or_look_like_two() -> None:
    lines = Lines()

    lines.other("dropped \x1b[2Jx\u202e")

    assert lines.said == ["dropped �[2Jx�"]
