"""The inputs and outputs of a model, as values."""

from dataclasses import dataclass, replace

Shape = tuple[int | None, ...]
"""Sizes of the axes; None: variable."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output; ``shape`` None: not in the file."""

    name: str
    shape: Shape | None
    dtype: str
    """Numpy's name of the type; empty: unknown here."""
    operator: str = ""
    """ONNX's name of the first operator that computes with an input, or of the last one that computed an output.
    Operators that only move values are passed over. Empty: unknown here."""


@dataclass(frozen=True, slots=True)
class ModelTensors:
    """The inputs and outputs of a model, in the file's order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def alone(self, name: str) -> "ModelTensors":
        """A copy with only the output of that ``name``; with all outputs if there is none."""
        return replace(self, outputs=tuple(one for one in self.outputs if one.name == name) or self.outputs)
