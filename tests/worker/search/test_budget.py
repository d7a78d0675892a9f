import pytest

from edge_agent.worker.search.budget import Budget, default_s


@pytest.mark.parametrize(("float_pass_s", "seconds"), [(0.1, 60), (5.0, 200), (22.5, 900), (70.0, 900)])
def test_a_search_takes_forty_float_passes_and_of_slow_models_no_more_than_a_stage_has_time_for(
    float_pass_s: float, seconds: float
) -> None:
    assert default_s(float_pass_s) == seconds


def test_a_share_is_left_of_what_was_given_until_the_time_of_what_comes_next_is_over() -> None:
    budget = Budget(100.0)

    assert budget.leaves(0.5)
    assert budget.leaves(0.5, 40.0)
    assert not budget.leaves(0.5, 60.0)
    assert not budget.leaves(0.0, 101.0)
    assert budget.leaves(-0.15, 110.0)


def test_what_follows_may_take_a_third_on_top_and_the_rest_of_it_is_kept() -> None:
    small, large = Budget(90.0), Budget(90.0)
    small.keep(30.0)
    large.keep(60.0)

    assert 89 < small.left_s() <= 90
    assert 59 < large.left_s() <= 60


def test_a_first_candidate_is_tried_only_if_it_ends_in_time_with_what_follows() -> None:
    budget = Budget(90.0)
    budget.keep(60.0)

    assert budget.allows(55.0)
    assert not budget.allows(61.0)


def test_a_small_model_is_tried_however_small_the_budget() -> None:
    budget = Budget(1e-6)
    budget.keep(8.0)

    assert not budget.leaves(0.0)
    assert budget.allows(1.0)
    assert not budget.allows(30.0)
