"""What each kind counts of the classes that float gives a window."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent.quant.agreement import Judge, resolve_kind
from edge_agent.quant.class_recall import ClassCounts, class_recall
from edge_agent.wire.manifest import Output

Array = NDArray[Any]


def judged(output: Output, *references: Array) -> Judge:
    return Judge.having_seen(resolve_kind(output, references, None), references)


def scores(*best: int, symbols: int = 4) -> Array:
    return 5.0 * np.eye(symbols)[list(best)]


def box(left: float, number: int, score: float = 0.9) -> list[float]:
    return [left, 0.0, left + 10.0, 10.0, score, float(number)]


def test_a_class_is_a_windows_own() -> None:
    judge = judged(Output(kind="classes"), *scores(0, 1))

    assert judge.kept_classes(scores(1)[0], scores(1)[0]) == {1: (1.0, 1.0)}
    assert judge.kept_classes(scores(1)[0], scores(2)[0]) == {1: (1.0, 0.0)}
    assert judge.kept_classes(scores(1)[0], scores(1)[0], 2) == {}, "float is wrong"
    assert judge.kept_classes(scores(1)[0], scores(1)[0] * np.nan) == {1: (1.0, 0.0)}


def test_of_several_class_numbers_each_has_its_share_of_places() -> None:
    wanted, got = np.array([[0, 0, 1, 2]]), np.array([[0, 1, 1, 1]])

    assert judged(Output(kind="classes"), wanted).kept_classes(wanted, got) == {0: (1, 0.5), 1: (1, 1), 2: (1, 0)}


def test_each_of_several_decisions_has_a_yes_and_a_no() -> None:
    wanted, got = np.array([[3.0, -2.0, 1.0]]), np.array([[3.0, 2.0, 1.0]])
    judge = judged(Output(kind="binary"), wanted, -wanted)

    assert judge.kept_classes(wanted, got) == {"0 (yes)": (1, 1), "1 (no)": (1, 0), "2 (yes)": (1, 1)}
    assert judge.kept_classes(wanted, got, [1, 1, 1]) == {"0 (yes)": (1, 1), "2 (yes)": (1, 1)}


@pytest.mark.parametrize("kind", ["detection", "anomaly", "mask", "sequence"])
def test_what_is_not_finite_keeps_nothing(kind: Any) -> None:
    wanted = {
        "detection": np.array([box(0, 1), box(50, 2)]),
        "anomaly": np.array([3.0]),
        "mask": np.array([[1.0, -1.0], [1.0, -1.0]]),
        "sequence": scores(1, 2, 0),
    }[kind]

    kept = judged(Output(kind=kind), wanted).kept_classes(wanted, wanted * np.nan)

    assert kept
    assert all(part == 0.0 < given for given, part in kept.values())


def test_a_crowd_that_is_found_does_not_stand_for_windows_in_which_one_box_is_lost() -> None:
    crowd = np.array([box(20.0 * place, 2) for place in range(30)])
    single = np.array([box(0, 2)])
    judge = judged(Output(kind="detection"), crowd, single)
    counts = ClassCounts()
    for wanted, got in [(crowd, crowd), *[(single, single)] * 9, *[(single, single * 0)] * 5]:
        counts.add(judge.kept_classes(wanted, got))

    finding = class_recall(counts.counts, None)

    assert counts.counts == {2: (15, 10)}
    assert finding is not None
    assert not finding.gate.passed


@pytest.mark.parametrize("kind", ["detection", "detection_head"])
def test_boxes_that_no_label_has_are_not_counted(kind: Any) -> None:
    wanted = np.array([box(0, 1), box(50, 1), box(100, 2)])
    got = wanted[:1]
    label = np.array([[0, 0, 10, 10, 1], [100, 0, 110, 10, 2], [0, 0, 0, 0, -1]])
    if kind == "detection_head":  # [N, 6] is YOLO's end-to-end head
        wanted, got = (np.vstack([one, np.zeros((20 - len(one), 6))])[None] for one in (wanted, got))
    judge = judged(Output(kind=kind, threshold=0.5), wanted)

    assert judge.kept_classes(wanted, got) == {1: (1, 0.5), 2: (1, 0)}
    assert judge.kept_classes(wanted, got, label) == {1: (1, 1), 2: (1, 0)}


def test_a_masks_class_is_counted_in_pixels() -> None:
    wanted, got = np.zeros((2, 8, 8), np.int64)
    wanted[2:6, 2:6] = got[2:6, 2:6] = 1
    wanted[0, 0], got[0, 0] = 2, 0
    got[2, 2:4] = 0
    judge = judged(Output(kind="mask"), wanted)

    assert judge.kept_classes(wanted, got) == {0: (47, 47), 1: (16, 14), 2: (1, 0)}


def test_a_symbol_has_the_share_of_its_places_that_int8_reads() -> None:
    judge = judged(Output(kind="sequence", alphabet="abc"), scores(1, 0, 2))
    wanted, got = scores(1, 2, 1, 3), scores(1, 2, 3, 0)

    assert judge.kept_classes(wanted, got) == {"a": (1, 0.5), "b": (1, 1), "c": (1, 1)}
    assert judge.kept_classes(wanted, got, "ba") == {"a": (1, 0), "b": (1, 1)}
    assert judged(Output(kind="sequence"), wanted).kept_classes(wanted, got) == {1: (1, 0.5), 2: (1, 1), 3: (1, 1)}


def test_two_largest_that_are_equal_name_no_class_unless_float_is_torn_too() -> None:
    sure, torn = np.array([[9.0, 1.0, 0.0]]), np.array([[5.0, 4.9, 0.0]])
    judge = judged(Output(kind="classes"), sure, torn)

    assert not judge.agrees(sure, np.array([[5.0, 5.0, 0.0]]))
    assert judge.agrees(torn, np.array([[5.0, 5.0, 0.0]]))
    assert judge.agrees(sure, np.array([[5.0, 4.9, 0.0]]))


def test_a_pixel_at_the_threshold_or_torn_between_two_has_no_class() -> None:
    one = np.array([[1.0, -1.0], [1.0, 0.01]])
    two = np.stack([one, -one])

    single, double = judged(Output(kind="mask"), one), judged(Output(kind="mask"), two)

    assert single.kept_classes(one, np.array([[0.0, -1.0], [1.0, 0.0]])) == {0: (1, 1), 1: (3, 2)}
    assert double.kept_classes(two, two * [[0, 1], [1, 0]]) == {0: (3, 2), 1: (1, 1)}


def test_each_decision_has_a_scale_of_its_own() -> None:
    wanted = np.array([[300.0, 1.0]])
    judge = judged(Output(kind="binary"), wanted, -wanted)

    assert not judge.agrees(wanted, np.array([[300.0, 0.0]]))
