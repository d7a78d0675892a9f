import pytest

from edge_agent.worker.search.budget import Budget, budget_s, more, shortened


@pytest.mark.parametrize(("float_pass_s", "seconds"), [(0.1, 60), (5.0, 200), (22.5, 900), (70.0, 900)])
def test_a_search_takes_forty_float_passes_and_of_slow_models_no_more_than_a_stage_has_time_for(
    float_pass_s: float, seconds: float
) -> None:
    assert budget_s(0.0, float_pass_s, 0.0) == budget_s(0.0, float_pass_s, 1800.0) == seconds


@pytest.mark.parametrize(("stage_timeout_s", "seconds"), [(600.0, 300.0), (90.0, 45.0), (7200.0, 900.0)])
def test_a_device_that_gives_a_stage_less_gives_the_search_half_of_that(stage_timeout_s: float, seconds: float) -> None:
    assert budget_s(0.0, 70.0, stage_timeout_s) == seconds


def test_seconds_that_the_recipe_names_are_cut_to_what_the_stage_has_time_for_and_that_is_said() -> None:
    assert budget_s(1200.0, 1.0, 1800.0) == budget_s(1200.0, 1.0, 0.0) == 1200.0
    assert shortened(1200.0, 1800.0) == shortened(1e6, 0.0) == shortened(0.0, 90.0) == ""
    assert budget_s(1800.0, 1.0, 1800.0) == 1260.0
    assert shortened(1800.0, 1800.0).endswith(
        "the search had 1260 s; for more, set [limits] stage_timeout_s = 2572 there"
    )
    assert shortened(1800.0, 2572.0) == ""


@pytest.mark.parametrize(
    ("seconds", "stage_timeout_s", "said"),
    [
        (60.0, 1800.0, "[recipe] search_budget_s = 120"),
        (900.0, 1800.0, "[recipe] search_budget_s = 1260"),
        (900.0, 0.0, "[recipe] search_budget_s = 1800"),
        (1260.0, 1800.0, "[recipe] search_budget_s = 2520 with [limits] stage_timeout_s = 3600 on the device"),
    ],
)
def test_no_budget_is_advised_that_the_stage_has_no_time_for(seconds: float, stage_timeout_s: float, said: str) -> None:
    assert more(seconds, stage_timeout_s) == said


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
