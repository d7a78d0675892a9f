"""A latency histogram with fixed bucket bounds, so that several processes' counts add up to common quantiles. Pure.

Bucket ``n`` covers latencies from 10 µs · 2^(n/8) up to the start of the next bucket. The first bucket also holds all
shorter latencies; the last one holds everything from 100 s on. A quantile is the geometric middle of its bucket, so its
error is at most 4.5 % (2^(1/16) - 1).
"""

from collections.abc import Mapping
from math import ceil, log2
from typing import Final

_PER_OCTAVE: Final = 8
_SHORTEST_NS: Final = 10_000
_LONGEST_NS: Final = 100_000_000_000
_FIRST = _PER_OCTAVE * log2(_SHORTEST_NS)
BUCKETS: Final = int(_PER_OCTAVE * log2(_LONGEST_NS) - _FIRST) + 1


def bucket_of(latency_ns: int) -> int:
    """The number of the bucket for a latency in nanoseconds, from 0 to ``BUCKETS - 1``."""
    if latency_ns <= _SHORTEST_NS:
        return 0
    found = int(_PER_OCTAVE * log2(latency_ns) - _FIRST)
    return found if found < BUCKETS else BUCKETS - 1


def quantile_ms(counts: Mapping[int, int], share: float) -> float | None:
    """The latency in milliseconds that ``share`` (0 to 1) of all inferences did not exceed; None without inferences.

    Args:
        counts: bucket → number of inferences.
        share: 0.5 for the median.
    """
    rank = max(1, ceil(share * sum(counts.values())))
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return float(f"{_SHORTEST_NS * 2 ** ((bucket + 0.5) / _PER_OCTAVE) / 1e6:.3g}")
    return None
