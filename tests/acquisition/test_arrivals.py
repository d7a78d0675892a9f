import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.acquisition.arrivals import Arrivals
from edge_agent.acquisition.sample_counter import Counter


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 2)), min_size=1, max_size=40))
def test_times_ascend_whatever_comes_when(batches: list[tuple[int, float]]) -> None:
    arrivals, now, times = Arrivals(100), 1000.0, []
    for count, pause in batches:
        now += pause
        arrivals.hear(count, now)
        assert len(arrivals.times) == count
        times.append(arrivals.times.copy())

    assert np.all(np.diff(np.concatenate(times)) > 0)
    assert times[-1][-1] <= now + 1e-3


def test_a_batch_ends_when_it_arrived_and_is_a_period_apart() -> None:
    arrivals = Arrivals(100)
    arrivals.hear(3, 10.0)

    assert arrivals.times.tolist() == pytest.approx([9.98, 9.99, 10.0])


def test_the_rate_is_what_came_since_the_first_batch() -> None:
    arrivals = Arrivals(100)
    arrivals.hear(500, 10.0)  # how long these had waited is not known
    assert arrivals.rate_hz() is None
    for step in range(1, 21):
        arrivals.hear(8, 10 + step / 10)

    assert arrivals.rate_hz() == pytest.approx(80)
    arrivals.interrupt()
    assert arrivals.rate_hz() is None


def rows(*counts: float) -> np.ndarray:
    return np.array([[count, 10 * count] for count in counts])


def split(counter: Counter, *counts: float) -> list[tuple[list[float], bool]]:
    return [((values[:, 0] / 10).tolist(), follows) for values, follows in counter.split(rows(*counts))]


def test_a_jump_of_the_counter_begins_a_new_stretch() -> None:
    counter = Counter()

    assert split(counter, 5, 6, 7) == [([5, 6, 7], True)]
    assert split(counter, 8, 9, 12, 13) == [([8, 9], True), ([12, 13], False)]
    assert split(counter, 15) == [([15], False)]
    assert split(counter, 3, 4) == [([3, 4], False)]


def test_a_sample_that_comes_twice_is_taken_once() -> None:
    counter = Counter()

    assert split(counter, 1, 1, 2) == [([1, 2], True)]
    assert split(counter, 2) == []
    assert split(counter, 2, 3) == [([3], True)]


def test_a_counter_begins_again_at_its_size() -> None:
    assert split(Counter(256), 254, 255, 0, 1) == [([254, 255, 0, 1], True)]
    assert split(Counter(256), 65535, 0) == [([65535], True), ([0], False)]
    assert split(Counter(), 65535, 0, 1) == [([65535, 0, 1], True)]
    assert split(Counter(), 65534, 0, 1) == [([65534], True), ([0, 1], False)]


def test_after_an_interruption_that_was_told_of_any_count_follows() -> None:
    counter = Counter()
    counter.split(rows(1, 2))
    counter.restart()

    assert split(counter, 100, 101) == [([100, 101], True)]
