"""Rows of random numbers, for measuring the size and speed of a model. They say nothing about accuracy."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import ModelInfo, TensorSpec
from edge_agent.worker.data.array_matching import RESERVED

Array = NDArray[Any]


def random_rows(
    info: ModelInfo, shapes: Mapping[str, tuple[int, ...]], left_out: Collection[str], count: int, *, seed: int = 0
) -> dict[str, Array]:
    """``count`` rows of every input that is not left out, by their names in an ``.npz``.

    Args:
        info: the model.
        shapes: input → shape of a row, if the model leaves sizes open.
        left_out: inputs that are constants or carried state.
        count: number of rows.
        seed: the same seed gives the same rows.
    """
    random = np.random.default_rng(seed)
    rows: dict[str, Array] = {}
    for spec in info.inputs:
        if spec.name in left_out:
            continue
        shape = shapes.get(spec.name) or tuple(size or 1 for size in spec.shape[1:])
        rows[f"input:{spec.name}" if spec.name in RESERVED else spec.name] = _values(random, spec, (count, *shape))
    return rows


def _values(random: np.random.Generator, spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    """Normally distributed floats; for integers, 0 and 1, which every table of tokens has."""
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return random.standard_normal(shape, np.float32).astype(dtype, copy=False)
    return random.integers(0, 2, shape).astype(dtype)
