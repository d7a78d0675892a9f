"""A fixed-size histogram that needs one pass over the data and no range beforehand.

Bins are ``[k·w, (k+1)·w)`` for integers k and a width w that is a power of two. The smallest and the largest value
alone determine w: it is the narrowest width with which both fit into the bins, but not narrower than the resolution of
float32 there. A value outside doubles w until it fits. Two bins become one by ``k >> 1``, which rounds down also below
zero, so no value ever changes its side of an edge. Multiplication by a power of two is exact. Hence the counts depend
only on the values: any order and any batches give the same bits.

Exact zeros are counted separately: an int8 grid always has a zero, so they are irrelevant to a good range, and after a
ReLU they would dominate. The smallest and the largest value are exact. A non-finite value raises ``Refusal``
(``non_finite``): one Inf would make a scale infinite.

One outlier makes bins so wide that all other values fall into a few of them. Then ``focus`` opens a second, finer
histogram over a part of the range. A second pass over the same data fills it, and ``cells`` joins both.

Memory is ``bins`` counters, plus scratch of about 400 KB during ``add``, however large the array is.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_agent.errors import Refusal

BINS = 2048
_BLOCK = 32_768
_FLOAT32_BITS = 24
_NARROWEST = -120  # 2**120 is still a float32
_WIDEST_EXACT = 0  # above this exponent the product of a tiny value and 1 / width would underflow in float32


@dataclass(frozen=True, slots=True)
class Cells:
    """The distribution of the values: ``counts[i]`` between ``low[i]`` and ``high[i]``, ascending, without zeros.

    The ends are clipped to the exact smallest and largest value. A cell of zero width holds one repeated value.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.float64]


def width_exponent(low: float, high: float, bins: int) -> int:
    """Return the exponent of the narrowest bin width with which ``[low, high]`` fits into ``bins`` bins."""
    exponent = max(math.frexp(max(abs(low), abs(high)))[1] - _FLOAT32_BITS, _NARROWEST)
    if high > low:
        exponent = max(exponent, math.frexp((high - low) / bins)[1] - 1)
    while math.floor(math.ldexp(high, -exponent)) - math.floor(math.ldexp(low, -exponent)) >= bins:
        exponent += 1
    return exponent


