import time
from itertools import pairwise

import numpy as np
import pytest

from edge_agent.quant.bounds import chance_of_proof, tango_upper
from edge_agent.quant.prospect import Prospect, chances

SURE = 0.85


def prospect(wrong: int, *, windows: int = 150, effect: float = 1.0, heldout: int = 300) -> Prospect:
    return Prospect(wrong, windows, effect, heldout, 0.95)


def test_the_chance_falls_with_every_search_window_that_disagrees() -> None:
    alone = [prospect(wrong).chance() for wrong in range(8)]

    assert alone[0] == 1.0
    assert all(one > after for one, after in pairwise(alone))
    assert alone[1] == pytest.approx(chance_of_proof(1, 150, 300, 0.95))
    assert alone[7] < 0.3


def test_to_prove_more_is_less_likely() -> None:
    assert prospect(3).chance(0.975) < prospect(3).chance() - 0.05
    assert prospect(0).chance(0.975) < 1.0


def test_windows_that_are_alike_leave_less_of_a_chance() -> None:
    assert prospect(1).chance() > prospect(1, effect=2.0).chance() + 0.1


def test_nothing_better_than_no_disagreement_can_be_shown() -> None:
    """Also where so few windows will be opened that they prove nothing at all."""
    for one in (prospect(0, windows=20), prospect(0, heldout=40)):
        assert one.chance() == 1.0
        assert chances([one, one, one]) == pytest.approx([1.0, 1.0, 1.0], abs=0.1)
    assert prospect(1, heldout=40).chance() == 0.0


def test_windows_so_alike_that_the_held_out_ones_count_as_none_prove_no_drop() -> None:
    """Search windows of two recordings count as one, and a smaller held-out set as less than half of one."""
    assert Prospect(2, 150, 150.0, 40, 0.03, won=0).chance() == 0.0
    assert chances([Prospect(0, 150, 150.0, 40, 0.03, won=0)]) == [1.0]


def test_one_alone_is_what_it_is() -> None:
    assert chances([]) == []
    for wrong in range(5):
        (chance,) = chances([prospect(wrong)])
        assert prospect(wrong).chance() - 0.2 < chance <= prospect(wrong).chance()


def test_the_best_of_many_that_are_equally_bad_was_lucky() -> None:
    lucky, *_ = chances([prospect(wrong) for wrong in (1, 3, 4, 4, 5, 5, 6, 6, 7)])

    assert lucky < 0.65
    assert prospect(1).chance() > 0.9


def test_a_good_one_among_good_ones_is_charged_nothing() -> None:
    good, after, *_ = chances([prospect(wrong) for wrong in (0, 1, 0, 1, 2, 0, 0, 1)])

    assert good > 0.97
    assert after > 0.9


def test_bad_ones_of_another_kind_say_nothing_of_a_good_one() -> None:
    """As per tensor everything is lost, and per channel hardly anything."""
    good, *_ = chances([prospect(wrong) for wrong in (0, 75, 80, 90, 120, 60)])

    assert good > 0.95


def test_nobody_is_surer_among_others_than_alone() -> None:
    seen = [prospect(wrong) for wrong in (0, 3, 0, 0, 0, 12)]

    assert all(chance <= one.chance() for one, chance in zip(seen, chances(seen), strict=True))


def test_the_foretold_holds_in_simulated_searches() -> None:
    """The closest of twelve that truly disagree in 3 %: alone they promise twice what is kept."""
    random = np.random.default_rng(1)
    stood, foretold, alone = [], [], []
    for wrong in random.binomial(150, 0.03, (200, 12)).tolist():
        seen = [prospect(count) for count in wrong]
        best = int(np.argmin(wrong))
        stood.append(random.binomial(300, 0.03) <= 8)
        foretold.append(chances(seen)[best])
        alone.append(seen[best].chance())

    assert np.mean(stood) < 0.55
    assert np.mean(alone) > 0.85
    assert np.mean(foretold) < np.mean(stood) + 0.2


def labelled(lost: int, won: int = 1, **others: float) -> Prospect:
    return Prospect(lost, 150, others.get("effect", 1.0), 300, 0.03, won=won)


def test_where_labels_decide_the_chance_is_that_of_the_drop() -> None:
    alone = [labelled(lost).chance() for lost in range(8)]

    assert alone[0] == 1.0
    assert all(one > after for one, after in pairwise(alone))
    assert alone[7] < 0.3
    assert labelled(3, won=4).chance() > labelled(3, won=0).chance()
    assert labelled(3).chance(0.975) < labelled(3).chance()
    assert labelled(2).chance() > labelled(2, effect=2.0).chance()


@pytest.mark.parametrize(("lost", "won"), [(1, 0), (3, 2), (5, 5)])
def test_the_chance_of_the_drop_is_how_often_it_is_excluded(lost: int, won: int) -> None:
    random = np.random.default_rng(2)
    shares = random.beta(lost + 0.5, 150 - lost + 0.5, 3000)
    pairs = zip(random.binomial(300, shares), random.binomial(300, (won + 0.5) / 151, 3000), strict=True)
    excluded = [tango_upper(int(one), int(other), 300) <= 0.03 for one, other in pairs]

    assert labelled(lost, won).chance() == pytest.approx(np.mean(excluded), abs=0.03)


def test_the_best_of_many_drops_was_lucky_too() -> None:
    lucky, *_ = chances([labelled(lost) for lost in (1, 4, 5, 5, 6, 6, 7)])

    assert lucky < labelled(1).chance() - 0.2


def test_a_hundred_thousand_windows_are_no_burden() -> None:
    begun = time.process_time()

    found = chances([Prospect(500, 50_000, 1.0, 100_000, 0.03, won=won) for won in (2500, 2600)])

    assert time.process_time() - begun < 10.0
    assert found == pytest.approx([1.0, 1.0])
