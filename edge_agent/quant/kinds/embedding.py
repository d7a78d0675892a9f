"""Embedding: a cosine of at least ``tolerance`` (0.99)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.kinds.kind import Kind, row, with_defaults
from edge_agent.wire.manifest import Output


class Embedding(Kind):
    """A vector whose direction matters."""

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:  # noqa: ARG003  # one signature
        """With the least cosine."""
        return with_defaults(output, tolerance=0.99)

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether both point the same way."""
        wanted, got = row(reference), row(target)
        if wanted.shape != got.shape:
            return False
        lengths = float(np.linalg.norm(wanted)) * float(np.linalg.norm(got))
        if not lengths:
            return np.array_equal(wanted, got)
        return float(np.dot(wanted.ravel(), got.ravel())) / lengths >= (self.output.tolerance or 0.0)