def _blocks(values: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    """Yield the values as float32 in small blocks, so that scratch stays small and in the processor's cache."""
    if values.dtype == np.float32 and values.flags.c_contiguous:
        flat = values.reshape(-1)
        yield from (flat[first : first + _BLOCK] for first in range(0, flat.size, _BLOCK))
    elif values.size:
        yield from np.nditer(
            values,
            flags=["external_loop", "buffered"],
            op_dtypes=[np.float32],
            casting="same_kind" if values.dtype.kind == "f" else "unsafe",
            buffersize=_BLOCK,
        )


class Histogram:
    """Counts of float32 values.

    Attributes:
        bins: maximal number of bins.
        total: number of values, zeros included.
        zeros: number of values that are exactly zero.
        low: the smallest value; infinite before the first.
        high: the largest value.
        limits: values outside ``[low, high)`` are skipped; None: all are counted.
        inner: the finer histogram of a second pass, or None.
    """

    __slots__ = ("_counts", "_exponent", "_origin", "bins", "high", "inner", "limits", "low", "total", "zeros")

    def __init__(self, bins: int = BINS, limits: tuple[float, float] | None = None) -> None:
        self.bins = bins
        self.limits = limits
        self.inner: Histogram | None = None
        self.total = 0
        self.zeros = 0
        self.low = math.inf
        self.high = -math.inf
        self._counts = np.zeros(bins, np.int64)
        self._exponent = _NARROWEST
        self._origin = 0

    @property
    def width(self) -> float:
        """The width of a bin."""
        return math.ldexp(1.0, self._exponent)

    def add(self, array: ArrayLike, parts: Iterable[tuple[ArrayLike, int]] | None = None) -> None:
        """Count the values of ``array`` (any shape; converted to float32).

        Args:
            array: the observed values; their smallest and largest are stored exactly.
            parts: the values to count, as pairs of a subset and the weight of each value; None: all, once.

        Raises:
            Refusal: ``non_finite``; the histogram is then unusable.
        """
        values = np.asarray(array)
        if parts is None:
            for block in _blocks(values):
                self._reach(block)  # while the block is in the processor's cache
                self._count_block(block, 1)
        elif values.size:
            self._reach(values)
            for part, weight in parts:
                for block in _blocks(np.asarray(part)):
                    self._count_block(block, weight)

    def _reach(self, values: NDArray[Any]) -> None:
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise Refusal("non_finite", "values hold NaN or Inf; check the sensor, its wiring and the model")
        if self.limits is None:
            self._make_room(low, high)

    def _count_block(self, block: NDArray[np.float32], weight: int) -> None:
        if self.limits is None:
            self._count(block, weight)
        else:
            self._count_within(block, *self.limits, weight)

    def _count_within(self, block: NDArray[np.float32], low: float, high: float, weight: int) -> None:
        with np.errstate(over="ignore"):
            inside = block[(block >= np.float32(low)) & (block < np.float32(high))]
        if inside.size:
            self._make_room(float(inside.min()), float(inside.max()))
            self._count(inside, weight)

    def _count(self, block: NDArray[np.float32], weight: int) -> None:
        exact = np.float32 if self._exponent <= _WIDEST_EXACT else np.float64
        per_bin, bins = exact(math.ldexp(1.0, -self._exponent)), np.empty(block.shape, np.intp)
        if self._origin:
            scaled = np.multiply(block, per_bin, dtype=exact)
            np.floor(scaled, out=scaled)
            np.subtract(scaled, exact(self._origin), out=bins, casting="unsafe")
        else:  # nothing is negative, so to cast is to floor
            np.multiply(block, per_bin, out=bins, dtype=exact, casting="unsafe")
        counts = np.bincount(bins, minlength=self.bins)
        self._counts += counts if weight == 1 else counts * weight
        zeros = weight * (block.size - int(np.count_nonzero(block != 0)))
        if zeros:
            self.zeros += zeros
            self._counts[-self._origin] -= zeros
        self.total += weight * block.size

    def _make_room(self, low: float, high: float) -> None:
        """Choose width and origin so that [low, high] and all earlier values fit, and move the counts there."""
        if self.low <= low and high <= self.high:
            return
        low, high = min(low, self.low), max(high, self.high)
        exponent = width_exponent(low, high, self.bins)
        origin = math.floor(math.ldexp(low, -exponent))
        if self.total and (exponent, origin) != (self._exponent, self._origin):
            self._counts = self._moved(exponent, origin)
        self._exponent, self._origin, self.low, self.high = exponent, origin, low, high

    @property
    def finest(self) -> "Histogram":
        """The innermost histogram, in which a further pass counts."""
        return self if self.inner is None else self.inner.finest

    def can_focus(self, low: float, high: float) -> bool:
        """Return whether bins over [low, high] alone could be narrower than the present ones, in float32 too."""
        finest = self.finest
        return width_exponent(*finest._edges_around(low, high), self.bins) < finest._exponent  # noqa: SLF001  # its own class

    def focus(self, low: float, high: float) -> None:
        """Open an inner histogram over the finest bins that [low, high] touches; the same data must be added again."""
        finest = self.finest
        finest.inner = Histogram(self.bins, finest._edges_around(low, high))  # noqa: SLF001  # its own class

    def _edges_around(self, low: float, high: float) -> tuple[float, float]:
        first, last = max(low, self.low), min(high, self.high)
        return math.floor(first / self.width) * self.width, (math.floor(last / self.width) + 1) * self.width

    def bins_used(self, low: float, high: float) -> int:
        """Return the number of bins in the part of [low, high] that has values; a range over few bins is a guess."""
        low, high = max(low, self.low), min(high, self.high)
        if low >= high:
            return 0
        if self.inner is None or self.inner.limits is None or not self.inner.total:
            return math.ceil((high - low) / self.width)
        first, last = self.inner.limits
        inside = max(min(high, last) - max(low, first), 0.0)
        return math.ceil((high - low - inside) / self.width) + self.inner.bins_used(low, high)

    def cells(self) -> Cells:
        """Return the distribution of the nonzero values; finer cells of the inner histogram replace coarser ones."""
        used = np.flatnonzero(self._counts)
        low = (used + self._origin) * self.width
        cells = Cells(
            np.maximum(low, self.low), np.minimum(low + self.width, self.high), self._counts[used].astype(np.float64)
        )
        if self.inner is None or self.inner.limits is None or not self.inner.total:
            return cells
        first, last = self.inner.limits
        before, after, inner = low < first, low >= last, self.inner.cells()
        return Cells(
            np.concatenate([cells.low[before], inner.low, cells.low[after]]),
            np.concatenate([cells.high[before], inner.high, cells.high[after]]),
            np.concatenate([cells.counts[before], inner.counts, cells.counts[after]]),
        )

    def merge(self, other: "Histogram") -> None:
        """Add the counts of ``other``, as if its values had been added here; inner histograms are ignored."""
        if not other.total:
            return
        self._make_room(other.low, other.high)
        self._counts += other._moved(self._exponent, self._origin)  # noqa: SLF001  # its own class
        self.total += other.total
        self.zeros += other.zeros

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the complete state as arrays for an ``.npz``; the counts without their empty ends."""
        used = np.flatnonzero(self._counts)
        first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
        arrays: dict[str, NDArray[Any]] = {
            "counts": self._counts[first:last],
            "integers": np.array([self.bins, self.total, self.zeros, self._exponent, self._origin, first], np.int64),
            "extremes": np.array([self.low, self.high], np.float64),
        }
        if self.limits is not None:
            arrays["limits"] = np.array(self.limits, np.float64)
        if self.inner is not None:
            arrays |= {f"inner_{key}": array for key, array in self.inner.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Histogram":
        """Restore a histogram from the arrays of :meth:`to_arrays`."""
        bins, total, zeros, exponent, origin, first = (int(value) for value in arrays["integers"])
        histogram = cls(bins, tuple(arrays["limits"].tolist()) if "limits" in arrays else None)
        histogram.total, histogram.zeros = total, zeros
        histogram._exponent, histogram._origin = exponent, origin
        histogram._counts[first : first + len(arrays["counts"])] = arrays["counts"]
        histogram.low, histogram.high = arrays["extremes"].tolist()
        if "inner_counts" in arrays:
            inner = {key.removeprefix("inner_"): array for key, array in arrays.items() if key.startswith("inner_")}
            histogram.inner = cls.from_arrays(inner)
        return histogram

    def _moved(self, exponent: int, origin: int) -> NDArray[np.int64]:
        """Return the counts in bins of the same or a larger width; the first bin begins at ``origin``."""
        used = np.flatnonzero(self._counts)
        counts = np.zeros(self.bins, np.int64)
        shift = min(exponent - self._exponent, 62)
        np.add.at(counts, ((used + self._origin) >> shift) - origin, self._counts[used])
        return counts
