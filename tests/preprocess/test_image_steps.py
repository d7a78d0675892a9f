"""resize, letterbox, center_crop and color against Pillow and onnxruntime, on pictures made here."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper
from PIL import Image
from support import onnx_models

from edge_agent.errors import EdgeAgentError
from edge_agent.preprocess import Preprocess
from edge_agent.wire.manifest import InputContract
from edge_agent.wire.steps import read_steps, shape_after
from edge_agent.wire.steps.images import Letterbox

Floats = NDArray[np.float32]
SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))


def prepare(*steps: dict[str, Any]) -> Preprocess:
    return Preprocess(InputContract(steps=list(steps)))


def picture(height: int, width: int, planes: int = 3) -> Floats:
    """Bytes as floats ``[height, width, planes]``: a slope, stripes, an edge and noise."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(height * 100 + width).integers(0, 60, (height, width, planes))
    base = 90 + 60 * np.sin(x / 2) + 40 * (y > height / 2)
    return np.clip(base[..., None] + noise * np.arange(1, planes + 1), 0, 255).round().astype(np.float32)


def by_pillow(image: Floats, height: int, width: int, method: str) -> Floats:
    """Plane by plane, in floats."""
    kind = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[method]
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(image[..., plane])).resize((width, height), kind))
        for plane in range(image.shape[-1])
    ]
    return np.stack(planes, axis=-1)


def by_onnxruntime(image: Floats, height: int, width: int, method: str, *, antialias: bool) -> Floats:
    """The Resize of opset 18, half_pixel."""
    import onnxruntime  # noqa: PLC0415  # slow, and only here

    options: dict[str, Any] = {"mode": {"bilinear": "linear", "bicubic": "cubic"}[method]}
    options |= {"coordinate_transformation_mode": "half_pixel", "antialias": int(antialias)}
    options |= {"cubic_coeff_a": -0.75, "axes": [0, 1]}
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **options)
    sizes = np.array([height, width], np.int64)
    model = onnx_models.model(
        [node], [onnx_models.value("x", ["h", "w"])], [onnx_models.value("y", [height, width])],
        {"sizes": sizes}, opset=18,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {"x": image[..., plane]})[0] for plane in range(image.shape[-1])], axis=-1)


@given(given_size=SIZES, wanted=SIZES, method=st.sampled_from(["bilinear", "bicubic"]))
@settings(deadline=None, max_examples=80)
def test_with_antialias_it_is_pillows(given_size: tuple[int, int], wanted: tuple[int, int], method: str) -> None:
    image = picture(*given_size)

    resized = prepare({"op": "resize", "height": wanted[0], "width": wanted[1], "method": method})(image)

    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, by_pillow(image, *wanted, method), atol=2e-3)


def test_of_bytes_it_is_pillows_within_its_rounding() -> None:
    image = picture(120, 160)
    wanted = Image.fromarray(image.astype(np.uint8)).resize((96, 96), Image.Resampling.BILINEAR)

    resized = prepare({"op": "resize", "height": 96, "width": 96})(image)

    assert np.abs(resized - np.asarray(wanted, np.float32)).max() < 1.01


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("given_size", "wanted"), [((12, 17), (30, 41)), ((64, 48), (20, 33)), ((9, 9), (9, 18))])
def test_without_antialias_it_is_onnxruntimes(
    given_size: tuple[int, int], wanted: tuple[int, int], method: str
) -> None:
    image = picture(*given_size)
    step = {"op": "resize", "height": wanted[0], "width": wanted[1], "method": method, "antialias": False}

    resized = prepare(step)(image)

    # onnxruntime works its coordinates out in float32
    np.testing.assert_allclose(resized, by_onnxruntime(image, *wanted, method, antialias=False), atol=5e-2)


@given(given_size=SIZES, wanted=SIZES, antialias=st.booleans(), method=st.sampled_from(["bilinear", "bicubic"]))
@settings(deadline=None, max_examples=60)
def test_what_has_one_colour_keeps_it(
    given_size: tuple[int, int], wanted: tuple[int, int], antialias: bool, method: str  # noqa: FBT001  # hypothesis
) -> None:  # fmt: skip
    image = np.full((*given_size, 1), 200, np.float32)
    step = {"op": "resize", "height": wanted[0], "width": wanted[1], "antialias": antialias, "method": method}

    np.testing.assert_allclose(prepare(step)(image), 200, rtol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "wanted"), [(120, 160, (60, 80)), (160, 120, (80, 60)), (50, 75, (60, 90))]
)
def test_the_shorter_side(height: int, width: int, wanted: tuple[int, int]) -> None:
    image = picture(height, width)

    resized = prepare({"op": "resize", "shorter": 60})(image)

    assert resized.shape == (*wanted, 3)
    np.testing.assert_allclose(resized, by_pillow(image, *wanted, "bilinear"), atol=2e-3)


