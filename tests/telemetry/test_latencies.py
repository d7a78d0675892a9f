"""Quantiles that come out of buckets, against those of the latencies themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.telemetry.latencies import BUCKETS, bucket_of, quantile_ms

LATENCIES = st.lists(st.integers(10_000, 100_000_000_000), min_size=1, max_size=60)


def counted(latencies_ns: list[int]) -> dict[int, int]:
    buckets, counts = np.unique([bucket_of(one) for one in latencies_ns], return_counts=True)
    return dict(zip(buckets.tolist(), counts.tolist(), strict=True))


@given(LATENCIES, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_within_four_and_a_half_percent(latencies_ns: list[int], share: float) -> None:
    found = quantile_ms(counted(latencies_ns), share)

    true_ms = float(np.quantile(latencies_ns, share, method="inverted_cdf")) / 1e6
    assert found == pytest.approx(true_ms, rel=0.05), "4.5 %, and three digits"


@given(st.integers(-10, 10**15), st.integers(-10, 10**15))
def test_a_longer_latency_is_in_no_earlier_bucket(one: int, other: int) -> None:
    first, second = bucket_of(min(one, other)), bucket_of(max(one, other))

    assert 0 <= first <= second < BUCKETS


def test_the_ends_take_what_lies_beyond_them() -> None:
    assert (bucket_of(0), bucket_of(9_999)) == (0, 0)
    assert bucket_of(10**15) == BUCKETS - 1
    assert quantile_ms({}, 0.5) is None
