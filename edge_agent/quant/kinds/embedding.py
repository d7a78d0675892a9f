"""Embedding: a cosine of at least ``tolerance`` (0.99), in each group of channels of similar scale.

Where there are several groups (:mod:`edge_agent.quant.scale_groups`), one that is quiet in a window has no direction,
and int8 must leave it quiet, too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.kinds.kind import ScaledKind, row, with_defaults
from edge_agent.quant.scale_groups import judged_parts
from edge_agent.wire.manifest import Output

_QUIET = 0.1
"""Share of a group's usual length below which its direction is mostly noise."""
_LEAST_ROOM = 1e-9
"""Least room of a cosine, so that lengths can be compared even where the cosine must be 1."""


class Embedding(ScaledKind):
    """A vector whose direction matters."""

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:  # noqa: ARG003  # one signature
        """Fill in the least cosine."""
        return with_defaults(output, tolerance=0.99)

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether both vectors point the same way."""
        same_shape = row(reference).shape == row(target).shape
        return same_shape and self.nearness(reference, target) <= 0.0

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """How far the cosine of the worst group is below the least one; negative if it is above."""
        wanted, got = row(reference), row(target)
        judged = judged_parts(self.groups)
        if not judged:
            return self._lacking(wanted, got)
        return max(self._lacking(group.take(wanted), group.take(got), usual_rms=group.rms) for group in judged)

    def _lacking(self, wanted: NDArray[Any], got: NDArray[Any], *, usual_rms: float = 0.0) -> float:
        least = self.output.tolerance or 0.0
        first, second = float(np.linalg.norm(wanted)), float(np.linalg.norm(got))
        quiet = _QUIET * usual_rms * float(np.sqrt(wanted.size))
        if first < quiet:  # its length gets as much room as the cosine of a group that is not quiet
            return (second / (2.0 * quiet) - 1.0) * max(1.0 - least, _LEAST_ROOM)
        if not first or not second:
            return least - (1.0 if np.array_equal(wanted, got) else -1.0)
        cosine = float(np.dot(wanted.ravel(), got.ravel())) / (first * second)
        return least - cosine
