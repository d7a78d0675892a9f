"""The inputs and outputs of a model, as values."""

from dataclasses import dataclass, replace

Shape = tuple[int | None, ...]
"""Sizes of the axes; None: it may change."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output; ``shape`` None: the file does not say."""

    name: str
    shape: Shape | None
    dtype: str
    """As numpy calls it; empty: unknown here."""
    operator: str = ""
    """By ONNX's names: of an input the first operator that computes with it, of an output the last one that computed
    it. Operators that only move values are passed over. Empty: unknown here."""


@dataclass(frozen=True, slots=True)
class ModelTensors:
    """A model from outside, in the file's order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def alone(self, name: str) -> "ModelTensors":
        """The same with the one output of that ``name``; with all if it has none such."""
        return replace(self, outputs=tuple(one for one in self.outputs if one.name == name) or self.outputs)
