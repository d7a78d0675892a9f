"""The kinds of output that are more than numbers: anomaly, detection, sequence, mask."""

import weakref
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import ContractError, Refusal
from edge_agent.quant.agreement import Judge, resolve_kind
from edge_agent.quant.detection.match import overlaps, pairs
from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_heldout
from edge_agent.quant.kinds.mask import mean_overlap
from edge_agent.wire.manifest import Gates, Output


def judge(output: Output, *reference: Any) -> Judge:
    made = Judge(resolve_kind(output, list(reference), None))
    for one in reference:
        made.observe(one)
    return made


def one_hot(*symbols: int, of: int = 4) -> Any:
    return np.eye(of, dtype=np.float32)[list(symbols)]


BOX = [10.0, 10.0, 20.0, 20.0, 0.9, 1.0]
FAINT = [90.0, 90.0, 99.0, 99.0, 0.2, 2.0]


def moved(box: list[float], right: float = 0.0, **columns: float) -> list[float]:
    x1, y1, x2, y2, score, number = box
    return [x1 + right, y1, x2 + right, y2, columns.get("score", score), columns.get("number", number)]


def test_an_anomaly_is_judged_at_the_threshold_that_is_given() -> None:
    anomaly = judge(Output(kind="anomaly", threshold=2.0), [[1.0]], [[3.0]])

    assert anomaly.agrees([[1.0]], [[1.9]])
    assert not anomaly.agrees([[1.0]], [[2.0]])
    assert (anomaly.correct([[3.0]], True), anomaly.correct([[3.0]], 0)) == (True, False)


def test_an_anomaly_score_is_one_number() -> None:
    with pytest.raises(ContractError, match="no anomaly score"):
        judge(Output(kind="anomaly"), [[1.0, 2.0]])


def test_boxes_match_whatever_their_order_and_padding() -> None:
    other = [40.0, 40.0, 60.0, 60.0, 0.8, 2.0]
    detection = judge(Output(kind="detection"), [[BOX, other]])

    padded = [[other, moved(BOX, 1.0, score=0.7), [0.0] * 6, [-1.0] * 6]]

    assert detection.agrees([[BOX, other]], padded)


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [moved(BOX, 5.0)],  # overlap 1/3
        [moved(BOX, number=2.0)],
        [moved(BOX, score=0.4)],
        [BOX, moved(BOX, 1.0)],
        [moved(BOX, score=float("nan"))],
    ],
)
def test_a_box_that_is_lost_moved_renamed_doubled_or_faint_is_a_disagreement(boxes: list[list[float]]) -> None:
    detection = judge(Output(kind="detection"), [[BOX]])

    assert detection.agrees([[BOX]], [[BOX]])
    assert not detection.agrees([[BOX]], np.reshape(boxes, (1, -1, 6)))


def test_overlap_and_score_are_what_the_output_says() -> None:
    strict = judge(Output(kind="detection", threshold=0.3, tolerance=0.9), [[BOX]])

    assert strict.agrees([[BOX]], [[moved(BOX, 0.5, score=0.31)]])
    assert not strict.agrees([[BOX]], [[moved(BOX, 1.0)]])


