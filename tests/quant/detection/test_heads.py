"""Every layout: encoded from known boxes, found or given, decoded back, and judged."""

from typing import Any

import msgspec
import numpy as np
import pytest
from support.detection_heads import (
    HEADS,
    IN_FRACTIONS,
    SIDE,
    SINGLE,
    Floats,
    background,
    centernet,
    detr,
    end_to_end,
    retina,
    rt_detr,
    scene,
    ssd,
    yolov5,
    yolov8,
    yolov8_logits,
    yolov8_rows,
)

from edge_agent.contract.joined_head import join
from edge_agent.errors import ContractError, Refusal
from edge_agent.quant.agreement import Judge, resolve_kind
from edge_agent.quant.detection.match import Counts
from edge_agent.quant.detection.recognition import recognised
from edge_agent.quant.grouped_metrics import GroupedMetrics
from edge_agent.quant.kinds.detection_head import DetectionHead, detections
from edge_agent.wire.detection_head import Head
from edge_agent.wire.manifest import Output

WINDOWS = 12
NAMED = {"centernet": Head(offset="offset"), "centernet_logits": Head(offset="offset")}


def scenes(seed: int = 0) -> list[Floats]:
    """What is to be seen in each window; in some nothing."""
    random = np.random.default_rng(seed)
    return [scene(random, number % 4) for number in range(WINDOWS)]


def outputs(head: Any, seed: int = 0) -> list[Any]:
    random = np.random.default_rng(seed + 1)
    return [head(random, found).astype(np.float32) for found in scenes(seed)]


def asked(head: Any) -> Output:
    said = NAMED.get(head.__name__, msgspec.UNSET)
    if head in SINGLE:
        return Output(kind="detection_head", head=said)
    return Output(kind="detection_head", boxes="boxes", scores="scores", head=said)


def judge(output: Output, reference: list[Any]) -> Judge:
    made = Judge(resolve_kind(output, reference, None))
    for one in reference:
        made.observe(one)
    return made


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
def test_boxes_come_back_as_they_were(head: Any) -> None:
    made = outputs(head)

    meaning = DetectionHead.resolve(asked(head), made)

    for output, seen in zip(made, scenes(), strict=True):
        found = seen[seen[:, 5] == 0] if head is yolov8_rows else seen  # that one has a single class
        boxes = detections(output, meaning)
        scale = SIDE if head in IN_FRACTIONS else 1
        np.testing.assert_allclose(boxes[:, :4] * scale, found[:, :4], atol=0.01)
        np.testing.assert_allclose(boxes[:, 4], found[:, 4], atol=1e-3)
        assert boxes[:, 5].tolist() == found[:, 5].tolist()


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
def test_what_is_found_is_found_once(head: Any) -> None:
    """Resolved again, with other outputs, it stays as it is."""
    meaning = DetectionHead.resolve(asked(head), outputs(head))
    others = [np.zeros_like(one) for one in outputs(head)]

    assert meaning.head
    assert "" not in (meaning.head.layout, meaning.head.activation, meaning.head.box_format, meaning.head.units)
    assert DetectionHead.resolve(meaning, others) == meaning
    assert DetectionHead.resolve(meaning, []) == meaning


@pytest.mark.parametrize("head", SINGLE, ids=lambda head: head.__name__)
def test_a_head_of_one_output_is_found_without_being_named(head: Any) -> None:
    meaning = resolve_kind(Output(), outputs(head), None)

    assert meaning.kind == "detection_head"
    assert meaning.output == DetectionHead.resolve(asked(head), outputs(head))
    assert f"layout {head.__name__.removesuffix('_logits').removesuffix('_in_fractions')} (" in meaning.found


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
def test_a_copy_agrees_everywhere_and_what_is_off_does_not(head: Any) -> None:
    reference = outputs(head)
    made = judge(asked(head), reference)
    made.check_coverage()

    hardly = [one * (1 + 1e-4) for one in reference]
    other = outputs(head, seed=100)

    assert all(made.agrees(one, near) for one, near in zip(reference, hardly, strict=True))
    for one, far in zip(reference, other, strict=True):
        seen = len(detections(one, made.meaning.output)) + len(detections(far, made.meaning.output))
        assert made.agrees(one, far) == (seen == 0)


@pytest.mark.parametrize("head", [yolov8, yolov8_rows, yolov5, end_to_end, ssd, retina], ids=lambda head: head.__name__)
def test_a_head_whose_scores_are_dead_disagrees_wherever_float_sees_something(head: Any) -> None:
    """Though boxes are right, and with them a signal to noise ratio over the tensor that looks well."""
    reference = outputs(head)
    meaning = DetectionHead.resolve(asked(head), reference)
    made, kind = judge(asked(head), reference), DetectionHead(meaning)
    assert meaning.head

    for one in reference:
        dead = one.copy()
        scores = dead[0, 4:] if head is yolov8 else dead[..., 4:5] if head is end_to_end else dead[..., 4:]
        scores[...] = -20.0 if meaning.head.activation == "sigmoid" else 0.0
        seen = len(detections(one, meaning))
        assert made.agrees(one, dead) == (seen == 0)
        counts = sum(kind.counts_by_class(one, dead).values(), Counts())
        assert (counts.reference, counts.found) == (seen, 0)


