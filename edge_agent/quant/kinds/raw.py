"""Raw: RMS of the difference at most ``tolerance`` (0.1) of the RMS of float's output, per group of channels.

Groups have similar scales (:mod:`edge_agent.quant.scale_groups`). Where there are several, the error of a quiet group
is compared with that group's usual level, as noise relative to nothing has no meaning.
"""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from edge_agent.quant.kinds.kind import ScaledKind, relative_rms, row, with_defaults
from edge_agent.quant.scale_groups import judged_parts
from edge_agent.wire.manifest import Output


class Raw(ScaledKind):
    """Numbers without a known meaning."""

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:  # noqa: ARG003  # one signature
        """Fill in the largest relative difference."""
        return with_defaults(output, tolerance=0.1)

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether the difference is small compared with float's output."""
        same_shape = row(reference).shape == row(target).shape
        return same_shape and self.nearness(reference, target) <= (self.output.tolerance or 0.0)

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """The relative RMS of the difference in the group where it is largest."""
        wanted, got = row(reference), row(target)
        judged = judged_parts(self.groups)
        if not judged:
            return relative_rms(wanted, got)
        return max(relative_rms(group.take(wanted), group.take(got), usual_rms=group.rms) for group in judged)
