"""Samples the values of a large tensor if counting all of them would take longer than running the model.

The rare values determine a range: where the percentile cuts, and how much clipping costs. So all of them are counted.
Of the common values (within 99.5 % of the earlier windows' values on their side of zero) one in ``one_in`` is counted,
with that weight. This is stratified sampling with unequal shares (Cochran, "Sampling Techniques", 3rd ed., chapter 5).
Common values are drawn in runs of neighbours (one cache line each), one run at a random place in every section of equal
length. So no value is drawn twice, and no period of the data can coincide with a stride.

The seed is the tensor's name, so the same data give the same bits on every device and in any grouping of tensors.
"""

from collections.abc import Iterator
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from edge_agent.calibration.histogram import Histogram

SMALL = 131_072
"""Largest tensor, in values per window, that is counted completely: sampling would cost as much (measured: equal at
half of it)."""
_RUN = 16
"""Neighbours drawn together: 64 bytes."""
_BLOCK = 1 << 16
_COMMON = 0.995
_FIRST_WINDOWS = 4
"""The first windows are counted completely, since the common range is not known yet. It is updated whenever the number
of windows has doubled."""

Values = NDArray[np.float32]


class Sampler:
    """Draws samples from one tensor, window after window."""

    def __init__(self, name: str, one_in: int) -> None:
        self._one_in = one_in
        self._random = np.random.default_rng(crc32(name.encode()))
        self._windows = 0
        self._common = (0.0, 0.0)

    def draw(self, values: Values, seen: Histogram) -> Iterator[tuple[Values, int]]:
        """Yield the samples to count from one window's ``values`` (any shape), with the weight of each value.

        ``seen``: the histogram of the earlier windows.
        """
        windows, self._windows = self._windows, self._windows + 1
        if values.size <= SMALL or windows < _FIRST_WINDOWS:
            yield values, 1
            return
        if windows.bit_count() == 1:
            self._common = common(seen)
        low, high = (np.float32(limit) for limit in self._common)
        flat = values.reshape(-1)
        for first in range(0, flat.size, _BLOCK):  # the process would keep scratch as large as a tensor
            block = flat[first : first + _BLOCK]
            yield block[(block < low) | (block > high)], 1
        drawn = self._some(flat)
        yield drawn[(drawn >= low) & (drawn <= high)], self._one_in

    def _some(self, flat: Values) -> Values:
        """Draw one value in ``one_in``, in runs."""
        runs = flat[: flat.size // _RUN * _RUN].reshape(-1, _RUN)
        count, rest = divmod(len(runs), self._one_in)
        first = self._random.integers(rest + 1)
        places = first + np.arange(count) * self._one_in + self._random.integers(self._one_in, size=count)
        drawn: Values = runs[places]
        return drawn


def common(seen: Histogram) -> tuple[float, float]:
    """Return a range around zero with 99.5 % of the values on either side of it, without zeros."""
    cells = seen.cells()
    ends = []
    for side, edges in ((cells.high <= 0, -cells.low), (cells.low >= 0, cells.high)):
        counts, distances = cells.counts[side], edges[side]
        order = np.argsort(distances)
        reached = np.searchsorted(np.cumsum(counts[order]), _COMMON * counts.sum())
        ends.append(float(distances[order][min(reached, len(order) - 1)]) if len(order) else 0.0)
    return -ends[0], ends[1]