def test_the_error_of_a_head_is_that_of_its_scores() -> None:
    """Dead scores are no noise beside boxes in pixels; of candidates alike the closest must not be the deadest."""
    reference = outputs(yolov8)
    metrics = GroupedMetrics(judge(asked(yolov8), reference).groups)

    for one in reference:
        dead = one.copy()
        dead[0, 4:] = 0.0
        metrics.add(one, dead)

    assert metrics.worst == "4-6"
    assert metrics.sqnr_db == pytest.approx(0.0, abs=1e-6)
    assert metrics.whole.sqnr_db
    assert metrics.whole.sqnr_db > 40


def test_scores_that_sit_on_the_threshold_stand_for_nothing() -> None:
    """A dead head whose one score is next to the threshold must not pass as rounding."""
    reference = outputs(yolov8)
    made = judge(Output(kind="detection_head", threshold=0.5), reference)
    stuck = [one.copy() for one in reference]
    for one in stuck:
        one[0, 4:] = 0.49

    assert all(
        made.agrees(one, dead) == (len(found) == 0) for one, dead, found in zip(reference, stuck, scenes(), strict=True)
    )


@pytest.mark.parametrize(
    ("score", "agrees"), [(0.255, True), (0.245, True), (0.235, True), (0.22, False), (0.0, False)]
)
def test_only_a_score_near_the_threshold_may_cross_it(score: float, *, agrees: bool) -> None:
    """0.25 is the threshold, 0.252 float's score."""
    random = np.random.default_rng(0)
    found = scene(random, 2)
    found[1, 4] = 0.252
    reference = yolov8(np.random.default_rng(1), found)
    found[1, 4] = score
    target = yolov8(np.random.default_rng(1), found)
    made = judge(asked(yolov8), [reference, *outputs(yolov8)])

    assert made.agrees(reference, target) == agrees
    assert made.agrees(target, reference) == agrees or score < 0.25


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
def test_boxes_say_how_near_a_window_came_to_a_disagreement(head: Any) -> None:
    """And not the thousands of candidates that count for nothing, however far they are off."""
    made = judge(asked(head), outputs(head))
    threshold = made.meaning.output.threshold or 0.0
    found = scene(np.random.default_rng(0), 3)
    found[:, 5] = 0
    weaker, moved = found.copy(), found.copy()
    weaker[-1, 4] = (found[-1, 4] + threshold) / 2
    moved[0, [0, 2]] += 0.25 * (found[0, 2] - found[0, 0])
    reference, fainter, shifted = (head(np.random.default_rng(1), one) for one in (found, weaker, moved))
    other_candidates = head(np.random.default_rng(2), found)

    assert made.nearness(reference, reference) == 0.0
    assert made.nearness(reference, other_candidates) < 0.1
    assert made.nearness(reference, fainter) == pytest.approx(0.5, abs=0.05)
    assert made.nearness(reference, shifted) == pytest.approx(0.8, abs=0.05)  # overlap 0.6


def test_a_window_without_boxes_is_near_as_a_score_rises() -> None:
    made = judge(asked(yolov8), outputs(yolov8))
    nothing = scene(np.random.default_rng(0), 0)
    one = scene(np.random.default_rng(0), 1)
    reference = yolov8(np.random.default_rng(1), nothing)

    near = []
    for one[0, 4] in (0.03, 0.1, 0.2, 0.3):
        near.append(made.nearness(reference, yolov8(np.random.default_rng(1), one)))

    assert near == pytest.approx([0.12, 0.4, 0.8, 1.2], abs=0.01)


def test_counts_are_recall_and_precision_and_those_of_each_class() -> None:
    found = np.array(
        [[0, 0, 40, 40, 0.9, 0], [100, 0, 140, 40, 0.8, 1], [0, 100, 40, 140, 0.7, 1]], np.float64
    )  # fmt: skip
    other = np.vstack([found[[0, 2]], [[200, 200, 240, 240, 0.9, 2], [0, 100, 40, 140, 0.1, 2]]])
    kind = DetectionHead(DetectionHead.resolve(asked(yolov8), outputs(yolov8)))
    reference, target = (yolov8(np.random.default_rng(1), boxes) for boxes in (found, other))

    by_class = kind.counts_by_class(reference, target)
    counts = sum(by_class.values(), Counts())

    assert (counts.reference, counts.found, counts.target, counts.confirmed) == (3, 2, 3, 2)
    assert {number: (one.reference, one.found) for number, one in by_class.items()} == {0: (1, 1), 1: (2, 1), 2: (0, 0)}


def test_a_head_that_never_sees_anything_proves_nothing() -> None:
    random = np.random.default_rng(0)
    nothing = [yolov8(random, scene(random, 0)) for _ in range(4)]

    with pytest.raises(Refusal, match="float gives no box on all 4 windows") as refusal:
        judge(asked(yolov8), nothing).check_coverage()
    assert refusal.value.code == "no_coverage"


