"""Finds the operators at the ends of a graph in one pass over its nodes. Pure."""

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
"""A tensor's key in the format: a name or a number."""

_MOVES_ONLY = frozenset(
    {"Cast", "Dequantize", "ExpandDims", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
_MOST_STEPS = 64


class Wiring(Generic[Key]):
    """The operators around tensors."""

    def __init__(self) -> None:
        self._made_by: dict[Key, tuple[str, Key | None]] = {}
        self._taken_by: dict[Key, tuple[str, Key | None]] = {}

    def add(self, operator: str, inputs: Sequence[Key], outputs: Sequence[Key]) -> None:
        """Add a node."""
        for tensor in outputs:
            self._made_by.setdefault(tensor, (operator, inputs[0] if inputs else None))
        for tensor in inputs:
            self._taken_by.setdefault(tensor, (operator, outputs[0] if outputs else None))

    def maker(self, tensor: Key) -> str:
        """The operator that computed a tensor; empty: none."""
        return _follow(self._made_by, tensor)

    def taker(self, tensor: Key) -> str:
        """The first operator that computes with a tensor; empty: none."""
        return _follow(self._taken_by, tensor)


def _follow(edges: dict[Key, tuple[str, Key | None]], tensor: Key) -> str:
    at: Key | None = tensor
    for _ in range(_MOST_STEPS):  # a damaged file may have a circle
        if at is None or at not in edges:
            return ""
        operator, at = edges[at]
        if operator not in _MOVES_ONLY:
            return operator
    return ""
