"""Steps for pictures: tensors ``[..., height, width, channels]`` or ``[height, width]``. Pure.

    { op = "resize", height = 96, width = 96 }
    { op = "resize", shorter = 256 }                       # the shorter side; the longer one keeps the ratio
    { op = "resize", height = 96, width = 96, antialias = false, method = "bicubic" }
    { op = "letterbox", size = [640, 640] }                # for detectors: the whole picture, gray around it
    { op = "center_crop", height = 224, width = 224 }
    { op = "color", from = "bgr", to = "rgb" }             # rgb, bgr, gray
    { op = "transpose", axes = [0, 3, 1, 2] }              # HWC → CHW

A window of pictures (``frame = [height, width]`` in the input) is ``[size, height, width, channels]``; mostly size 1.
"""

from typing import Annotated, Literal, NamedTuple

import msgspec

from edge_agent.wire.steps.step import Finite, Shape, Step

Side = Annotated[int, msgspec.Meta(ge=1, le=8192)]
Order = Literal["rgb", "bgr", "gray"]
_PLANE_AXES = 2
_LESS = 0.1
"""Subtracted from half of the remaining pixels before rounding, as exporters do, so that 0.5 is rounded down."""
PLANES: dict[Order, int] = {"rgb": 3, "bgr": 3, "gray": 1}


class Resize(Step, frozen=True, kw_only=True):
    """Another size, resampled: bilinear or bicubic, pixels as squares with their centres at half coordinates.

    With ``antialias`` the kernel widens where the picture shrinks, as in Pillow and torchvision. Without it there are
    two (bilinear) or four (bicubic) taps per side, as in OpenCV and TensorFlow. Results are floats, without rounding.
    """

    height: Side | None = None
    width: Side | None = None
    shorter: Side | None = None
    method: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        if (self.height is None) != (self.width is None) or (self.height is None) == (self.shorter is None):
            raise ValueError("give height and width, or shorter")

    def shape(self, given: Shape) -> Shape:
        """Return the shape with the new height and width; raise ``ValueError`` if ``given`` is no picture."""
        before, (height, width), planes = _picture(given)
        if self.height is not None and self.width is not None:
            return *before, self.height, self.width, *planes
        short, long = sorted((height, width))
        side = self.shorter or short
        other = side * long // short
        size = (side, other) if height <= width else (other, side)
        return *before, *size, *planes


class Placed(NamedTuple):
    """The place of a picture in a :class:`Letterbox`: its size, and the rows above and columns left of it."""

    height: int
    width: int
    top: int
    left: int


class Letterbox(Step, frozen=True, kw_only=True):
    """The whole picture as large as fits, with its ratio kept and a constant around it, as YOLO exporters do it.

    Sides are rounded, half to even. The picture is in the middle; if the remaining pixels are odd, the larger half is
    below or to the right. Without ``center`` it is in the upper left corner. The resampling is bilinear without
    antialias, as in OpenCV, but in floats. ``fill`` is in the picture's units at this step: after a step that divides
    by 255 it is 114/255.
    """

    size: tuple[Side, Side]
    """Height and width."""
    fill: Finite = 114.0
    center: bool = True

    def shape(self, given: Shape) -> Shape:
        """Return the shape with the new height and width; raise ``ValueError`` if ``given`` is no picture."""
        before, _, planes = _picture(given)
        return *before, *self.size, *planes

    def place(self, height: int, width: int) -> Placed:
        """Return the place of a picture of ``height`` x ``width`` pixels."""
        ratio = min(self.size[0] / height, self.size[1] / width)
        high, wide = max(1, round(height * ratio)), max(1, round(width * ratio))
        if not self.center:
            return Placed(high, wide, 0, 0)
        return Placed(high, wide, round((self.size[0] - high) / 2 - _LESS), round((self.size[1] - wide) / 2 - _LESS))


class CenterCrop(Step, frozen=True, kw_only=True):
    """The middle of a picture."""

    height: Side
    width: Side

    def shape(self, given: Shape) -> Shape:
        """Return the shape with the new height and width; raise ``ValueError`` if the picture is smaller."""
        before, (height, width), planes = _picture(given)
        if self.height > height or self.width > width:
            raise ValueError(
                f"a picture of {height}x{width} is smaller than {self.height}x{self.width}; resize it first"
            )
        return *before, self.height, self.width, *planes


class Color(Step, frozen=True, kw_only=True):
    """Another order of colours along the last axis; gray is 0.299 R + 0.587 G + 0.114 B."""

    given: Order = msgspec.field(name="from")
    wanted: Order = msgspec.field(name="to")

    def shape(self, given: Shape) -> Shape:
        """Return the shape with the new last axis; raise ``ValueError`` if the last axis does not match ``from``."""
        planes = PLANES[self.given]
        if len(given) <= _PLANE_AXES or given[-1] != planes:
            raise ValueError(f'from = "{self.given}" needs [height, width, {planes}]')
        return *given[:-1], PLANES[self.wanted]


def plane_axis(axes: int) -> int:
    """Return the index of the height among ``axes`` axes; the next one is the width."""
    return max(0, axes - _PLANE_AXES - 1)


def _picture(given: Shape) -> tuple[Shape, Shape, Shape]:
    """Split a shape into the axes before height and width, those two, and the axes after them."""
    if len(given) < _PLANE_AXES:
        raise ValueError("a picture is [height, width] or [height, width, channels]; reshape the window first")
    first = plane_axis(len(given))
    return given[:first], given[first : first + _PLANE_AXES], given[first + _PLANE_AXES :]
