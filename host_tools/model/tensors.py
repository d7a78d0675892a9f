"""The inputs and outputs of a model, as values."""

from dataclasses import dataclass

Shape = tuple[int | None, ...]
"""Sizes of the axes; None: it may change."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output; ``shape`` None: the file does not say."""

    name: str
    shape: Shape | None
    dtype: str
    """As numpy calls it; empty: unknown here."""


@dataclass(frozen=True, slots=True)
class ModelTensors:
    """A model from outside, in the file's order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