def test_the_middle() -> None:
    image = picture(10, 13)

    assert np.array_equal(prepare({"op": "center_crop", "height": 4, "width": 3})(image), image[3:7, 5:8])
    assert np.array_equal(prepare({"op": "center_crop", "height": 10, "width": 13})(image), image)


def boxed_plainly(image: Floats, height: int, width: int, fill: float) -> Floats:
    """Pixel by pixel, as the exporters' arithmetic has it: what is around the picture is ``fill``."""
    ratio = min(height / image.shape[0], width / image.shape[1])
    high, wide = max(1, round(image.shape[0] * ratio)), max(1, round(image.shape[1] * ratio))
    top, left = round((height - high) / 2 - 0.1), round((width - wide) / 2 - 0.1)
    bottom, right = round((height - high) / 2 + 0.1), round((width - wide) / 2 + 0.1)
    boxed = np.full((height, width, image.shape[2]), fill, np.float32)
    for y in range(high):
        for x in range(wide):
            boxed[top + y, left + x] = bilinear(
                image, (y + 0.5) * image.shape[0] / high - 0.5, (x + 0.5) * image.shape[1] / wide - 0.5
            )
    assert (top + high + bottom, left + wide + right) == (height, width)
    return boxed


def bilinear(image: Floats, y: float, x: float) -> Any:
    """Of the four pixels around a place, those beyond the edge being the edge's."""
    y, x = min(max(y, 0.0), image.shape[0] - 1.0), min(max(x, 0.0), image.shape[1] - 1.0)
    row, column = int(y), int(x)
    below, right = min(row + 1, image.shape[0] - 1), min(column + 1, image.shape[1] - 1)
    upper = image[row, column] * (1 - x + column) + image[row, right] * (x - column)
    lower = image[below, column] * (1 - x + column) + image[below, right] * (x - column)
    return upper * (1 - y + row) + lower * (y - row)


