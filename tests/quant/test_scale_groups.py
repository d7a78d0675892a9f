import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent.quant.scale_groups import ChannelScales, ScaleGroup, judged_parts

RANDOM = np.random.default_rng(0)


def groups(*outputs: NDArray[np.generic]) -> list[ScaleGroup]:
    scales = ChannelScales()
    for output in outputs:
        scales.add(output)
    return list(scales.groups)


def head(boxes: float = 300.0, classes: int = 8, anchors: int = 50) -> NDArray[np.float64]:
    """Boxes in pixels beside scores in [0, 1], ``[4 + classes, anchors]``."""
    scores = RANDOM.uniform(0, 1, (classes, anchors)) ** 8
    return np.vstack([RANDOM.uniform(5, boxes, (4, anchors)), scores])


def test_boxes_in_pixels_and_scores_are_two_groups() -> None:
    found = groups(head(), head())

    assert [(group.axis, group.name, group.judged) for group in found] == [(-2, "0-3", True), (-2, "4-11", True)]
    assert found[0].peak > 100
    assert found[1].peak <= 1


def test_scores_that_are_never_high_are_no_group_of_their_own() -> None:
    quiet = head()
    quiet[6:] *= 1e-3

    assert [group.name for group in groups(quiet)] == ["0-3", "4-11"]


@pytest.mark.parametrize(
    "output",
    [
        RANDOM.normal(size=128),
        RANDOM.normal(size=(16, 16)),
        np.exp(-np.linspace(0, 12, 200)) * RANDOM.normal(1, 0.1, 200),  # a spectrum falls without a gap
        RANDOM.uniform(0, 1, (80, 100)) ** 6,
        np.geomspace(400, 0.05, 129) * RANDOM.uniform(0.5, 1, 129),
        np.abs(RANDOM.normal(0, 1, (512,))) * RANDOM.uniform(0.2, 30, 512),
        np.array([3.0]),
    ],
    ids=["vector", "map", "spectrum", "scores alone", "power spectrum", "features", "one number"],
)
def test_what_has_one_scale_is_one(output: NDArray[np.generic]) -> None:
    assert groups(output, output * 1.1) == []


def test_numbers_of_different_units_are_groups() -> None:
    seen = [
        np.array([age, share, pressure])
        for age, share, pressure in RANDOM.uniform((20, -1, 9e4), (60, 1, 11e4), (9, 3))
    ]

    assert [group.name for group in groups(*seen)] == ["2", "0", "1"]


def test_what_never_moves_or_is_nothing_is_named_and_not_judged() -> None:
    seen = [
        np.stack([RANDOM.normal(0, 50, 9), np.full(9, 7.0), RANDOM.normal(0, 1, 9), RANDOM.normal(0, 1e-9, 9)])
        for _ in range(5)
    ]

    found = {group.name: group.why_not for group in groups(*seen)}

    assert found == {"0": "", "2": "", "1": "constant", "3": "zero"}


def test_what_moves_by_its_rounding_is_constant() -> None:
    seen = [np.concatenate([RANDOM.normal(0, 1, 6), 5 + RANDOM.normal(0, 1e-6, 2)]).astype(np.float32) for _ in "abcde"]

    assert [(group.name, group.why_not) for group in groups(*seen)] == [("0-5", ""), ("6-7", "constant")]


def test_what_is_not_judged_by_itself_is_beside_all_others() -> None:
    seen = [np.concatenate([RANDOM.normal(0, 1, 6), [5.0, 5.0]]) for _ in range(9)]
    towering = [np.concatenate([RANDOM.normal(0, 1, 6), [-1e9, -1e9]]) for _ in range(9)]

    parts, beside_tower = judged_parts(groups(*seen)), judged_parts(groups(*towering))

    assert [part.name for part in parts] == ["0-5", "0-7"]
    assert parts[1].rms == pytest.approx(np.sqrt(np.mean(np.square(seen))))
    assert [part.name for part in beside_tower] == ["0-5"]
    assert judged_parts([]) == []


def test_a_few_features_of_many_that_hardly_fire_are_not_judged() -> None:
    features = np.abs(RANDOM.normal(1, 0.3, (20, 256)))
    features[:, 40] *= 1e-3

    found = groups(*features)

    assert [(group.name, group.judged) for group in found[1:]] in ([], [("40", False)])


def test_an_output_whose_shape_changes_is_judged_as_a_whole() -> None:
    assert groups(head(anchors=50), head(anchors=60)) == []


def test_many_places_are_named_shortly() -> None:
    assert ScaleGroup(-1, (0, 2, 4, 6, 8, 9), 1.0, 1.0).name == "0, 2, 4, 6 in all"


def test_a_constant_that_would_hide_all_others_leaves_them_to_be_judged() -> None:
    masked = [np.concatenate([[-1e9, -1e9], RANDOM.normal(0, 5, 20)]) for _ in range(9)]

    assert [(group.name, group.judged) for group in groups(*masked)] == [("2-21", True), ("0-1", False)]


def test_a_few_signed_numbers_beside_many_are_judged() -> None:
    seen = [np.concatenate([RANDOM.normal(0, 8, 128), RANDOM.normal(0, 0.1, 4)]) for _ in range(9)]

    assert [(group.name, group.judged) for group in groups(*seen)] == [("0-127", True), ("128-131", True)]
