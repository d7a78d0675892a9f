import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.gain import Gain
from edge_agent.worker.search.preference import WEIGHTS, Costs, costs, preferred, score, tie, tied

MIB = 1 << 20
FLOAT = MeasuredModel(method="float", size_bytes=1000, steady_rss_bytes=40 * MIB)


def test_each_preference_weighs_what_it_says() -> None:
    half = Costs(0.5, 0.25, 0.125)
    ln2 = math.log(2)

    assert score(half, "speed") == pytest.approx(-ln2)
    assert score(half, "size") == pytest.approx(-2 * ln2)
    assert score(half, "memory") == pytest.approx(-3 * ln2)
    assert score(half, "balanced") == pytest.approx(-(0.5 * 1 + 0.25 * 2 + 0.25 * 3) * ln2)
    assert all(sum(weights) == 1 for weights in WEIGHTS.values())


def test_memory_counts_once_it_is_measured() -> None:
    assert score(Costs(0.5, 0.25), "balanced") == pytest.approx(0.5 * math.log(0.5) + 0.25 * math.log(0.25))
    assert score(Costs(0.5, 0.25), "memory") == 0.0


def test_half_of_the_time_and_four_times_the_size_cancel_each_other_in_balance() -> None:
    assert score(Costs(0.5, 4.0), "balanced") == pytest.approx(0.0)


def test_costs_are_of_what_both_were_measured_in() -> None:
    model = MeasuredModel(ratio_p50=0.5, size_bytes=260, steady_rss_bytes=20 * MIB)

    assert costs(model, FLOAT) == Costs(0.5, 0.26, 0.5)
    assert costs(MeasuredModel(ratio_p50=0.5), FLOAT) == Costs(0.5, None, None)
    assert costs(model, MeasuredModel()) == Costs(0.5, None, None)
    assert preferred(model, FLOAT, "size").preference == pytest.approx(math.log(0.26))


def test_models_that_take_alike_within_chance_cost_the_same() -> None:
    tiny, none = (MeasuredModel(steady_rss_bytes=taken) for taken in (100_000, 0))

    assert costs(tiny, none).memory == costs(none, tiny).memory == 1.0


def test_what_is_taken_of_floats_is_what_is_not_gained() -> None:
    assert Costs(0.75, 1.25, None).gain == Gain(time=0.25, size=-0.25, memory=None)


def test_what_is_measured_to_be_alike_is_one() -> None:
    numbers = {"a": -0.500, "b": -0.505, "c": -0.2, "d": -0.495}

    assert list(tied("abcd", numbers.__getitem__, 0.01)) == [["b", "a", "d"], ["c"]]
    assert list(tied("abcd", numbers.__getitem__, 0.0)) == [["b"], ["a"], ["d"], ["c"]]
    assert list(tied("", numbers.__getitem__, 0.01)) == []


def test_a_margin_of_time_counts_as_much_as_time_does() -> None:
    assert tie("speed", 0.02) == pytest.approx(math.log(1.02))
    assert tie("balanced", 0.02) == pytest.approx(0.5 * math.log(1.02))
    assert tie("size", 0.02) == 0.0  # sizes are counted, not measured


@given(st.lists(st.floats(-3, 3), max_size=12), st.floats(0, 1))
def test_an_order_holds_everything_and_is_off_by_no_more_than_a_tie(numbers: list[float], apart: float) -> None:
    order = [place for one in tied(range(len(numbers)), numbers.__getitem__, apart) for place in sorted(one)]

    assert sorted(order) == list(range(len(numbers)))
    told = [numbers[place] for place in order]
    assert all(min(told[place:]) >= one - apart - 1e-12 for place, one in enumerate(told))


def test_an_order_does_not_hang_on_how_it_came() -> None:
    items = [(0.1, "x"), (0.105, "y"), (0.3, "z")]

    orders = {
        tuple(item for one in tied(some, lambda item: item[0], 0.01) for item in sorted(one))
        for some in (items, items[::-1], [items[1], items[2], items[0]])
    }

    assert len(orders) == 1
