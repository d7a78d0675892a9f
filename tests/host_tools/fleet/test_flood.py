"""One device that sends too much takes nothing from the others."""

import pytest

from host_tools.fleet import flood
from host_tools.fleet.flood import Flood


def test_a_burst_is_let_in_and_then_the_rate() -> None:
    bucket = Flood(rate=10, burst=5)

    assert [bucket.lets_in("pi", 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert [bucket.lets_in("pi", 0.1), bucket.lets_in("pi", 0.1)] == [True, False]
    assert [bucket.lets_in("pi", 100.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.left_out == {"pi": 3}


def test_a_large_message_counts_for_several() -> None:
    bucket = Flood(rate=10, burst=20)

    assert [bucket.lets_in("pi", 0.0, 65_536) for _ in range(2)] == [True, False]
    assert [bucket.lets_in("pi", 0.0, 4_000) for _ in range(4)] == [True, True, True, False]
    assert bucket.lets_in("pi", 100.0, 10_000_000), "what is larger than any burst has to be seen to be refused"


def test_others_are_let_in_all_the_same() -> None:
    bucket = Flood(rate=1, burst=1)

    assert [bucket.lets_in("loud", 0.0) for _ in range(3)] == [True, False, False]
    assert bucket.lets_in("quiet", 0.0)
    assert bucket.left_out == {"loud": 2}


def test_it_is_named_once_a_minute_and_nothing_stays_unsaid() -> None:
    bucket = Flood(rate=1, burst=1)
    for _ in range(4):
        bucket.lets_in("loud", 0.0)

    assert bucket.news(0.0) == ["device loud sends more than 1 messages a second; skipped: 3 more"]
    bucket.lets_in("loud", 0.1)
    bucket.lets_in("loud", 0.2)
    assert bucket.news(59.0) == []
    assert bucket.news(60.0) == ["device loud sends more than 1 messages a second; skipped: 2 more"]
    assert bucket.news(1000.0, last=True) == []
    for _ in range(2):
        bucket.lets_in("loud", 60.0)
    assert [line[-6:] for line in bucket.news(60.1, last=True)] == ["1 more"]


def test_names_without_end_share_one_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood, "MOST_DEVICES", 2)
    bucket = Flood(rate=1, burst=2)

    assert [bucket.lets_in(f"pi-{number}", 0.0) for number in range(5)] == [True, True, True, True, False]
