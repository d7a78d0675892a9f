"""Steps for every kind of data. Pure.

{ op = "standardize", mean = [0, 0, 9.8], std = [2, 2, 2] }   # (x - mean) / std along the last axis
{ op = "scale", factor = 0.5, offset = 1.0 }                  # x * factor + offset
{ op = "clip", low = -4, high = 4 }
{ op = "transpose", axes = [1, 0] }
{ op = "reshape", shape = [3, -1] }
{ op = "cast", dtype = "int16" }                              # nearest integer, clipped to the type's range
"""

from math import prod
from typing import Annotated, Literal

import msgspec

from edge_agent.strict import counted
from edge_agent.wire.steps.step import Finite, Positive, Shape, Step

Axis = Annotated[int, msgspec.Meta(ge=0, le=31)]
Size = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]


class Standardize(Step, frozen=True, kw_only=True):
    """Zero mean and unit deviation in each channel."""

    mean: Annotated[list[Finite], msgspec.Meta(min_length=1)]
    std: Annotated[list[Positive], msgspec.Meta(min_length=1)]

    def shape(self, given: Shape) -> Shape:
        """Return ``given``; raise ``ValueError`` unless there is one value, or one per channel."""
        channels = given[-1] if given else 1
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise ValueError(f"{len(values)} values of {name} for {counted(channels, 'channel')}")
        return given


class Scale(Step, frozen=True, kw_only=True):
    """One factor and one offset for all values."""

    factor: Finite
    offset: Finite = 0.0


class Clip(Step, frozen=True, kw_only=True):
    """A lower and an upper limit for all values."""

    low: Finite
    high: Finite

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} is not below high = {self.high:g}")


class Transpose(Step, frozen=True, kw_only=True):
    """Another order of the axes: axis ``i`` of the result is axis ``axes[i]`` of the input."""

    axes: list[Axis]

    def __post_init__(self) -> None:
        if sorted(self.axes) != list(range(len(self.axes))):
            raise ValueError(f"axes = {self.axes} does not name each axis once, from 0 up")

    def shape(self, given: Shape) -> Shape:
        """Return the sizes in the new order; raise ``ValueError`` for another number of axes."""
        if len(self.axes) != len(given):
            raise ValueError(f"axes = {self.axes} lists {len(self.axes)} axes; the tensor has {len(given)}")
        return tuple(given[axis] for axis in self.axes)


class Reshape(Step, frozen=True, kw_only=True):
    """Another shape of the same values, row-major; one size may be -1."""

    sizes: list[Size] = msgspec.field(name="shape")

    def __post_init__(self) -> None:
        if self.sizes.count(-1) > 1 or 0 in self.sizes:
            raise ValueError(f"shape = {self.sizes} has a size of 0, or more than one -1")

    def shape(self, given: Shape) -> Shape:
        """Return the new shape; raise ``ValueError`` if the number of values differs."""
        known, values = prod(size for size in self.sizes if size != -1), prod(given)
        free = -1 in self.sizes
        if values % known or (not free and values != known):
            raise ValueError(f"its {counted(values, 'value')} cannot become {self.sizes}; correct shape or window")
        return tuple(values // known if size == -1 else size for size in self.sizes)


class Cast(Step, frozen=True, kw_only=True):
    """Another number type: floats unchanged; integers rounded to the nearest and clipped to the type's range."""

    dtype: Literal["int8", "uint8", "int16", "uint16", "int32", "int64", "float32", "float64"]
