from hypothesis import given
from hypothesis import strategies as st

from edge_agent.acquisition.reconnect import Retry
from edge_agent.retry.backoff import Backoff


def test_each_delay_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(1.0, 60.0)

    assert [backoff.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_success_begins_again() -> None:
    backoff = Backoff(0.5, 30.0)
    backoff.failed()
    backoff.failed()

    backoff.succeeded()

    assert (backoff.failures, backoff.failed(), backoff.failures) == (0, 0.5, 1)


def test_an_attempt_that_lasted_longer_than_any_delay_was_a_success() -> None:
    backoff = Backoff(1.0, 60.0)

    assert [backoff.ended(lasted) for lasted in (0.1, 60.0, 60.1, 0.1)] == [1, 2, 1, 2]


@given(st.integers(0, 2000), st.floats(0, 1))
def test_jitter_only_shortens_a_delay(failures: int, jitter: float) -> None:
    exact, shaken = Backoff(1.0, 60.0), Backoff(1.0, 60.0, jitter=jitter)
    exact.failures = shaken.failures = failures

    assert (1.0 - jitter) * (delay_s := exact.failed()) <= shaken.failed() <= delay_s <= 60.0


def test_reopening_a_device_keeps_its_pace() -> None:
    retry = Retry(3600.0)

    assert [retry.due(0.0), retry.due(0.01)] == [True, False]