def test_numbers_of_unlike_scale_are_no_head_unless_they_are_boxes_and_scores() -> None:
    random = np.random.default_rng(0)
    for shape in [(1, 8, 100), (1, 100, 8), (1, 84, 84), (1, 6, 21), (1, 300, 6), (1, 10), (1, 3, 8, 8), (64,)]:
        assert recognised([random.normal(size=shape) * 100 for _ in range(5)]) == ""
        assert recognised([random.uniform(size=shape) for _ in range(5)]) == ""
        assert recognised([np.zeros(shape)]) == ""
    assert recognised([]) == ""
    assert recognised([np.zeros((1, 8, 100)), np.zeros((1, 8, 90))]) == ""
    boxes, scores = background(random)
    assert recognised([np.hstack([-boxes, scores]).T[None]]) == "", "sizes are not negative"
    assert recognised([np.hstack([boxes, scores * 100]).T[None]]) == "", "scores are from 0 to 1"


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        (Head(layout="yolov8"), (1, 4, 100)),
        (Head(layout="yolov8"), (100,)),
        (Head(layout="yolov5"), (1, 100, 4)),
        (Head(layout="end_to_end"), (1, 100, 7)),
        (Head(layout="yolov8_rows"), (2, 100, 9)),
    ],
)
def test_what_is_not_of_its_layout_is_refused(head: Head, shape: tuple[int, ...]) -> None:
    with pytest.raises(ContractError, match="no detection head") as error:
        judge(Output(kind="detection_head", head=head), [np.zeros(shape)])
    assert error.value.code == "shape_mismatch"


def test_a_layout_that_does_not_show_is_asked_for() -> None:
    with pytest.raises(ContractError, match="set head ="):
        DetectionHead.resolve(Output(kind="detection_head"), [np.random.default_rng(0).normal(size=(1, 9, 50))])


def test_before_a_capture_only_the_shape_is_looked_at() -> None:
    """Zeros stand for an output whose values are not known yet."""
    for output in (Output(kind="detection_head"), Output(kind="detection_head", head=Head(layout="yolov8"))):
        assert resolve_kind(output, [np.zeros((1, 84, 8400))], None).found == "set in [output]"
        assert resolve_kind(output, [], None).found == "set in [output]"


def test_outputs_that_do_not_belong_together_are_refused() -> None:
    for boxes, scores in [
        ((1, 10, 4), (1, 9, 2)),
        ((1, 10, 5), (1, 10, 2)),
        ((1, 2, 8, 8), (1, 3, 8, 9)),
        ((4,), (4,)),
    ]:
        with pytest.raises(ContractError, match="neither") as error:
            join(np.zeros(boxes), np.zeros(scores))
        assert error.value.code == "shape_mismatch"


def test_what_is_said_counts_more_than_what_would_be_found() -> None:
    said = Head(layout="yolov8", activation="none", box_format="yxyx", max_overlap=0.3)

    meaning = DetectionHead.resolve(Output(kind="detection_head", head=said, threshold=0.4), outputs(yolov8_logits))

    assert meaning.head == msgspec.structs.replace(said, background="none", units="pixels")
    assert (meaning.threshold, meaning.tolerance) == (0.4, 0.5)


@pytest.mark.parametrize(
    ("head", "layout", "activation", "background"),
    [
        (ssd, "ssd", "none", "first"),
        (retina, "ssd", "sigmoid", "none"),
        (detr, "detr", "softmax", "last"),
        (rt_detr, "detr", "sigmoid", "none"),
        (yolov5, "yolov5", "none", "none"),
        (centernet, "centernet", "none", "none"),
    ],
)
def test_which_layout_it_is(head: Any, layout: str, activation: str, background: str) -> None:
    meaning = DetectionHead.resolve(asked(head), outputs(head))

    assert meaning.head
    assert (meaning.head.layout, meaning.head.activation, meaning.head.background) == (layout, activation, background)


def test_labels_are_boxes_with_their_class() -> None:
    found = scenes()[3]
    labels = np.vstack([np.delete(found, 4, axis=1), [[0, 0, 0, 0, -1]]])
    kind = DetectionHead(DetectionHead.resolve(asked(yolov8), outputs(yolov8)))
    output = outputs(yolov8)[3]

    assert kind.correct(output, labels) is True
    assert kind.correct(output, labels[1:]) is False
    assert kind.correct(output, np.add(labels, [0, 0, 0, 0, 1])) is False
    assert kind.correct(output, 3) is None, "what is no box says nothing"
    with pytest.raises(ContractError, match="-1 where a window has fewer"):
        kind.correct(output, labels + 0.5)


def test_a_head_with_labels_of_boxes_is_found_as_well() -> None:
    labels = np.zeros((WINDOWS, 2, 5))

    assert resolve_kind(Output(), outputs(yolov8), labels).kind == "detection_head"
    assert resolve_kind(Output(), outputs(yolov8), np.zeros((WINDOWS, 9))).kind == "regression"
