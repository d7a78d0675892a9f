from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import Refusal
from edge_agent.worker.data.split import SPLITS, Split, plan_blocks, samples_needed, split_rows, windows_that_fit

COUNTS = st.integers(1, 400)


@given(calibration=COUNTS, search=COUNTS, heldout=COUNTS, size=st.integers(1, 500), hop=st.integers(1, 500))
@settings(deadline=None)
def test_blocks_hold_exactly_the_windows_asked_for(
    calibration: int, search: int, heldout: int, size: int, hop: int
) -> None:
    wanted: dict[Split, int] = {"calibration": calibration, "search": search, "heldout": heldout}

    blocks = plan_blocks(wanted, size=size, hop=hop)

    assert {split: sum(block.windows for block in blocks if block.split == split) for split in SPLITS} == wanted
    assert all(block.windows >= 1 and block.size == size for block in blocks)
    assert all(block.step >= size for block in blocks if block.split == "heldout")
    assert all(first.split != second.split for first, second in pairwise(blocks))


def test_a_usual_capture_has_many_rounds_and_cheap_gaps() -> None:
    blocks = plan_blocks({"calibration": 300, "search": 150, "heldout": 300}, size=128, hop=64)

    useful = 450 * 64 + 300 * 128
    assert len(blocks) == 36
    assert [block.split for block in blocks[:3]] == list(SPLITS)
    assert samples_needed(blocks) < 1.12 * useful


def test_a_long_window_with_few_of_them_gets_one_round() -> None:
    blocks = plan_blocks({"calibration": 4, "search": 2, "heldout": 4}, size=1000, hop=1000)

    assert [block.split for block in blocks] == list(SPLITS)
    assert samples_needed(blocks) == 4000 + 1000 + 2000 + 1000 + 4000


@given(rows=st.integers(3, 700), seed=st.integers(0, 99), apart=st.booleans(), ordered=st.booleans())
@settings(deadline=None)
def test_every_row_is_in_exactly_one_set(rows: int, seed: int, apart: bool, ordered: bool) -> None:  # noqa: FBT001  # hypothesis
    sets = split_rows(rows, seed=seed, heldout_apart=apart, ordered=ordered)

    assert sorted(np.concatenate(list(sets.values())).tolist()) == list(range(rows))
    assert all(len(part) and (np.diff(part) > 0).all() for part in sets.values())
    assert ("heldout" in sets) is not apart


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(900, [450, 150, 300]), (300, [100, 50, 150]), (60, [20, 10, 30]), (3, [1, 1, 1]), (6000, [4700, 1000, 300])],
)
def test_without_a_heldout_file_half_up_to_300_rows_are_held_out(rows: int, sizes: list[int]) -> None:
    sets = split_rows(rows, seed=1, heldout_apart=False)

    assert [len(sets[split]) for split in SPLITS] == sizes


def test_with_a_heldout_file_a_third_is_the_search_set() -> None:
    sets = split_rows(300, seed=1, heldout_apart=True)

    assert {split: len(part) for split, part in sets.items()} == {"calibration": 200, "search": 100}


def test_the_seed_decides() -> None:
    first, again, other = (split_rows(100, seed=seed, heldout_apart=False)["heldout"].tolist() for seed in (1, 1, 2))

    assert first == again != other
    assert first != list(range(50))


@given(seed=st.integers(0, 50))
@settings(deadline=None, max_examples=20)
def test_labels_are_shared_out_in_proportion(seed: int) -> None:
    labels = np.repeat([0, 1, 2], [600, 270, 30])

    sets = split_rows(900, seed=seed, heldout_apart=False, labels=labels)

    for part in sets.values():
        expected = np.array([600, 270, 30]) * len(part) / 900
        assert np.abs(np.bincount(labels[part], minlength=3) - expected).max() <= 1


@given(sizes=st.lists(st.integers(1, 60), min_size=3, max_size=40), seed=st.integers(0, 9))
@settings(deadline=None)
def test_recordings_stay_whole(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)

    sets = split_rows(len(groups), seed=seed, heldout_apart=False, groups=groups)

    members = [set(groups[part].tolist()) for part in sets.values()]
    assert all(members)
    assert sum(map(len, members)) == len(sizes) == len(set.union(*members))


def test_many_recordings_fill_the_sets_as_wanted() -> None:
    groups = np.repeat(np.arange(60), 10)

    sets = split_rows(600, seed=0, heldout_apart=False, groups=groups)

    assert [len(sets[split]) for split in SPLITS] == [200, 100, 300]


def test_order_is_kept_where_it_matters() -> None:
    sets = split_rows(60, seed=0, heldout_apart=False, ordered=True)

    assert np.concatenate([sets[split] for split in SPLITS]).tolist() == list(range(60))


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows_are_refused(rows: int) -> None:
    with pytest.raises(Refusal, match=f"{rows} rows? cannot be divided into 3 sets") as refusal:
        split_rows(rows, seed=0, heldout_apart=False)

    assert refusal.value.code == "too_few_windows"


def test_too_few_recordings_are_refused() -> None:
    with pytest.raises(Refusal, match="2 recordings"):
        split_rows(50, seed=0, heldout_apart=False, groups=np.repeat([0, 1], 25))


def test_the_windows_that_fit_keep_their_proportions_and_fill_what_is_there() -> None:
    asked: dict[Split, int] = {"calibration": 300, "search": 150, "heldout": 300}

    fewer = windows_that_fit(asked, 30_000, size=100, hop=50, least=59)

    assert fewer is not None
    assert 28_500 < samples_needed(plan_blocks(fewer, size=100, hop=50)) <= 30_000
    assert fewer["calibration"] == fewer["heldout"] == pytest.approx(2 * fewer["search"], abs=1)
    assert windows_that_fit(asked, 5_000, size=100, hop=50, least=59) is None
