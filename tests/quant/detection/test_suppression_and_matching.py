"""Suppression against a plain reference, matching against every possible choice."""

import time
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.detection_heads import Floats

from edge_agent.quant.detection.match import alike, counts, overlaps, pairs, slack
from edge_agent.quant.detection.suppress import MOST, suppress


def tables(most: int = 12) -> st.SearchStrategy[Floats]:
    """Boxes on a coarse grid, so that many overlap, of three classes; some scores are equal."""
    box = st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(1, 5)] * 2, st.integers(1, 10), st.integers(0, 2))
    rows = st.lists(box, max_size=most)
    return rows.map(
        lambda some: np.array([[x, y, x + w, y + h, s / 10, c] for x, y, w, h, s, c in some], np.float64).reshape(-1, 6)
    )


def overlap(one: Floats, other: Floats) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(shared / (sum(areas) - shared))


def plainly(table: Floats, most: float) -> list[list[float]]:
    """Each box in the order of its score: it stays unless one that stayed covers it."""
    kept: list[Floats] = []
    for box in sorted(table, key=lambda row: -row[4]):
        if not any(box[5] == other[5] and overlap(box, other) > most for other in kept):
            kept.append(box)
    return [box.tolist() for box in kept]


@given(tables(), st.sampled_from([0.1, 0.45, 0.7]))
@settings(deadline=None, max_examples=150)
def test_suppression_is_the_plain_one(table: Floats, most: float) -> None:
    assert suppress(table, most).tolist() == plainly(table, most)


def test_without_suppression_the_strongest_stay() -> None:
    table = np.zeros((MOST + 50, 6))
    table[:, 4] = np.linspace(0, 1, len(table))

    assert suppress(table, 1.0)[:, 4].tolist() == table[::-1][:MOST, 4].tolist()


def test_eight_thousand_candidates_are_no_burden() -> None:
    """All of them above the threshold, as of a head that int8 has broken."""
    random = np.random.default_rng(0)
    corner = random.uniform(0, 640, (8400, 2))
    table = np.column_stack([corner, corner + 20, random.uniform(size=8400), random.integers(0, 80, 8400)])

    began = time.monotonic()
    kept = suppress(table, 0.7)

    assert len(kept) == MOST
    assert time.monotonic() - began < 1  # 0.1 s; one box against all others at a time it was 1


def test_more_boxes_than_are_looked_at_together_are_suppressed_as_one() -> None:
    random = np.random.default_rng(0)
    corner = random.uniform(0, 100, (700, 2))
    table = np.column_stack([corner, corner + 30, random.uniform(size=700), random.integers(0, 2, 700)])

    assert suppress(table, 0.3).tolist() == plainly(table, 0.3)


def test_more_boxes_than_partners_are_no_burden() -> None:
    """As of a table without suppression in which int8 has ruined all boxes alike."""
    every = np.ones((1500, 1400), bool)

    begun = time.process_time()
    found, turned = pairs(every), pairs(every.T)

    assert time.process_time() - begun < 5.0
    assert (found >= 0).sum() == (turned >= 0).sum() == 1400


def test_boxes_that_all_lie_on_one_another_are_paired_soon() -> None:
    """As those of a head without suppression that int8 has broken."""
    began = time.monotonic()
    found = pairs(np.ones((MOST, MOST), np.bool_))

    assert sorted(found.tolist()) == list(range(MOST))
    assert time.monotonic() - began < 0.5  # 5 ms; through the others' partners it was more than 1 s


@given(tables(6), tables(6))
@settings(deadline=None, max_examples=150)
def test_no_choice_of_partners_pairs_more(first: Floats, second: Floats) -> None:
    same = alike(first, second, 0.3)
    if len(first) > len(second):
        same = same.T

    partners = pairs(same)

    chosen = [(row, column) for row, column in enumerate(partners) if column >= 0]
    assert all(same[row, column] for row, column in chosen)
    assert len({column for _, column in chosen}) == len(chosen)
    orders = permutations(range(same.shape[1]), same.shape[0])
    assert len(chosen) == max(
        (sum(same[row, column] for row, column in enumerate(order)) for order in orders), default=0
    )


@given(tables(), tables())
@settings(deadline=None)
def test_boxes_that_could_be_the_same_are_of_one_class_and_overlap(first: Floats, second: Floats) -> None:
    same = alike(first, second)

    for row, one in enumerate(first):
        for column, other in enumerate(second):
            assert overlaps(one[None], other[None])[0, 0] == pytest.approx(overlap(one, other))
            assert same[row, column] == (one[5] == other[5] and overlap(one, other) >= 0.5)


@given(tables(8))
@settings(deadline=None)
def test_a_table_has_all_of_itself(table: Floats) -> None:
    found = counts(table, table, 0.45)

    assert found.complete
    assert found.reference == found.target == int((table[:, 4] >= 0.45).sum())


def test_counts_of_windows_add_up() -> None:
    table = np.array([[0, 0, 9, 9, 0.9, 0]], np.float64)

    both = counts(table, table, 0.5) + counts(table, table[:0], 0.5)

    assert (both.reference, both.found, both.target, both.confirmed) == (2, 1, 1, 1)
    assert not both.complete


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.04, 0.25, 0.9])
def test_the_slack_never_reaches_a_score_of_nothing(threshold: float) -> None:
    assert 0 <= slack(threshold) <= threshold / 4
