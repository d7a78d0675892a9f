"""What a candidate is expected to lose, and what that counts beside time and size."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.backends import CandidateSpec
from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.prospect import Prospect
from edge_agent.wire.manifest import Preference
from edge_agent.worker.search.closeness import Shown, expected_losses, price_of_all, with_penalties
from edge_agent.worker.search.policy import EvaluatedCandidate, best_of_structures
from edge_agent.worker.search.preference import preferred

FLOAT = MeasuredModel(method="float", size_bytes=1000)


def candidate(name: str, *, time: float, wrong: int, size: int = 300, **more: Any) -> EvaluatedCandidate:
    record = MeasuredModel(
        method="static", operators=name, ratio_p50=time, size_bytes=size, disagreements=wrong, windows=150,
        agreement=1 - wrong / 150, sqnr_db=more.pop("sqnr_db", 20.0),
    )  # fmt: skip
    return EvaluatedCandidate(CandidateSpec("static", "mse", (name,)), record, passed=True, **more)


def best(*items: EvaluatedCandidate, prefer: Preference = "balanced") -> str | None:
    known = [
        EvaluatedCandidate(one.spec, preferred(one.record, FLOAT, prefer), passed=True, prospect=one.prospect)
        for one in items
    ]
    return best_of_structures(with_penalties(known, prefer))[0].record.operators


@pytest.mark.parametrize("prefer", ["balanced", "speed"])
@pytest.mark.parametrize(("time", "size"), [(0.98, 300), (0.95, 300), (0.98, 290)])
def test_nobody_wants_a_little_time_or_size_for_two_points(time: float, size: int, prefer: Preference) -> None:
    far = candidate("far", time=0.8 * time, wrong=4, size=size, sqnr_db=18.0)

    assert best(far, candidate("close", time=0.8, wrong=1, sqnr_db=30.0), prefer=prefer) == "close"


@pytest.mark.parametrize("prefer", ["balanced", "speed"])
def test_half_of_the_time_is_worth_two_points(prefer: Preference) -> None:
    far = candidate("far", time=0.4, wrong=4, sqnr_db=18.0)

    assert best(far, candidate("close", time=0.8, wrong=1, sqnr_db=30.0), prefer=prefer) == "far"


def test_a_window_more_or_less_is_chance_where_errors_are_alike() -> None:
    assert best(candidate("lucky", time=0.8, wrong=2), candidate("fast", time=0.72, wrong=3)) == "fast"


@pytest.mark.parametrize("ruined", [Shown(150, 150, 1000.0), Shown(120, 150, 0.3), Shown(130, 150, None)])
def test_one_that_is_ruined_says_nothing_of_small_errors(ruined: Shown) -> None:
    sound = [Shown(0, 150, 0.04), Shown(1, 150, 0.05), Shown(2, 150, None)]

    assert expected_losses([*sound, ruined])[:3] == expected_losses(sound)
    assert expected_losses([ruined])[0] > 0.5, "where there is no other"


def test_what_labels_call_no_loss_is_none() -> None:
    """Where labels decide, windows that float has wrong as well are not lost."""
    harmless = candidate("fast", time=0.75, wrong=7, prospect=Prospect(0, 150, 1.0, 300, 0.03, won=4))
    close = candidate("close", time=0.8, wrong=0, prospect=Prospect(0, 150, 1.0, 300, 0.03, won=0))

    assert best(harmless, close) == "fast"


def test_the_number_that_is_shown_is_the_preference_alone() -> None:
    one = with_penalties([candidate("a", time=0.5, wrong=3)], "balanced")[0]

    assert one.penalty > 0
    assert one.record == candidate("a", time=0.5, wrong=3).record


def test_a_point_counts_as_five_percent_of_what_weighs_most() -> None:
    assert price_of_all("speed") / 100 == pytest.approx(math.log(1.05))
    assert price_of_all("balanced") / 100 == pytest.approx(0.5 * math.log(1.05))


def test_what_was_not_run_loses_nothing_that_is_known() -> None:
    broken = EvaluatedCandidate(CandidateSpec("static"), MeasuredModel(), passed=False)

    assert with_penalties([broken], "speed") == [broken]
    assert expected_losses([]) == []


@pytest.mark.parametrize("sqnr_db", [None, math.inf, -math.inf, -1e5])
def test_an_error_without_a_number_is_judged_by_counts(sqnr_db: float | None) -> None:
    odd, other = with_penalties(
        [candidate("a", time=1, wrong=5, sqnr_db=sqnr_db), candidate("b", time=1, wrong=5)], "speed"
    )

    assert 0 < odd.penalty <= price_of_all("speed")
    assert 0 < other.penalty <= price_of_all("speed")


def test_of_errors_alike_all_counts_are_one_and_of_a_larger_error_more_is_expected() -> None:
    few, many, loud = expected_losses([Shown(2, 100, 0.1), Shown(4, 100, 0.1), Shown(3, 100, 0.3)])

    assert few < many < loud
    assert many - few == pytest.approx(0.01), "half of what the counts say"


def test_a_pass_that_ended_early_says_nothing_of_the_others() -> None:
    whole = [Shown(2, 100, 0.1), Shown(3, 100, 0.1)]

    assert expected_losses([*whole, Shown(9, 12, 0.9)])[:2] == expected_losses(whole)


@given(
    st.lists(
        st.builds(
            lambda windows, share, error: Shown(round(windows * share), windows, error),
            st.integers(1, 300), st.floats(0, 1), st.none() | st.floats(0, 1e6),
        ),
        max_size=8,
    )
)  # fmt: skip
def test_a_loss_is_a_share(shown: list[Shown]) -> None:
    assert all(0 <= loss <= 1 for loss in expected_losses(shown))


def test_two_candidates_are_told_apart_better_than_by_their_counts() -> None:
    """Margins are spread evenly near zero, so an error tips windows over in proportion to its size."""
    rng = np.random.default_rng(5)
    errors = np.array([0.1, 0.14, 0.06, 0.08])
    margins = np.abs(rng.normal(size=20_000))
    wrong = margins < np.abs(rng.normal(size=(4, 20_000))) * errors[:, None] * 0.5
    truth = wrong.mean(axis=1)
    cost = {"counts": 0.0, "ours": 0.0}
    for _ in range(200):
        rows = rng.choice(20_000, 150, replace=False)
        counts = wrong[:, rows].sum(axis=1)
        shown = [Shown(int(count), 150, float(error)) for count, error in zip(counts, errors, strict=True)]
        for name, told in (("counts", counts / 150), ("ours", np.array(expected_losses(shown)))):
            cost[name] += float(truth[int(np.argmin(told))] - truth.min())

    assert cost["ours"] < 0.5 * cost["counts"]
