"""Embedding: a cosine of at least ``tolerance`` (0.99), in each group of channels of like scale.

Where there are several groups (:mod:`edge_agent.quant.scale_groups`), one that is quiet in a window has no direction
there: int8 must leave it quiet, too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.kinds.kind import ScaledKind, row, with_defaults
from edge_agent.quant.scale_groups import judged_parts
from edge_agent.wire.manifest import Output

_QUIET = 0.1
"""Of a group's usual length: below it the direction is mostly noise."""


class Embedding(ScaledKind):
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
        judged = judged_parts(self.groups)
        if not judged:
            return self._alike(wanted, got)
        return all(self._alike(group.take(wanted), group.take(got), usual_rms=group.rms) for group in judged)

    def _alike(self, wanted: NDArray[Any], got: NDArray[Any], *, usual_rms: float = 0.0) -> bool:
        first, second = float(np.linalg.norm(wanted)), float(np.linalg.norm(got))
        quiet = _QUIET * usual_rms * wanted.size**0.5
        if first < quiet:
            return bool(second < 2.0 * quiet)
        if not first or not second:
            return np.array_equal(wanted, got)
        cosine = float(np.dot(wanted.ravel(), got.ravel())) / (first * second)
        return cosine >= (self.output.tolerance or 0.0)
