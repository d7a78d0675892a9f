"""What float's outputs tell of a layout where they could be taken for another."""

from typing import Any

import msgspec
import numpy as np
import pytest
from support.detection_heads import (
    CLASSES,
    Floats,
    background,
    centernet,
    cxcywh,
    logit,
    scene,
    ssd,
    ssd_logits,
    yolov5,
    yolov8,
)

from edge_agent.contract.joined_head import join
from edge_agent.errors import ContractError
from edge_agent.quant.detection.recognition import recognised
from edge_agent.quant.kinds.detection_head import DetectionHead, detections
from edge_agent.wire.detection_head import Head
from edge_agent.wire.manifest import Output

WINDOWS = 12
SEPARATE = Output(kind="detection_head", boxes="boxes", scores="scores")


def outputs(head: Any) -> list[Floats]:
    random = np.random.default_rng(1)
    return [head(random, scene(random, number % 4)) for number in range(WINDOWS)]


def rows(made: list[Floats]) -> list[Floats]:
    """Candidates as rows, as a converter turns them."""
    return [one.swapaxes(1, 2) for one in made]


def test_rows_of_several_classes_have_no_objectness() -> None:
    """Their first class must not be taken for it: every other class would be lost."""
    assert recognised(rows(outputs(yolov8))) == "yolov8_rows"
    assert recognised(outputs(yolov5)) == "yolov5"
    without_first = [one.copy() for one in rows(outputs(yolov8))]
    for one in without_first:
        one[..., 4] *= 0.01
    assert recognised(without_first) == "yolov8_rows"


def test_an_objectness_that_is_always_1_is_one() -> None:
    """As YOLOv6 writes it."""
    made = rows(outputs(yolov8))
    assert recognised([np.insert(one, 4, 1.0, axis=2) for one in made]) == "yolov5"


def test_an_objectness_that_is_never_high_is_one_where_classes_are_high_as_it_comes() -> None:
    quiet = [one.copy() for one in outputs(yolov5)]
    for one in quiet:
        one[..., 4] *= 0.2

    assert recognised(quiet) == "yolov5"


@pytest.mark.parametrize(("head", "layout"), [(yolov8, "yolov8_rows"), (yolov8, "yolov5"), (yolov5, "yolov8")])
def test_a_layout_that_lies_the_other_way_is_refused(head: Any, layout: Any) -> None:
    with pytest.raises(ContractError, match=f"has the layout {head.__name__}, not {layout}") as error:
        DetectionHead.resolve(Output(kind="detection_head", head=Head(layout=layout)), outputs(head))
    assert error.value.code == "shape_mismatch"


def test_six_columns_without_classes_are_no_end_to_end_head() -> None:
    made = [np.random.default_rng(0).uniform(0, 1, (1, 50, 6)) for _ in range(4)]

    with pytest.raises(ContractError, match="no end_to_end head"):
        DetectionHead.resolve(Output(kind="detection_head", head=Head(layout="end_to_end")), made)


def test_objectness_or_not_is_believed_as_it_is_said() -> None:
    said = Output(kind="detection_head", head=Head(layout="yolov8_rows"))
    meaning = DetectionHead.resolve(said, outputs(yolov5))

    assert meaning.head
    assert meaning.head.layout == "yolov8_rows"


@pytest.mark.parametrize(("columns", "scale"), [(32, 1.0), (51, 200.0)], ids=["masks", "keypoints"])
@pytest.mark.parametrize("turned", [False, True])
def test_what_stands_behind_the_scores_is_not_taken_for_classes(columns: int, scale: float, *, turned: bool) -> None:
    random = np.random.default_rng(0)
    made = [
        np.concatenate([one, random.normal(0, scale, (1, columns, one.shape[2]))], axis=1) for one in outputs(yolov8)
    ]
    made = rows(made) if turned else made
    output = Output(kind="detection_head", head=Head(layout="yolov8_rows" if turned else "yolov8"))

    with pytest.raises(ContractError, match=f"3 columns behind the boxes .* {columns} more") as error:
        DetectionHead.resolve(output, made)
    assert error.value.code == "shape_mismatch"
    assert recognised(made) == ""


