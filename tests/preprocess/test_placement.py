"""Boxes put back into the frame: what a step does to a place, undone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.preprocess import Preprocess
from edge_agent.preprocess.placement import placement
from edge_agent.wire.manifest import InputContract

FRAME = (60, 80)
LAST: list[dict[str, Any]] = [{"op": "scale", "factor": 1 / 255}, {"op": "transpose", "axes": [0, 3, 1, 2]}]
GEOMETRY = st.lists(
    st.sampled_from(
        [
            {"op": "letterbox", "size": [96, 96], "fill": 0},
            {"op": "letterbox", "size": [128, 77], "center": False, "fill": 0},
            {"op": "resize", "height": 50, "width": 90},
            {"op": "resize", "shorter": 64},
            {"op": "center_crop", "height": 37, "width": 44},
        ]
    ),
    max_size=3,
)


@given(GEOMETRY)
@settings(deadline=None, max_examples=40)
def test_a_bright_patch_is_where_the_placement_has_it(steps: list[dict[str, Any]]) -> None:
    contract = InputContract(frame=FRAME, steps=[*steps, *LAST])
    frame = np.zeros((1, *FRAME, 3), np.uint8)
    frame[:, 24:36, 32:48] = 255
    picture = Preprocess(InputContract(steps=[*steps, *LAST[:1]]))(frame)[0, :, :, 0]
    placed = placement(contract)
    assert placed is not None
    assert placed.picture == picture.shape[::-1]

    weights, total = picture, picture.sum()
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    centre = np.array([(weights * x).sum() / total, (weights * y).sum() / total])
    half = np.sqrt([(weights * (x - centre[0]) ** 2).sum(), (weights * (y - centre[1]) ** 2).sum()] / total * 3)
    corners = np.concatenate([centre - half, centre + half])[None]

    np.testing.assert_allclose(placed.to_frame(corners, fractions=False), [[32, 24, 48, 36]], atol=1.5)
    shares = corners / np.tile(placed.picture, 2)
    np.testing.assert_allclose(placed.to_frame(shares, fractions=True), [[32, 24, 48, 36]], atol=1.5)


def test_a_box_beyond_the_frame_ends_at_it() -> None:
    placed = placement(InputContract(frame=FRAME, steps=[{"op": "letterbox", "size": [96, 96]}, *LAST]))

    assert placed is not None
    assert placed.to_frame(np.array([[-9.0, 0, 96, 96]]), fractions=False).tolist() == [[0, 0, 80, 60]]


@pytest.mark.parametrize(
    "contract", [InputContract(steps=LAST[:1]), InputContract(frame=FRAME, steps=[{"op": "reshape", "shape": [-1]}])]
)
def test_what_is_no_frame_has_no_place(contract: InputContract) -> None:
    assert placement(contract) is None
