"""Steps for pictures: tensors ``[height, width]`` or ``[height, width, channels]``. Pure.

    { op = "resize", height = 96, width = 96 }
    { op = "resize", shorter = 256 }                       # the shorter side; the longer one in proportion
    { op = "resize", height = 96, width = 96, antialias = false, method = "bicubic" }
    { op = "center_crop", height = 224, width = 224 }
    { op = "color", from = "bgr", to = "rgb" }             # rgb, bgr, gray
    { op = "transpose", axes = [2, 0, 1] }                 # HWC → CHW

A window of a picture is its pixels row by row, ``[height * width, channels]``: begin with a ``reshape``.
"""

from typing import Annotated, Literal

import msgspec

from edge_agent.wire.steps.step import Shape, Step

Side = Annotated[int, msgspec.Meta(ge=1, le=8192)]
Order = Literal["rgb", "bgr", "gray"]
_AXES = (2, 3)
PLANES: dict[Order, int] = {"rgb": 3, "bgr": 3, "gray": 1}


class Resize(Step, frozen=True, kw_only=True):
    """Another size, resampled: bilinear or bicubic, pixels as squares with their centres at half coordinates.

    With ``antialias`` the kernel widens where the picture shrinks, as in Pillow and torchvision; without it there are
    two (bilinear) or four (bicubic) taps a side, as in OpenCV and TensorFlow. In floats, without rounding.
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
        """The new height and width; raises ``ValueError`` if this is no picture."""
        height, width, *planes = _picture(given)
        if self.height is not None and self.width is not None:
            return self.height, self.width, *planes
        short, long = sorted((height, width))
        side = self.shorter or short
        other = side * long // short
        return (side, other, *planes) if height <= width else (other, side, *planes)


class CenterCrop(Step, frozen=True, kw_only=True):
    """The middle of a picture."""

    height: Side
    width: Side

    def shape(self, given: Shape) -> Shape:
        """The new height and width; raises ``ValueError`` if the picture is smaller."""
        height, width, *planes = _picture(given)
        if self.height > height or self.width > width:
            raise ValueError(f"a picture of {height}x{width} holds no {self.height}x{self.width}; resize it first")
        return self.height, self.width, *planes


class Color(Step, frozen=True, kw_only=True):
    """Another order of colours along the last axis; gray is 0.299 R + 0.587 G + 0.114 B."""

    given: Order = msgspec.field(name="from")
    wanted: Order = msgspec.field(name="to")

    def shape(self, given: Shape) -> Shape:
        """Another last axis; raises ``ValueError`` if that is not what ``from`` says."""
        planes = PLANES[self.given]
        if len(given) != _AXES[-1] or given[-1] != planes:
            raise ValueError(f'from = "{self.given}" is [height, width, {planes}]')
        return *given[:-1], PLANES[self.wanted]


def _picture(given: Shape) -> Shape:
    if len(given) not in _AXES:
        raise ValueError("a picture is [height, width] or [height, width, channels]; reshape the window first")
    return given
