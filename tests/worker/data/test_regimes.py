import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.worker.data.regimes import NUMBERS, describe, rarest, search_rows, unusual

RANDOM = np.random.default_rng(0)


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8), share=st.floats(0.01, 0.5), seed=st.integers(0, 9))
@settings(deadline=None)
def test_each_class_is_in_both_sets_as_far_as_their_size_allows(sizes: list[int], share: float, seed: int) -> None:
    strata = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    count = max(1, round(share * len(strata)))
    if count >= len(strata):
        return

    taken = search_rows(strata, RANDOM.random(len(strata)), count, seed=0)

    assert taken.sum() == count
    several = [name for name, size in enumerate(sizes) if size > 1]
    if len(several) <= count <= sum(size - 1 for size in sizes):
        assert all(0 < taken[strata == name].sum() < sizes[name] for name in several)
        assert not any(taken[strata == name].any() for name, size in enumerate(sizes) if size == 1)


def test_classes_keep_their_proportions() -> None:
    strata = np.repeat([0, 1, 2], [900, 90, 9])

    taken = search_rows(strata, RANDOM.random(999), 333, seed=0)

    assert [int(taken[strata == name].sum()) for name in range(3)] == [300, 30, 3]


def test_a_regime_without_a_name_is_in_both_sets() -> None:
    for rare in range(4, 20):
        strength = RANDOM.normal(0, 1, 450)
        strength[:rare] += 20.0
        away = unusual(strength[:, None].astype(np.float32))

        taken = search_rows(np.zeros(450, np.int64), away, 150, seed=rare)

        assert rare // 3 <= taken[:rare].sum() <= (rare + 2) // 3, rare


def test_no_row_is_kept_from_the_search_set_for_what_it_holds() -> None:
    """The row at which a range ends shows the clipping that held-out rows meet."""
    away = np.arange(30.0)

    taken = np.mean([search_rows(np.zeros(30, np.int64), away, 10, seed=seed) for seed in range(600)], axis=0)

    assert taken == pytest.approx(np.full(30, 1 / 3), abs=0.1)


def test_rows_that_are_all_alike_are_drawn_and_not_counted_off() -> None:
    taken = search_rows(np.zeros(300, np.int64), np.zeros(300), 100, seed=0)

    steps = np.diff(np.flatnonzero(taken))
    assert taken.sum() == 100
    assert len(set(steps.tolist())) > 3
    assert np.array_equal(taken, search_rows(np.zeros(300, np.int64), np.zeros(300), 100, seed=0))


def test_one_mad_row_makes_no_others_alike() -> None:
    values = RANDOM.normal(0, 1, (200, 4))
    values[:5] *= 6.0
    calm = unusual(values.astype(np.float32))
    values[10] = 1e9

    away = unusual(values.astype(np.float32))

    assert away.argmax() == 10
    assert away[:5] == pytest.approx(calm[:5], rel=0.1)


def test_of_several_classes_the_rarest_counts() -> None:
    given_classes = [(0,), (0, 1), (0, 1), (1, 2), ()]

    assert rarest(given_classes).tolist() == [0, 0, 0, 2, -1]


@pytest.mark.parametrize(
    "values",
    [np.zeros((0,)), np.array([3.0]), np.array([1.0, np.nan, np.inf]), RANDOM.normal(size=(3, 16, 16)), np.arange(9)],
)
def test_whatever_float_says_becomes_as_many_numbers(values: np.ndarray) -> None:
    described = describe([values, np.ones(5, np.uint8)])

    assert described.shape == (2 * NUMBERS,)
    away = unusual(np.stack([described, *[describe([np.ones(5), np.ones(5)])] * 20]))
    assert np.isfinite(away).all()
    assert away.argmax() == 0


def test_strength_peak_and_place_are_told_apart() -> None:
    quiet, loud, spike, late = np.ones(64), 3 * np.ones(64), np.ones(64), np.ones(64)
    spike[5], late[60] = 30.0, 30.0

    rows = [describe([row]) for row in (quiet, loud, spike, late)]

    assert all(not np.allclose(one, other) for i, one in enumerate(rows) for other in rows[:i])
