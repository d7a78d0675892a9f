"""The classifier of :mod:`support.trained`, made so that one layer does not survive int8 and all others do.

One hidden unit is dead: its bias keeps it below zero, so its ReLU gives 0 for every window. The head's weights on it
are a thousand times the others. In float that costs nothing; on int8 grids, of one scale a channel too, every other
weight of the head rounds to zero.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from support.trained import write_classifier

BROKEN = "head"


def write_fragile(path: Path) -> Path:
    """Write it as ``x[1, 3, 64] -> y[1, 5]``; layer ``head`` is the one to leave float."""
    model = onnx.load(write_classifier(path))
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    bias, weights = (numpy_helper.to_array(constants[name]).copy() for name in ("b1", "w2"))
    bias[0] = -100.0
    weights[0] = 1000.0 * np.abs(weights).max() * np.sign(weights[0])
    for name, value in (("b1", bias), ("w2", weights)):
        constants[name].CopyFrom(numpy_helper.from_array(value, name))
    onnx.save(model, path)
    return path
