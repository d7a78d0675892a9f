"""Topics under filters."""

import time

import pytest

from host_tools.broker.filters import Filters
from host_tools.broker.snapshot import SETTLE_S, Reading, Verdict

SOME = ("ea/v1/d/+/job/+", "ea/v1/d/pi-1/job/+", "ea/v1/d/+/status", "ea/v1/d/pi-1")


@pytest.mark.parametrize(
    ("topic", "over"),
    [
        ("ea/v1/d/pi-1/job/x", {SOME[0], SOME[1]}),
        ("ea/v1/d/pi-2/job/x", {SOME[0]}),
        ("ea/v1/d/pi-1", {SOME[3]}),
        ("ea/v1/d/pi-1/job", set()),
        ("ea/v1/d/pi-1/job/x/y", set()),
        ("ea/v1/d/+/status", {SOME[2]}),
        ("", set()),
    ],
)
def test_the_filters_over_a_topic(topic: str, over: set[str]) -> None:
    filters = Filters(SOME)

    found = list(filters.over(topic))
    assert (set(found), len(found)) == (over, len(over))
    assert filters.match(topic) is bool(over)


def test_a_filter_is_there_once_and_in_its_order() -> None:
    filters = Filters(("b", "a"))
    filters.add(("b", "c"))

    assert list(filters) == ["b", "a", "c"]
    assert "a" in filters
    assert "d" not in filters


def test_a_reading_by_thousands_of_filters_takes_no_minutes() -> None:
    """Each message looked at each filter once: 1.2 ms a message, and 40,000 messages."""
    names = tuple(f"ea/v1/d/pi-{number:04}/job/+" for number in range(2000))
    reading = Reading(names, resumes=True, now=0.0, patience_s=60.0)
    began = time.process_time()
    for number in range(2000):
        reading.take(f"ea/v1/d/pi-{number:04}/job/a", b"x", 0.0)
    took_s = time.process_time() - began
    reading.leave()
    reading.again(1.0, resumed=True)
    reading.echoed(1.0)

    assert took_s < 0.5
    assert len(reading.found) == 2000
    assert reading.verdict(1.0 + SETTLE_S, answered=True) is Verdict.COMPLETE
