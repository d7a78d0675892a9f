"""The error of a quantized tensor against the float one, over any number of samples, in constant memory.

Sums run in float64 over blocks, so neither many samples nor a large tensor costs memory or precision.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

_BLOCK = 65_536


class ErrorMetrics:
    """Accumulates the error of ``target`` against ``reference``.

    A target that is not finite counts as an infinite error. Before the first value every metric is None.
    """

    __slots__ = ("_dot", "_largest", "_noise", "_reference", "_target", "_values")

    def __init__(self) -> None:
        self._values = 0
        self._reference = self._target = self._dot = self._noise = self._largest = 0.0

    def add(self, reference: ArrayLike, target: ArrayLike) -> None:
        """Add one sample's tensors, of equal shape; raises ``ValueError`` if the shapes differ."""
        first, second = np.asarray(reference), np.asarray(target)
        if first.shape != second.shape:
            raise ValueError(f"reference has shape {first.shape}, target {second.shape}")
        first, second = first.reshape(-1), second.reshape(-1)
        self._values += first.size
        for start in range(0, first.size, _BLOCK):
            wanted = first[start : start + _BLOCK].astype(np.float64)
            got = second[start : start + _BLOCK].astype(np.float64)
            if not np.isfinite(got).all():
                self._noise = self._largest = math.inf
                continue
            error = got - wanted
            self._reference += float(wanted @ wanted)
            self._target += float(got @ got)
            self._dot += float(wanted @ got)
            self._noise += float(error @ error)
            self._largest = max(self._largest, float(np.max(np.abs(error))))

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise ratio, 10·log10(Σ reference² / Σ error²) in dB; infinite without an error."""
        if not self._values:
            return None
        if not self._noise:
            return math.inf
        if not self._reference or math.isinf(self._noise):
            return -math.inf
        return 10.0 * math.log10(self._reference / self._noise)

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle between all of reference and all of target; None where one of them is zero."""
        if not self._reference or not self._target or math.isinf(self._noise):
            return None
        return max(-1.0, min(1.0, self._dot / math.sqrt(self._reference) / math.sqrt(self._target)))

    @property
    def max_abs_error(self) -> float | None:
        """The largest absolute difference of any value."""
        return self._largest if self._values else None
