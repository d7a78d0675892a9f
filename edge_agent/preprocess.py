"""The input contract's steps: a raw window ``[size, channels]`` of float32 becomes the model's tensor. Pure.

Capture, validation and serving all go through here, so a model sees in use what it was judged on. A step works on the
tensor as the step before left it; the batch axis is not the steps' business.

    steps = [
        { op = "standardize", mean = [0, 0, 9.8], std = [2, 2, 2] },   # (x - mean) / std along the last axis
        { op = "scale", factor = 0.5, offset = 1.0 },                  # x * factor + offset
        { op = "clip", low = -4, high = 4 },
        { op = "transpose", axes = [1, 0] },
        { op = "reshape", shape = [3, -1] },
        { op = "cast", dtype = "int16" },                              # nearest integer, kept within the type
    ]
"""

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError, RecipeError
from edge_agent.suggest import did_you_mean
from edge_agent.wire.manifest import InputContract

Array = NDArray[Any]
Finite = Annotated[float, msgspec.Meta(ge=-3.4e38, le=3.4e38)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=3.4e38)]
Integer = Literal["int8", "uint8", "int16", "uint16", "int32", "int64"]


class Standardize(msgspec.Struct, frozen=True):
    """Zero mean and unit deviation in each channel."""

    mean: list[Finite]
    std: list[Positive]

    def __call__(self, x: Array) -> Array:
        """``(x - mean) / std`` along the last axis; one number stands for every channel."""
        for what, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, x.shape[-1]):
                raise ContractError(
                    "shape_mismatch", f"standardize has {len(values)} values of {what} for {x.shape[-1]} channels"
                )
        x = _floating(x)
        standardized: Array = (x - np.asarray(self.mean, x.dtype)) / np.asarray(self.std, x.dtype)
        return standardized


class Scale(msgspec.Struct, frozen=True):
    """One factor and offset for everything."""

    factor: Finite
    offset: Finite = 0.0

    def __call__(self, x: Array) -> Array:
        """``x * factor + offset``."""
        x = _floating(x)
        scaled: Array = x * x.dtype.type(self.factor) + x.dtype.type(self.offset)
        return scaled


class Clip(msgspec.Struct, frozen=True):
    """Limits for every value."""

    low: Finite
    high: Finite

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} is not below high = {self.high:g}")

    def __call__(self, x: Array) -> Array:
        """``min(max(x, low), high)``."""
        x = _floating(x)
        return np.clip(x, x.dtype.type(self.low), x.dtype.type(self.high))


class Transpose(msgspec.Struct, frozen=True):
    """Another order of the axes."""

    axes: list[int]

    def __call__(self, x: Array) -> Array:
        """Axis ``i`` of the result is axis ``axes[i]`` of ``x``."""
        if sorted(self.axes) != list(range(x.ndim)):
            raise ContractError("shape_mismatch", f"transpose has axes {self.axes} for a tensor of {x.ndim} axes")
        return x.transpose(self.axes)


class Reshape(msgspec.Struct, frozen=True):
    """Another shape of the same values, row-major; one size may be -1."""

    shape: list[int]

    def __call__(self, x: Array) -> Array:
        """The values of ``x`` in the new shape."""
        try:
            return x.reshape(self.shape)
        except ValueError:
            raise ContractError(
                "shape_mismatch", f"reshape cannot turn {list(x.shape)} into {self.shape}; correct shape or window"
            ) from None


class Cast(msgspec.Struct, frozen=True):
    """Another number type."""

    dtype: Integer | Literal["float32", "float64"]

    def __call__(self, x: Array) -> Array:
        """Floats as they are; for integers the nearest one, kept within the type's range."""
        target = np.dtype(self.dtype)
        if target.kind == "f":
            return x.astype(target)
        limits = np.iinfo(target)
        # The largest int64 is not a float64; the float below it is the last that fits.
        high = min(float(limits.max), np.nextafter(float(2**63), 0))
        return np.rint(x.astype(np.float64)).clip(limits.min, high).astype(target)


Step = Standardize | Scale | Clip | Transpose | Reshape | Cast
STEPS: dict[str, type[Step]] = {
    "standardize": Standardize,
    "scale": Scale,
    "clip": Clip,
    "transpose": Transpose,
    "reshape": Reshape,
    "cast": Cast,
}


class Preprocess:
    """The steps of one input, ready to use."""

    def __init__(self, contract: InputContract) -> None:
        """Check the steps; raises ``RecipeError`` (recipe_unsupported) for an unknown step, option or value."""
        self._steps = [_step(table) for table in contract.steps]

    def __call__(self, window: Array) -> Array:
        """The tensor of a window ``[size, channels]``, without batch axis, contiguous.

        Raises:
            ContractError: ``shape_mismatch`` if a step does not fit the window.
        """
        tensor = window
        for step in self._steps:
            tensor = step(tensor)
        return np.ascontiguousarray(tensor)


def _floating(x: Array) -> Array:
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _step(table: dict[str, Any]) -> Step:
    name, options = table.get("op"), {key: value for key, value in table.items() if key != "op"}
    if name not in STEPS:
        raise RecipeError("recipe_unsupported", f"[input] steps: unknown op {name!r}; known: {', '.join(STEPS)}")
    kind = STEPS[name]
    known = [field.name for field in msgspec.structs.fields(kind)]
    for key in options:
        if key not in known:
            hint = did_you_mean(key, known)
            raise RecipeError("recipe_unsupported", f"[input] steps: {name} has no option {key!r}{hint}")
    try:
        return msgspec.convert(options, kind)
    except msgspec.ValidationError as error:
        raise RecipeError("recipe_unsupported", f"[input] steps: {name}: {error}") from None