@pytest.mark.parametrize(
    ("offsets", "why"),
    [
        (lambda random: random.normal(0, 1, (896, 4)), "have a side below 0"),
        (
            lambda random: np.hstack([random.normal(0, 5, (896, 2)), random.uniform(20, 90, (896, 2))]),
            "lie on one heap",
        ),
        (lambda random: random.normal([0.5, 0.5, 1.5, 1.5], [0.3, 0.3, 0.4, 0.4], (896, 4)), "lie on one heap"),
    ],
    ids=["encoded", "in pixels", "in cells"],
)
def test_offsets_from_anchors_are_no_boxes(offsets: Any, why: str) -> None:
    """As of an SSD that is exported without its anchors."""
    random = np.random.default_rng(0)
    made = [join(offsets(random)[None], logit(random.uniform(0, 0.9, (1, 896, 1)))) for _ in range(WINDOWS)]

    with pytest.raises(ContractError, match=why) as error:
        DetectionHead.resolve(SEPARATE, made)
    assert error.value.code == "shape_mismatch"
    assert "export it with its decoding" in error.value.message
    said = msgspec.structs.replace(SEPARATE, head=Head(box_format="cxcywh"))
    assert DetectionHead.resolve(said, made).head, "what is said is believed"


@pytest.mark.parametrize("head", [ssd, ssd_logits], ids=lambda head: head.__name__)
def test_the_background_is_found_at_either_end(head: Any) -> None:
    first = outputs(head)
    last = [np.hstack([one[:, :4], np.roll(one[:, 4:], -1, axis=1)]) for one in first]

    found, turned = (DetectionHead.resolve(SEPARATE, made) for made in (first, last))

    assert found.head
    assert turned.head
    assert (found.head.background, turned.head.background) == ("first", "last")
    for one, other in zip(first, last, strict=True):
        np.testing.assert_allclose(detections(one, found), detections(other, turned))


def test_the_commonest_class_of_sigmoids_is_no_background() -> None:
    """Where most candidates show nothing, one class is still the least unlikely nearly everywhere."""
    random = np.random.default_rng(0)
    made, seen = [], []
    for number in range(WINDOWS):
        found = scene(random, number % 4)
        boxes, scores = background(random)
        scores = np.full_like(scores, 0.002)
        scores[:, 0] = 0.01
        places = random.choice(len(boxes), len(found), replace=False)
        boxes[places] = cxcywh(found)
        scores[places, found[:, 5].astype(int)] = found[:, 4]
        corners = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])
        made.append(join(corners[None], logit(scores)[None]))
        seen.append(found)

    meaning = DetectionHead.resolve(SEPARATE, made)

    assert meaning.head
    assert (meaning.head.activation, meaning.head.background) == ("sigmoid", "none")
    assert [detections(one, meaning)[:, 5].tolist() for one in made] == [found[:, 5].tolist() for found in seen]


def test_scores_of_one_row_a_class_are_turned_and_not_mixed_up() -> None:
    boxes, scores = background(np.random.default_rng(0), count=40)

    np.testing.assert_array_equal(join(boxes[None], scores.T[None]), join(boxes[None], scores[None]))
    np.testing.assert_array_equal(join(boxes, scores[:, 0]), join(boxes, scores[:, :1]))
    np.testing.assert_array_equal(join(boxes[None], scores[None, :, 0]), join(boxes, scores[:, :1]))
    with pytest.raises(ContractError, match="neither"):
        join(boxes, np.zeros((20, 2 * CLASSES)))


def test_of_equal_neighbours_in_a_map_one_counts() -> None:
    """In int8 a peak often has a neighbour of the same value."""
    random = np.random.default_rng(0)
    found = scene(random, 3)
    exact = centernet(random, found)
    output = Output(kind="detection_head", boxes="size", scores="heat", head=Head(offset="offset"))
    meaning = DetectionHead.resolve(output, [exact])
    flat = exact.copy()
    for number, row, column in zip(*np.nonzero(exact[:CLASSES] > 0.58), strict=True):
        flat[number, row, column + 1] = flat[number, row + 1, column] = exact[number, row, column]

    assert len(detections(exact, meaning)) == len(detections(flat, meaning)) == len(found)
    np.testing.assert_allclose(detections(flat, meaning)[:, 4], found[:, 4], atol=1e-3)
