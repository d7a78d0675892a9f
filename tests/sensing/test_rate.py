"""How often samples come, as a process that reads for weeks sees it."""

import pytest

from edge_agent.sensing.rate import Judgement, RecentRate, judge


def feed(rate: RecentRate, hz: float, began_s: float, seconds: float, batch: int = 10) -> None:
    for number in range(1, int(seconds * hz / batch) + 1):
        rate.hear(batch, began_s + number * batch / hz)


def test_after_a_week_a_drop_shows_within_a_minute() -> None:
    rate = RecentRate(50)
    feed(rate, 50, 0, 7 * 86_400, batch=500)
    assert rate.rate_hz == pytest.approx(50)
    feed(rate, 20, 7 * 86_400, 62)

    assert rate.rate_hz == pytest.approx(20, rel=0.05)
    assert judge(rate.rate_hz or 0, 50, "") == "slow"


def test_nothing_is_known_at_first_nor_after_an_interruption() -> None:
    rate = RecentRate(50)
    assert rate.rate_hz is None
    feed(rate, 50, 0, 9)
    assert rate.rate_hz is None
    feed(rate, 50, 9, 5)
    assert rate.rate_hz == pytest.approx(50)
    rate.interrupt()
    assert rate.rate_hz is None
    rate.hear(10_000, 1000.0)  # how long these had waited is not known
    feed(rate, 40, 1000, 20)
    assert rate.rate_hz == pytest.approx(40)


def test_a_sensor_of_one_sample_in_two_minutes_is_measured_too() -> None:
    rate = RecentRate(1 / 120)
    feed(rate, 1 / 120, 0, 86_400, batch=1)

    assert rate.rate_hz == pytest.approx(1 / 120)


@pytest.mark.parametrize(
    ("seen_hz", "before", "now"),
    [
        (40.0, "", ""), (39.9, "", "slow"), (40.1, "slow", "slow"), (42.4, "slow", "slow"), (42.6, "slow", ""),
        (62.5, "", ""), (62.6, "", "fast"), (60.1, "fast", "fast"), (59.9, "fast", ""), (10, "fast", "slow"),
    ],
)  # fmt: skip
def test_a_rate_at_the_limit_does_not_flip(seen_hz: float, before: Judgement, now: Judgement) -> None:
    assert judge(seen_hz, 50, before) == now