@given(given_size=SIZES, wanted=st.tuples(st.integers(1, 40), st.integers(1, 40)))
@settings(deadline=None, max_examples=40)
def test_a_letterbox_is_the_whole_picture_with_a_constant_around(
    given_size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    image = picture(*given_size)

    boxed = prepare({"op": "letterbox", "size": list(wanted), "fill": 7})(image)

    assert boxed.dtype == np.float32
    np.testing.assert_allclose(boxed, boxed_plainly(image, *wanted, 7), atol=2e-3)


def test_a_letterbox_is_where_the_exporters_have_it() -> None:
    """Numbers of a public report on their rounding: 3775 x 1571 into 1280 is 533 high, 373 from the top."""
    step = Letterbox(size=(1280, 1280))

    assert step.place(1571, 3775) == (533, 1280, 373, 0)
    assert step.place(720, 1280) == (720, 1280, 280, 0)
    assert step.place(1280, 1275) == (1280, 1275, 0, 2), "of a rest of five the larger half is to the right"
    assert step.place(1, 8192) == (1, 1280, 639, 0)
    assert Letterbox(size=(640, 640), center=False).place(480, 640) == (480, 640, 0, 0)


def test_a_window_of_frames_is_boxed_in_gray() -> None:
    images = np.stack([picture(24, 32), 255 - picture(24, 32)]).astype(np.uint8)

    boxed = prepare({"op": "letterbox", "size": [16, 16]}, {"op": "scale", "factor": 1 / 255})(images)

    assert boxed.shape == (2, 16, 16, 3)
    assert np.allclose(boxed[:, [0, 1, 14, 15]], 114 / 255)
    assert np.allclose(boxed[1, 2:14], boxed_plainly(images[1].astype(np.float32), 16, 16, 114)[2:14] / 255, atol=1e-4)


def test_colours() -> None:
    image = picture(6, 5)
    gray = np.asarray(Image.fromarray(image.astype(np.uint8)).convert("L"), np.float32)

    swapped = prepare({"op": "color", "from": "rgb", "to": "bgr"})(image)
    of_rgb = prepare({"op": "color", "from": "rgb", "to": "gray"})(image)

    assert np.array_equal(swapped, image[..., ::-1])
    assert of_rgb.shape == (6, 5, 1)
    assert np.abs(of_rgb[..., 0] - gray).max() <= 0.5 + 1e-3  # Pillow's is rounded
    assert np.allclose(prepare({"op": "color", "from": "bgr", "to": "gray"})(swapped), of_rgb)
    assert np.array_equal(prepare({"op": "color", "from": "gray", "to": "rgb"})(of_rgb), np.repeat(of_rgb, 3, axis=-1))
    assert np.array_equal(prepare({"op": "color", "from": "bgr", "to": "bgr"})(image), image)


def test_a_frames_whole_way() -> None:
    """A window of one picture, as a camera gives it, becomes what a classifier of pictures wants."""
    image = picture(120, 160)
    steps = [
        {"op": "color", "from": "bgr", "to": "rgb"},
        {"op": "resize", "shorter": 72},
        {"op": "center_crop", "height": 64, "width": 64},
        {"op": "scale", "factor": 1 / 255},
        {"op": "standardize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        {"op": "transpose", "axes": [0, 3, 1, 2]},
    ]

    tensor = prepare(*steps)(image.astype(np.uint8)[None])

    rgb = by_pillow(image[..., ::-1], 72, 96, "bilinear")[4:68, 16:80] / 255
    wanted = ((rgb - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)
    assert shape_after(read_steps(InputContract(steps=steps)), (1, 120, 160, 3)) == tensor.shape == (1, 3, 64, 64)
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor[0], wanted, atol=1e-4)


def test_several_pictures_are_each_done_alone() -> None:
    images = np.stack([picture(30, 40), 255 - picture(30, 40)])
    steps = prepare(
        {"op": "resize", "height": 17, "width": 50, "antialias": False},
        {"op": "center_crop", "height": 9, "width": 20},
        {"op": "color", "from": "rgb", "to": "gray"},
    )

    assert np.array_equal(steps(images), np.stack([steps(image) for image in images]))
    plane = prepare({"op": "resize", "height": 17, "width": 50}, {"op": "center_crop", "height": 9, "width": 20})
    assert np.array_equal(plane(images[0, ..., 0]), plane(images[0])[..., 0])


@pytest.mark.parametrize(
    ("step", "code", "says"),
    [
        ({"op": "resize", "height": 4}, "recipe_unsupported", "give height and width, or shorter"),
        ({"op": "resize", "height": 4, "width": 4, "shorter": 4}, "recipe_unsupported", "or shorter"),
        ({"op": "resize", "height": 0, "width": 4}, "recipe_unsupported", ">= 1"),
        ({"op": "resize", "heigth": 4, "width": 4}, "recipe_unsupported", "did you mean 'height'?"),
        ({"op": "resize", "shorter": 4, "method": "lanczos"}, "recipe_unsupported", "lanczos"),
        ({"op": "center_crop", "height": 11, "width": 5}, "shape_mismatch", "10x13 is smaller than 11x5; resize it"),
        ({"op": "letterbox"}, "recipe_unsupported", "size is missing"),
        ({"op": "letterbox", "size": [0, 5]}, "recipe_unsupported", ">= 1"),
        ({"op": "color", "from": "rgb", "to": "hsv"}, "recipe_unsupported", "hsv"),
        ({"op": "color", "to": "rgb"}, "recipe_unsupported", "from is missing"),
        ({"op": "color", "from": "gray", "to": "rgb"}, "shape_mismatch", "[height, width, 1]"),
        ({"op": "centre_crop", "height": 1, "width": 5}, "recipe_unsupported", "did you mean 'center_crop'?"),
    ],
)
def test_what_cannot_be_done_is_said(step: dict[str, Any], code: str, says: str) -> None:
    with pytest.raises(EdgeAgentError) as error:
        prepare(step)(picture(10, 13))

    assert error.value.code == code
    assert says in error.value.message


def test_a_row_of_values_is_no_picture() -> None:
    with pytest.raises(EdgeAgentError, match="reshape the window first"):
        prepare({"op": "resize", "shorter": 4})(np.zeros(12, np.float32))
