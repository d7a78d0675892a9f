"""What the bench of the verdict's error counts, on rows whose truth is known; and what its rows are made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.judge_candidates import sabotaged_outputs
from bench.judge_draws import Draw, independent_draws, recording_draws, stretch_draws
from bench.judge_error import WHOLE, counted, tables
from bench.judge_rules import Compared, Seen, Tally, ours, point_estimate
from bench.real_models import stored
from numpy.typing import NDArray

from edge_agent.quant.agreement import Judge, resolve_kind
from edge_agent.wire.manifest import Output

ROWS, WINDOWS, DRAWS = 6000, 300, 200


def with_disagreement(share: float) -> Compared:
    """A classifier of which exactly this share of rows disagrees."""
    agreed = np.random.default_rng(1).permutation(ROWS) >= round(share * ROWS)
    noise = np.random.default_rng(2).uniform(0.01, 0.02, ROWS)
    return Compared(
        kind="classes",
        agreed=agreed,
        nearness=np.where(agreed, noise, 1.0),
        cosines=1 - noise,
        errors=noise[:, None],
        signals=np.ones((ROWS, 1)),
    )


@pytest.mark.parametrize(("share", "errs"), [(0.051, "accepted_bad"), (0.1, "accepted_bad"), (0.01, "refused_good")])
def test_the_verdict_errs_in_at_most_five_of_a_hundred_independent_draws(share: float, errs: str) -> None:
    one, tally = with_disagreement(share), Tally()

    for drawn in independent_draws(ROWS, WINDOWS, DRAWS, 0):
        tally.count(ours(Seen(one, drawn)), truth=1 - share)

    assert tally.bad + tally.good == DRAWS
    assert getattr(tally, errs) <= 0.05 * DRAWS


def test_a_point_estimate_accepts_what_is_just_below_the_gate_half_of_the_time() -> None:
    one = with_disagreement(0.052)

    accepted = [not point_estimate(Seen(one, drawn)) for drawn in independent_draws(ROWS, WINDOWS, DRAWS, 0)]

    assert 0.3 < np.mean(accepted) < 0.6


def test_the_bound_holds_in_ninety_five_of_a_hundred_draws() -> None:
    one = with_disagreement(0.05)

    seen = [Seen(one, drawn) for drawn in independent_draws(ROWS, WINDOWS, DRAWS, 0)]

    assert np.mean([each.lower <= each.truth for each in seen]) >= 0.95


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

    assert Seen(replace(one, agreed=agreed), drawn).truth == 1.0


def test_there_are_no_stretches_where_recordings_are_short() -> None:
    assert not list(stretch_draws(np.repeat(np.arange(600), 10), 300, 10, 0))


def judged(wanted: NDArray[np.float64]) -> Judge:
    return Judge.having_seen(resolve_kind(Output(kind="classes"), list(wanted), None), wanted)


def test_sabotage_is_of_the_size_that_it_says() -> None:
    random = np.random.default_rng(0)
    wanted = np.eye(4)[random.integers(0, 4, 1000)]
    rounding = wanted + random.normal(0, 0.01, wanted.shape)
    groups = np.arange(1000) // 50

    made = dict(sabotaged_outputs(judged(wanted), wanted, rounding, groups))
    changed = {name: (got.argmax(1) != wanted.argmax(1)) for name, got in made.items()}

    assert changed["5.0% of rows as another"].mean() == 0.05
    assert changed["0.0% of rows as another"].mean() == 0.0
    assert np.unique(groups[changed["10.0% of rows, in few recordings"]]).size == 2
    assert not np.array_equal(made["0.0% of rows as another"], wanted)
    assert np.array_equal(made["float itself"], wanted)
    lost = next(name for name in changed if name.startswith("class"))
    assert f"({round(changed[lost].mean() * 1000)} of 1000 rows)" in lost


def test_a_lost_class_is_no_false_refusal_but_counted_apart() -> None:
    good = with_disagreement(0.0)
    classes = np.arange(ROWS) % 20
    agreed = (classes != 3) | (np.arange(ROWS) % 400 > 60)
    one = replace(good, classes=classes, agreed=agreed)
    tally = Tally()

    for drawn in independent_draws(ROWS, WINDOWS, DRAWS, 0):
        tally.count(ours(Seen(one, drawn)), truth=0.99)

    assert tally.others["class_lost"] > 0
    assert tally.refused_good <= 0.05 * DRAWS


def test_whole_recordings_that_fail_have_their_own_lines() -> None:
    one = replace(with_disagreement(0.0), groups=np.arange(ROWS) // 100)
    lines = list(tables({"made": counted({"1 % of rows, in few recordings": one, "static": one}, 5, WINDOWS)}))

    assert sum(line.startswith("| made | by recording |") for line in lines) == 2
    assert any(line.startswith(f"| made | independent | {WHOLE} | 0, 5 | -, 0.0 % | 100.0 % | 300 |") for line in lines)


def test_calibration_and_held_out_rows_are_of_different_recordings(tmp_path: Path) -> None:
    recordings = [{"x": np.full((length, 2), number, np.float32)} for number, length in enumerate([3, 4, 5, 6, 7, 8])]

    stored(tmp_path, "made", recordings)

    first, second = (np.load(tmp_path / f"made-{which}.npz") for which in ("calibration", "heldout"))
    assert not set(first["x"].ravel()) & set(second["x"].ravel())
    assert len(first["x"]) + len(second["x"]) == 33
    assert np.unique(second["groups"]).size == 5
    assert np.all(np.diff(second["groups"]) >= 0)
