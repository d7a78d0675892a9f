"""What the bench of the verdict's error counts, on rows whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from bench.judge_candidates import sabotaged_outputs
from bench.judge_draws import (
    Compared,
    Draw,
    Tally,
    covered,
    independent_draws,
    ours,
    point_estimate,
    recording_draws,
    stretch_draws,
)

ROWS, WINDOWS, DRAWS = 6000, 300, 200


def with_disagreement(share: float) -> Compared:
    """A classifier of which exactly this share of rows disagrees."""
    agreed = np.random.default_rng(1).permutation(ROWS) >= round(share * ROWS)
    noise = np.random.default_rng(2).uniform(0.01, 0.02, ROWS)
    return Compared(
        kind="classes",
        agreed=agreed,
        differences=np.where(agreed, noise, 1.0),
        cosines=1 - noise,
        errors=noise,
        signals=np.ones(ROWS),
    )


@pytest.mark.parametrize(("share", "errs"), [(0.051, "accepted_bad"), (0.1, "accepted_bad"), (0.01, "refused_good")])
def test_the_verdict_errs_in_at_most_five_of_a_hundred_independent_draws(share: float, errs: str) -> None:
    one, tally = with_disagreement(share), Tally()

    for drawn in independent_draws(ROWS, WINDOWS, DRAWS, 0):
        tally.count(accepts=ours(one, drawn), truth=1 - share)

    assert tally.bad + tally.good == DRAWS
    assert getattr(tally, errs) <= 0.05 * DRAWS


def test_a_point_estimate_accepts_what_is_just_below_the_gate_half_of_the_time() -> None:
    one = with_disagreement(0.052)

    accepted = [point_estimate(one, drawn) for drawn in independent_draws(ROWS, WINDOWS, DRAWS, 0)]

    assert 0.3 < np.mean(accepted) < 0.6


def test_the_bound_holds_in_ninety_five_of_a_hundred_draws() -> None:
    one = with_disagreement(0.05)

    assert np.mean([covered(one, drawn) for drawn in independent_draws(ROWS, WINDOWS, DRAWS, 0)]) >= 0.95


def test_a_draw_by_recording_holds_whole_recordings_but_for_the_last() -> None:
    groups = np.repeat(np.arange(60), 100)

    for drawn in recording_draws(groups, 250, 10, 0):
        assert len(set(drawn.rows.tolist())) == 250
        assert sorted(np.unique(drawn.groups, return_counts=True)[1].tolist()) == [50, 100, 100]


def test_a_draw_in_stretches_has_each_within_one_recording() -> None:
    groups = np.repeat(np.arange(60), 100)

    for drawn in stretch_draws(groups, 300, 10, 0):
        assert len(set(drawn.rows.tolist())) == 300
        assert drawn.groups is not None
        for number in range(12):
            stretch = drawn.rows[drawn.groups == number]
            assert np.all(np.diff(stretch) == 1)
            assert len(set(groups[stretch].tolist())) == 1


def test_truth_is_of_the_rows_that_were_not_drawn() -> None:
    one = with_disagreement(0.0)
    drawn = Draw(np.arange(WINDOWS))
    agreed = np.array(one.agreed)
    agreed[drawn.rows] = False

    assert replace(one, agreed=agreed).truth(drawn) == 1.0


def test_sabotage_is_of_the_size_that_it_says() -> None:
    wanted = np.eye(4)[np.random.default_rng(0).integers(0, 4, 1000)]

    changed = {name: (got.argmax(1) != wanted.argmax(1)).mean() for name, got in sabotaged_outputs(wanted, None)}

    assert changed["5.0% of rows as another"] == 0.05
    assert changed["0.0% of rows as another"] == 0.0
    lost = next(name for name in changed if name.startswith("class"))
    assert f"({round(changed[lost] * 1000)} of 1000 rows)" in lost