def test_overlaps_are_areas_shared_over_areas_covered() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 5, 5], [2, 2, 0, 0]], np.float64)

    assert overlaps(boxes, boxes) == pytest.approx(
        np.array([[1, 1 / 7, 0, 0], [1 / 7, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    )


@settings(deadline=None)
@given(
    st.integers(0, 5).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
def test_a_pairing_is_found_exactly_where_there_is_one(rows: list[list[bool]]) -> None:
    alike = np.array(rows, bool).reshape(len(rows), len(rows))

    some = any(all(alike[row, column] for row, column in enumerate(order)) for order in permutations(range(len(rows))))

    assert (pairs(alike) >= 0).all() == some


def test_a_detector_that_never_sees_anything_proves_nothing() -> None:
    faint = [moved(BOX, score=0.1)]

    with pytest.raises(Refusal) as refusal:
        judge(Output(kind="detection"), [faint], [[*faint, *faint]]).check_coverage()

    assert refusal.value.code == "no_coverage"


@pytest.mark.parametrize("shape", [(6,), (1, 8, 7), (2, 8, 6), (1, 25200, 85)])
def test_what_is_no_table_of_detections_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ContractError, match="no table") as error:
        judge(Output(kind="detection"), np.zeros(shape))
    assert error.value.code == "shape_mismatch"


def test_sequences_are_read_greedily_without_repeats_and_blanks() -> None:
    text = judge(Output(kind="sequence", alphabet="abc"), one_hot(1, 1, 0, 1, 3)[None])

    assert text.correct(one_hot(1, 1, 0, 1, 3)[None], "aac") is True
    assert text.correct(one_hot(1, 1, 1, 1, 3)[None], "aac") is False
    assert text.agrees(one_hot(1, 1, 0, 1, 3)[None], one_hot(0, 1, 0, 1, 3)[None])
    assert text.agrees(one_hot(1, 1, 0, 1, 3)[None], one_hot(1, 0, 1, 3)[:, None])
    assert not text.agrees(one_hot(1, 1, 0, 1, 3)[None], one_hot(1, 1, 1, 1, 3)[None])


def test_the_blank_may_be_the_last_symbol() -> None:
    text = judge(Output(kind="sequence", blank=-1, alphabet="abc"), one_hot(3, 0, 0, 3, 2)[None])

    assert text.correct(one_hot(3, 0, 0, 3, 2)[None], "ac") is True
    assert text.correct(one_hot(3, 3)[None], "") is True


def test_without_an_alphabet_labels_say_nothing_about_a_sequence() -> None:
    assert judge(Output(kind="sequence"), one_hot(1, 2)).correct(one_hot(1, 2), "ab") is None


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (1, 5)),
        ({}, (1, 2, 5, 4)),
        ({"blank": 4}, (1, 5, 4)),
        ({"blank": -5}, (1, 5, 4)),
        ({"alphabet": "ab"}, (1, 5, 4)),
    ],
)
def test_a_sequence_that_does_not_fit_is_refused(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    output = Output(kind="sequence", **options)

    if shape == (1, 5):  # one step of five symbols
        assert resolve_kind(output, [np.zeros(shape)], None).kind == "sequence"
        return
    with pytest.raises(ContractError) as error:
        resolve_kind(output, [np.zeros(shape)], None)
    assert error.value.code == "shape_mismatch"


def test_a_label_that_is_no_string_is_refused() -> None:
    with pytest.raises(ContractError, match="no string"):
        judge(Output(kind="sequence", alphabet="abc"), one_hot(1)).correct(one_hot(1), 3)


def test_the_mean_overlap_counts_every_class_that_either_mask_has() -> None:
    first = np.array([[0, 0, 1, 1], [0, 0, 2, 2]])
    second = np.array([[0, 0, 1, 1], [0, 3, 2, 2]])

    assert mean_overlap(first, first) == 1
    assert mean_overlap(first, second) == pytest.approx((3 / 4 + 1 + 1 + 0) / 4)


@pytest.mark.parametrize("layout", ["classes first", "classes last", "numbers", "one score", "logits"])
def test_masks_of_every_layout_agree_while_they_cover_the_same(layout: str) -> None:
    mask = np.zeros((20, 20), np.int64)
    mask[:, :10] = 1
    near, far = mask.copy(), mask.copy()
    near[0, 10] = far[:, 10] = 1

    def output(numbers: Any) -> Any:
        match layout:
            case "classes first":
                return np.moveaxis(np.eye(3)[numbers], -1, 0)[None]
            case "classes last":
                return np.eye(3)[numbers][None]
            case "numbers":
                return numbers[None]
            case "one score":
                return numbers[None, None] * 0.8 + 0.1
        return numbers[None, ..., None] * 8.0 - 4.0

    masks = judge(Output(kind="mask"), output(mask), output(np.zeros_like(mask)))

    masks.check_coverage()
    assert masks.agrees(output(mask), output(near))
    assert not masks.agrees(output(mask), output(far))
    assert masks.correct(output(mask), 1) is None


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4, 5), (2, 3, 8, 8)])
def test_what_is_no_mask_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ContractError, match="no mask"):
        judge(Output(kind="mask"), np.zeros(shape))


