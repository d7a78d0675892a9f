"""Which of a large tensor's values are counted, where counting all would take longer than running the model.

The rare values decide a range: what percentile cuts, and what clipping costs. So they are all counted, and only of the
common ones (nearer to zero than 99.5 % on their side, as the windows before had it) one in ``one_in`` is, for as many:
stratified sampling with unequal shares (Cochran, "Sampling Techniques", 3rd ed., chapter 5). Common values are drawn in
runs of neighbours (one line of a processor's cache each), one run from every stretch of equal length at a place that
chance chooses: no value is drawn twice, and no period of the data can fall in step with a stride.

Seeded by the tensor's name, so the same data give the same bits on every device and however tensors are grouped.
"""

from collections.abc import Iterator
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from edge_agent.calibration.histogram import Histogram

SMALL = 131_072
"""Tensors of no more values a window are counted whole: drawing would cost as much (measured: equal at half of it)."""
_RUN = 16
"""Neighbours drawn together: 64 bytes."""
_BLOCK = 1 << 16
_COMMON = 0.995
_FIRST_WINDOWS = 4
"""They are counted whole: what is common is not known yet. Found anew whenever the windows have doubled."""

Values = NDArray[np.float32]


class Sampler:
    """Draws from one tensor, window after window."""

    def __init__(self, name: str, one_in: int) -> None:
        self._one_in = one_in
        self._random = np.random.default_rng(crc32(name.encode()))
        self._windows = 0
        self._common = (0.0, 0.0)

    def draw(self, values: Values, seen: Histogram) -> Iterator[tuple[Values, int]]:
        """What to count of one window's ``values`` (any shape): pairs of some of them, and for how many each counts.

        ``seen``: the windows before.
        """
        windows, self._windows = self._windows, self._windows + 1
        if values.size <= SMALL or windows < _FIRST_WINDOWS:
            yield values, 1
            return
        if windows.bit_count() == 1:
            self._common = common(seen)
        low, high = (np.float32(limit) for limit in self._common)
        flat = values.reshape(-1)
        for first in range(0, flat.size, _BLOCK):  # scratch as large as a tensor would stay with the process for good
            block = flat[first : first + _BLOCK]
            yield block[(block < low) | (block > high)], 1
        drawn = self._some(flat)
        yield drawn[(drawn >= low) & (drawn <= high)], self._one_in

    def _some(self, flat: Values) -> Values:
        """One value in ``one_in``, in runs."""
        runs = flat[: flat.size // _RUN * _RUN].reshape(-1, _RUN)
        count, rest = divmod(len(runs), self._one_in)
        first = self._random.integers(rest + 1)
        places = first + np.arange(count) * self._one_in + self._random.integers(self._one_in, size=count)
        drawn: Values = runs[places]
        return drawn


def common(seen: Histogram) -> tuple[float, float]:
    """A range around zero that holds 99.5 % of the values on either side of it, zeros left out."""
    cells = seen.cells()
    ends = []
    for side, edges in ((cells.high <= 0, -cells.low), (cells.low >= 0, cells.high)):
        counts, distances = cells.counts[side], edges[side]
        order = np.argsort(distances)
        reached = np.searchsorted(np.cumsum(counts[order]), _COMMON * counts.sum())
        ends.append(float(distances[order][min(reached, len(order) - 1)]) if len(order) else 0.0)
    return -ends[0], ends[1]
