"""Boxes counted over a whole set, and the refusal where int8 has lost them while windows agree."""

import pytest

from edge_agent.jobs.measured_outputs import DetectionsKept
from edge_agent.quant.bounds import agreement_lower
from edge_agent.quant.detection.kept import KeptBoxes, with_detections
from edge_agent.quant.detection.match import Counts
from edge_agent.quant.judgement import Judgement


def kept(*, found: int, reference: int, confirmed: int | None = None, target: int | None = None) -> DetectionsKept:
    has = found if target is None else target
    return DetectionsKept(
        reference=reference, found=found, target=has, confirmed=found if confirmed is None else confirmed
    )


def test_counts_of_windows_become_shares_with_bounds_over_windows() -> None:
    boxes = KeptBoxes()
    for number in range(100):
        boxes.add({0: Counts(2, 2, 2, 2), 3: Counts(1, number != 0, 0, 0)} if number % 2 == 0 else {})

    summary = boxes.summary()

    assert summary is not None
    assert (summary.reference, summary.found, summary.target, summary.confirmed) == (150, 149, 100, 100)
    assert summary.recall == pytest.approx(149 / 150)
    assert summary.recall_lower == pytest.approx(agreement_lower(50 / 150, 50)), "fifty windows, not 150 boxes"
    assert (summary.precision, summary.precision_lower) == (1.0, pytest.approx(agreement_lower(0, 50)))
    assert [(one.number, one.reference, one.found) for one in summary.classes] == [(0, 100, 100), (3, 50, 49)]


def test_a_model_without_boxes_says_nothing_of_them() -> None:
    assert KeptBoxes().summary() is None
    assert with_detections(Judgement(()), None).passed


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"found": 0, "reference": 15}, "detections_lost"),
        ({"found": 11, "reference": 15}, "detections_lost"),
        ({"found": 12, "reference": 15}, ""),
        ({"found": 0, "reference": 1}, ""),  # one may be lost by chance
        ({"found": 0, "reference": 2}, "detections_lost"),
        ({"found": 5, "reference": 9}, ""),
        ({"found": 100, "reference": 100, "confirmed": 100, "target": 140}, "detections_lost"),
        ({"found": 0, "reference": 0, "confirmed": 0, "target": 20}, "detections_lost"),
        ({"found": 99, "reference": 100, "confirmed": 99, "target": 101}, ""),
    ],
)
def test_a_set_that_is_mostly_empty_does_not_hide_that_boxes_are_lost(counts: dict[str, int], code: str) -> None:
    judgement = with_detections(Judgement(()), kept(**counts))

    assert judgement.code == code
    assert bool(judgement.message) == bool(code)


def test_what_is_worse_stays_said() -> None:
    lost = kept(found=0, reference=50)

    assert with_detections(Judgement((), "agreement_too_low", "x"), lost).code == "agreement_too_low"
    for less in ("latency_too_high", "latency_inconclusive", "too_noisy", "size_too_large"):
        assert with_detections(Judgement((), less, "x"), lost).code == "detections_lost"
    assert with_detections(Judgement(()), lost).message == (
        "int8 finds 0 of the 50 boxes that float finds; at least 80 % are needed"
    )
