"""AUC, MAE and accuracy against what they are by definition, over every pair and every element."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.quant.bounds import tango_upper
from edge_agent.quant.findings import Measured
from edge_agent.quant.labelled import LabelledOutputs, accuracy, area_under_curve
from edge_agent.wire.manifest import Output

SCORED = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40)


@given(SCORED)
def test_auc_is_the_share_of_pairs_in_the_right_order(windows: list[tuple[bool, int]]) -> None:
    positive = [score for label, score in windows if label]
    negative = [score for label, score in windows if not label]
    pairs = [(1.0 if high > low else 0.5 if high == low else 0.0) for high in positive for low in negative]

    found = area_under_curve(
        np.array([float(score) for _, score in windows]), np.array([label for label, _ in windows])
    )

    assert found == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def test_auc_by_hand() -> None:
    # 0.8 beats 0.1 and 0.4; 0.4 beats 0.1 and ties with 0.4: 3.5 of 4 pairs.
    assert area_under_curve(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])) == 0.875


def test_a_score_that_is_no_number_has_no_auc() -> None:
    assert area_under_curve(np.array([0.1, math.nan]), np.array([False, True])) is None


@pytest.mark.parametrize("kind", ["binary", "anomaly"])
def test_both_models_are_scored_and_the_drop_is_what_int8_lost(kind: Any) -> None:
    outputs = LabelledOutputs(kind)
    for label, reference, target in ((0, 0.1, 0.1), (0, 0.4, 0.9), (1, 0.5, 0.5), (True, 0.8, 0.8), (-1, 0.2, 0.2)):
        outputs.add(label, np.array([[reference]], np.float32), np.array([[target]], np.float32))

    (auc,) = outputs.metrics()

    assert (auc.name, auc.reference, auc.drop_upper) == ("auc", 1.0, None)
    assert auc.target == pytest.approx(4 / 6)
    assert auc.drop == pytest.approx(2 / 6)


def test_mae_is_the_mean_over_elements_and_windows() -> None:
    outputs = LabelledOutputs("regression")
    outputs.add(np.array([1.0, 2.0]), np.array([[1.5, 2.0]]), np.array([[1.0, 5.0]]))
    outputs.add(np.array([0, 0]), np.array([[0.0, -1.0]]), np.array([[0.0, 0.0]]))

    (mae,) = outputs.metrics()

    assert (mae.name, mae.reference, mae.target, mae.drop) == ("mae", 0.375, 0.75, 0.375)


def test_boxes_have_a_mean_average_precision() -> None:
    labels = np.array([[0, 0, 10, 10, 1], [20, 20, 40, 40, 0], [0, 0, 0, 0, -1]])
    both = np.array([[[0, 0, 10, 10, 0.9, 1], [20, 20, 40, 40, 0.1, 0]]])
    outputs = LabelledOutputs("detection", Output(kind="detection", threshold=0.5, tolerance=0.5))

    outputs.add(labels, both, both[:, :1])

    over_all, at_half = outputs.metrics()
    assert (over_all.name, at_half.name, over_all.drop_upper) == ("map", "map50", None)
    assert (at_half.reference, at_half.target, at_half.drop) == pytest.approx((1.0, 0.5, 0.5)), "also what scores 0.1"


@pytest.mark.parametrize("kind", ["classes", "raw", "embedding", "sequence", "mask", "detection"])
def test_other_kinds_have_neither(kind: Any) -> None:
    outputs = LabelledOutputs(kind)
    outputs.add(1, np.array([0.1, 0.9]), np.array([0.2, 0.8]))

    assert outputs.metrics() == []


def test_labels_of_one_side_have_no_auc() -> None:
    outputs = LabelledOutputs("binary")
    for _ in range(3):
        outputs.add(1, np.array([0.9]), np.array([0.9]))

    assert outputs.metrics() == []


def test_accuracy_counts_what_was_lost_and_won() -> None:
    share = accuracy(Measured(windows=200, windows_effective=100, float_right=180, lost=6, won=2))

    assert share is not None
    assert (share.reference, share.target, share.drop) == (0.9, 0.88, 0.02)
    assert share.drop_upper == pytest.approx(tango_upper(3, 1, 100))
    assert share.drop_upper > tango_upper(6, 2, 200)


def test_without_labels_there_is_no_accuracy() -> None:
    assert accuracy(Measured(windows=10, windows_effective=10)) is None
