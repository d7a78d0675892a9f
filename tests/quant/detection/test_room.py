"""How much of the room of boxes is used: which windows come nearest to a disagreement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.quant.detection.match import counts_by_class, slack
from edge_agent.quant.detection.room import used_up, worth_a_look

THRESHOLD, OVERLAP = 0.25, 0.5
SLACK = slack(THRESHOLD)
BOX = (10.0, 10.0, 20.0, 20.0, 0.9, 1.0)
WEAK = (60.0, 60.0, 80.0, 80.0, 0.2, 1.0)
OTHER = (60.0, 10.0, 80.0, 20.0, 0.6, 2.0)
Box = tuple[float, ...]


def table(*boxes: Box) -> np.ndarray:
    return np.array(boxes, np.float64).reshape(-1, 6)


def changed(box: Box, right: float = 0.0, score: float | None = None, number: float | None = None) -> Box:
    x1, y1, x2, y2, old, old_number = box
    return (
        x1 + right,
        y1,
        x2 + right,
        y2,
        old if score is None else score,
        old_number if number is None else number,
    )


def used(reference: np.ndarray, target: np.ndarray) -> float:
    return used_up(reference, target, THRESHOLD, OVERLAP, SLACK)


@pytest.mark.parametrize("boxes", [(), (BOX,), (WEAK,), (BOX, WEAK, OTHER)])
def test_what_has_not_moved_uses_nothing(boxes: tuple[Box, ...]) -> None:
    assert used(table(*boxes), table(*boxes)) == 0.0


@pytest.mark.parametrize(
    ("reference", "nearer", "further"),
    [
        ((BOX,), (changed(BOX, right=3.0),), (changed(BOX, right=1.0),)),
        ((BOX,), (changed(BOX, score=0.3),), (changed(BOX, score=0.8),)),
        ((BOX,), (changed(BOX, score=0.5),), (changed(BOX, score=1.0),)),
        ((BOX, OTHER), (BOX, changed(OTHER, right=4.0)), (changed(BOX, right=1.0), OTHER)),
        ((changed(BOX, score=0.3),), (changed(BOX, score=0.26),), (changed(BOX, score=0.29),)),
        ((changed(BOX, score=0.26),), (changed(BOX, score=0.245),), (changed(BOX, score=0.255),)),
        ((WEAK,), (changed(WEAK, score=0.24),), (changed(WEAK, score=0.21),)),
        ((WEAK,), (changed(WEAK, score=0.21),), (changed(WEAK, right=6.0, score=0.1),)),
        ((), (changed(WEAK, score=0.2),), (changed(WEAK, score=0.05),)),
        ((BOX,), (BOX, WEAK), (BOX, changed(WEAK, score=0.1))),
        ((BOX,), (changed(BOX, right=1.0, number=2.0),), (changed(BOX, right=3.0),)),
    ],
)
def test_the_scarcest_room_counts(
    reference: tuple[Box, ...], nearer: tuple[Box, ...], further: tuple[Box, ...]
) -> None:
    assert used(table(*reference), table(*nearer)) > used(table(*reference), table(*further))


def test_a_box_has_its_best_pair() -> None:
    beside = changed(BOX, right=3.0, score=0.5)

    assert used(table(BOX), table(BOX, beside)) == pytest.approx(used(table(BOX), table(changed(BOX, right=3.0))))
    assert used(table(BOX, beside), table(BOX, beside)) == 0.0


def test_twice_the_error_uses_twice_the_room() -> None:
    once, twice = (used(table(BOX), table(changed(BOX, score=0.9 - error))) for error in (0.2, 0.4))

    assert twice == pytest.approx(2 * once)


@given(
    st.floats(0.07, 1.0), st.floats(0.07, 1.0), st.floats(0.0, 12.0), st.sampled_from([1.0, 2.0]), st.floats(0.0, 1.0)
)
def test_all_room_is_used_where_the_window_disagrees(
    wanted: float, got: float, right: float, number: float, other: float
) -> None:
    reference = table(changed(BOX, score=wanted), OTHER)
    target = table(changed(BOX, right, got, number), changed(OTHER, score=other))

    share = used(reference, target)

    agrees = all(one.complete for one in counts_by_class(reference, target, THRESHOLD, OVERLAP).values())
    assert agrees == (share <= 1.0) or share == pytest.approx(1.0)


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_where_all_boxes_count_a_new_one_is_beyond_all_others(threshold: float) -> None:
    assert used_up(table(BOX), table(BOX, OTHER), threshold, OVERLAP) > 1.0


def test_overlaps_that_have_to_be_perfect_have_no_room() -> None:
    assert used_up(table(BOX), table(BOX), THRESHOLD, 1.0) == 0.0
    assert used_up(table(BOX), table(changed(BOX, right=0.1)), THRESHOLD, 1.0) == np.inf


def test_the_strongest_is_looked_at_where_none_is_near() -> None:
    faint, fainter = changed(WEAK, score=0.03), changed(OTHER, score=0.02)

    assert worth_a_look(table(fainter, faint), THRESHOLD).tolist() == [list(faint)]
    assert worth_a_look(table(BOX, faint, WEAK), THRESHOLD).tolist() == [list(BOX), list(WEAK)]
    assert worth_a_look(table(), THRESHOLD).shape == (0, 6)
