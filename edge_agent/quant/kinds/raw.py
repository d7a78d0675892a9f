"""Raw: the RMS of the difference at most ``tolerance`` (0.1) of the RMS of float's output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_agent.quant.kinds.kind import Kind, row, with_defaults
from edge_agent.wire.manifest import Output


class Raw(Kind):
    """Numbers of which nothing is known."""

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:  # noqa: ARG003  # one signature
        """With the largest relative difference."""
        return with_defaults(output, tolerance=0.1)

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether the difference is small against float's output."""
        wanted, got = row(reference), row(target)
        return wanted.shape == got.shape and relative_rms(wanted, got) <= (self.output.tolerance or 0.0)


def relative_rms(reference: ArrayLike, target: ArrayLike) -> float:
    """RMS of the difference as a share of the RMS of ``reference``; infinite where only the reference is zero."""
    wanted, got = np.asarray(reference, np.float64), np.asarray(target, np.float64)
    error, signal = float(np.linalg.norm(got - wanted)), float(np.linalg.norm(wanted))
    if not error:
        return 0.0
    return error / signal if signal else float("inf")
