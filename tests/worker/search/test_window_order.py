from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.worker.search.window_order import FIRST, sweeps


@pytest.mark.parametrize("windows", [1, 9, 10, 11, 150, 3000])
def test_every_window_comes_once_in_few_sweeps_each_of_which_goes_forward(windows: int) -> None:
    order = sweeps([None] * windows)

    assert sorted(chain.from_iterable(order)) == list(range(windows))
    assert len(order) <= 3
    assert all(earlier < later for sweep in order for earlier, later in pairwise(sweep))


def test_the_first_windows_come_from_all_over_the_set_and_always_the_same() -> None:
    first = sweeps([None] * 150)[0]

    assert len(first) == FIRST
    assert first != list(range(FIRST))
    assert max(first) - min(first) > 75
    assert first == sweeps([None] * 150)[0]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_windows_that_follow_each_other_in_a_recording_stay_together(groups: list[int]) -> None:
    order = sweeps(groups)

    assert sorted(chain.from_iterable(order)) == list(range(len(groups)))
    for sweep in order:
        for place in sweep:
            follows = place + 1 < len(groups) and groups[place + 1] == groups[place]
            assert not follows or place + 1 in sweep
    assert all(len(sweep) >= FIRST for sweep in order[:-1])