@pytest.mark.parametrize("kind", ["anomaly", "detection", "sequence", "mask"])
def test_agreement_is_their_only_gate_of_accuracy(kind: Any) -> None:
    measured = Measured(windows=300, windows_effective=300.0, disagreements=4, sqnr_db=-3.0)

    judgement = evaluate_heldout(Gates(), kind, measured)

    assert judgement.passed
    assert [gate.name for gate in judgement.gates] == ["min_agreement"]


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "classes", "threshold": 0.0},
        {"kind": "classes", "tolerance": 0.1},
        {"kind": "mask", "blank": 1},
        {"kind": "raw", "alphabet": "ab"},
        {"boxes": "b", "scores": "s"},
        {"kind": "detection", "boxes": "b"},
        {"kind": "detection", "classes": "c"},
        {"kind": "detection", "boxes": "b", "scores": "s", "name": "n"},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"mean|need"):
        Output(**options)


@pytest.mark.parametrize(
    ("output", "reference", "near", "far"),
    [
        (Output(kind="classes"), [1.0, 3.0, 0.0], [2.0, 2.1, 0.0], [20.0, 33.0, 0.0]),
        (Output(kind="binary", threshold=0.5), [0.9], [0.55], [0.7]),
        (Output(kind="binary", threshold=0.5), [0.1, 0.9], [0.45, 0.6], [0.2, 0.7]),
        (Output(kind="anomaly", threshold=2.0), [1.0], [1.9], [1.2]),
        (Output(kind="regression"), [1.0, 100.0], [1.04, 100.0], [1.0, 101.0]),
        (Output(kind="raw"), [1.0, 1.0], [1.2, 1.0], [1.1, 1.0]),
        (Output(kind="mask"), [[0.9, 0.9], [0.1, 0.1]], [[0.9, 0.1], [0.1, 0.1]], [[0.6, 5.0], [0.4, 0.4]]),
        (Output(kind="embedding"), [3.0, 4.0], [3.1, 4.0], [6.0, 8.0]),
        (Output(kind="sequence"), one_hot(1, 0, 2), one_hot(1, 0, 2) + one_hot(0, 0, 0) * 0.9, 5 * one_hot(1, 0, 2)),
        (Output(kind="sequence"), one_hot(1, 0, 2), one_hot(1, 0, 3), one_hot(1, 0, 2) * 0.1),
        (Output(kind="sequence"), one_hot(1, 2, 3), one_hot(1, 1, 1), one_hot(1, 2, 2)),
        (Output(kind="detection"), [[BOX, FAINT]], [[moved(BOX, 3.0), FAINT]], [[moved(BOX, 1.0), [0.0] * 6]]),
        (Output(kind="detection"), [[BOX, FAINT]], [[moved(BOX, score=0.6), FAINT]], [[BOX, [0.0] * 6]]),
        (Output(kind="detection"), [[FAINT]], [[moved(FAINT, score=0.4)]], [[moved(FAINT, 90.0)]]),
    ],
)
def test_the_window_that_is_nearer_to_a_disagreement_is_said_to_be(
    output: Output, reference: Any, near: Any, far: Any
) -> None:
    made = judge(output, reference, np.zeros_like(reference) + 0.5 * np.asarray(reference))

    assert made.nearness(reference, near) > made.nearness(reference, far)
    assert made.nearness(reference, np.full_like(reference, np.nan)) == np.inf


def test_a_group_of_small_numbers_is_as_near_as_one_of_large_numbers() -> None:
    reference = np.array([100.0, 90.0, 0.5, 0.4])
    raw, embedding = (judge(Output(kind=kind), reference, 0.5 * reference) for kind in ("raw", "embedding"))
    near, far = reference - [0.0, 0.0, 0.1, -0.1], reference * [1.05, 0.95, 1.0, 1.0]

    assert len(raw.groups) == 2  # large and small
    assert raw.nearness(reference, near) > raw.nearness(reference, far)
    assert embedding.nearness(reference, near) > embedding.nearness(reference, far)


