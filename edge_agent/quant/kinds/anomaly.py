"""Anomaly: the score lies on the same side of its threshold.

The judged value is one score per window, larger for stranger windows: the output itself, or, for a model that
reconstructs its input, the mean squared difference of the two. ``[output] threshold`` should be the application's
threshold. Otherwise it is the 95th percentile of float's own scores, so that the compared decisions are made near the
end of the usual range. Labels: 0 or false for usual, 1 or true for an anomaly.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.kinds.binary import Binary
from edge_agent.quant.kinds.kind import with_defaults
from edge_agent.wire.manifest import Output

PERCENTILE = 95.0


class Anomaly(Binary):
    """A score per window."""

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """Fill in the threshold that float's scores suggest."""
        for one in sample:
            if one.size != 1:
                raise ContractError(
                    "shape_mismatch", f"an output of shape {one.shape} is no anomaly score; set another output kind"
                )
        if not sample:
            return output
        scores = [float(one.reshape(())) for one in sample]
        return with_defaults(output, threshold=float(np.percentile(scores, PERCENTILE)))
