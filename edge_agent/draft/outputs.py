"""Guesses the kind of a model's outputs from their shapes and last operators. Pure."""

from typing import NamedTuple

from edge_agent.draft.states import carried
from edge_agent.model_file.tensors import ModelTensors, Shape, Tensor
from edge_agent.wire.manifest import OutputKind

_MOST_CLASSES = 1000
_CORNERS, _BOX = 4, 6
_CELLS, _FEWEST_CELLS = 21, 336
"""Of strides 8, 16 and 32 in each 32 pixels square, and in the smallest picture that detectors are made for."""
_PROBABILITIES = ("Softmax", "LogSoftmax")
_UNBOUNDED = ("Gemm", "MatMul", "Add")
_NORMALIZED = ("LpNormalization", "L2Normalization")


class KindGuess(NamedTuple):
    """A kind of output.

    Attributes:
        kind: as a manifest calls it.
        why: the reason of the guess.
        sure: whether the reason is good enough to say it to a device, which else finds the kind from its data.
    """

    kind: OutputKind
    why: str
    sure: bool = False


def kind_of(signature: ModelTensors) -> KindGuess | None:
    """The kind that the outputs without carried state suggest, or None."""
    states = set(carried(signature).values())
    outputs = [one for one in signature.outputs if one.name not in states]
    told = [(one, _inner(one.shape)) for one in outputs if one.shape is not None]
    if len(told) > 1:
        corners = any(shape and shape[-1] == _CORNERS for _, shape in told)
        return KindGuess("detection", "several outputs, one with four corners") if corners else None
    if not told:
        return None
    tensor, shape = told[0]
    inputs = [_inner(one.shape or ()) for one in signature.inputs]
    return _of_one(tensor, shape, inputs)


def _of_one(tensor: Tensor, shape: Shape, inputs: list[Shape]) -> KindGuess | None:
    probable = tensor.operator in _PROBABILITIES
    match shape:
        case same if len(same) > 1 and same in inputs:
            return KindGuess("raw", "the shape of an input")
        case () | (1,):
            return _single(tensor.operator)
        case (int(count),) if tensor.operator in _NORMALIZED:
            return KindGuess("embedding", f"a vector of {count} values of length 1", sure=True)
        case (int(count),) if probable:
            return KindGuess("classes", f"{count} values from a {tensor.operator}", sure=True)
        case (int(count),) if count <= _MOST_CLASSES:
            several = "several yes-or-no answers" if tensor.operator == "Sigmoid" else "regression"
            return KindGuess("classes", f"{count} values: or {several}, or embedding")
        case (int(count),):
            return KindGuess("embedding", f"a long vector of {count} values")
        case (int(rows), int(columns)) if _is_head(rows, columns):
            return KindGuess(
                "detection_head", "cells of the strides 8, 16 and 32, each with a box and scores", sure=True
            )
        case (_, int(last)) if last == _BOX:
            return KindGuess("detection", "rows of six")
        case (_, _):
            return KindGuess("sequence", "a row of scores for each time", sure=probable)
        case (_, _, *_):
            return KindGuess("mask", "a score for each pixel", sure=probable or tensor.operator == "Sigmoid")
    return None


def _single(operator: str) -> KindGuess:
    if operator == "Sigmoid":
        return KindGuess("binary", "one value from a Sigmoid", sure=True)
    if operator in _UNBOUNDED:
        return KindGuess("regression", f"one value from a {operator}, without bounds: or the logit of a binary answer")
    return KindGuess("binary", "one value: or regression, or anomaly")


def _is_head(rows: int, columns: int) -> bool:
    """Whether one is a number of cells that a detector has, and the other leaves room for a box and a score."""
    few, many = sorted((rows, columns))
    return few > _CORNERS and many >= _FEWEST_CELLS and not many % _CELLS


def _inner(shape: Shape) -> Shape:
    """The shape without the batch axis."""
    return shape[1:] if shape and shape[0] in (None, 1) else shape