def test_a_group_that_is_to_be_quiet_comes_near_as_it_grows() -> None:
    usual, quiet = np.array([100.0, 90.0, 0.5, 0.4]), np.array([100.0, 90.0, 0.0, 0.0])
    embedding = judge(Output(kind="embedding"), *[usual] * 9, quiet)
    silent, soft, loud = ([100.0, 90.0, one, 0.0] for one in (0.0, 0.05, 0.3))

    near = [embedding.nearness(quiet, one) for one in (silent, soft, loud)]

    assert near == sorted(near)
    assert [embedding.agrees(quiet, one) for one in (silent, soft, loud)] == [True, True, False]


def test_more_or_fewer_boxes_than_float_say_nothing_by_themselves() -> None:
    detection = judge(Output(kind="detection"), [[BOX]], [[FAINT]])

    assert detection.nearness([[BOX]], [[BOX, FAINT]]) < detection.nearness([[BOX]], [[moved(BOX, 3.0)]]) < 1.0
    assert judge(Output(kind="raw"), [1.0, 2.0]).nearness([1.0, 2.0], [1.0, 2.0, 3.0]) == np.inf


@pytest.mark.parametrize(
    ("output", "shape"),
    [
        (Output(kind="embedding", tolerance=0.9), (3,)),
        (Output(kind="raw", tolerance=0.5), (3,)),
        (Output(kind="sequence"), (3, 3)),
        (Output(kind="detection"), (1, 6)),
    ],
)
def test_the_nearest_of_all_that_agree_is_further_than_what_disagrees(output: Output, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    wanted = random.uniform(0, 1, (200, *shape))
    got = wanted + random.normal(0, 0.2, wanted.shape)
    if output.kind == "detection":
        wanted[..., 2:4] += 1.0
        got[..., 2:4] += 1.0
        wanted[..., 5] = got[..., 5] = 1.0
    made = judge(output, *wanted)

    near = np.array([made.nearness(one, two) for one, two in zip(wanted, got, strict=True)])
    agreed = np.array([made.agrees(one, two) for one, two in zip(wanted, got, strict=True)])

    assert 20 < agreed.sum() < 180
    assert near[agreed].max() <= near[~agreed].min()


@pytest.mark.parametrize("output", [Output(kind="classes"), Output(kind="binary", threshold=0.5)])
def test_what_disagrees_is_nearer_than_all_that_agrees(output: Output) -> None:
    random = np.random.default_rng(0)
    pairs_ = [(one, one + random.normal(0, 0.3, 2)) for one in random.uniform(0, 1, (200, 2))]
    made = judge(output, *(one for one, _ in pairs_))

    agreed = [made.nearness(one, two) for one, two in pairs_ if made.agrees(one, two)]
    others = [made.nearness(one, two) for one, two in pairs_ if not made.agrees(one, two)]

    assert others
    assert max(agreed) <= min(others)


def test_decisions_may_be_none_in_some_windows() -> None:
    """As of a detector's scores above a threshold, of which there are as many as there are objects."""
    some, none = np.array([2.0, 3.0]), np.zeros(0)
    judge = Judge.having_seen(resolve_kind(Output(kind="binary"), [none, some], None), [none, some, none])

    assert judge.agrees(none, none)
    assert not judge.agrees(some, none)
    assert judge.nearness(none, none) < judge.nearness(some, some) < judge.nearness(some, none)
    assert judge.kept_classes(none, some) == {}


def test_masks_that_were_compared_are_not_kept_alive() -> None:
    """A runtime's own arrays hold all the memory that its calls have taken."""
    scores = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    mask = judge(Output(kind="mask"), scores)
    target = scores.copy()
    seen = weakref.ref(target)
    assert mask.agrees(scores, target)

    del target

    assert seen() is None
