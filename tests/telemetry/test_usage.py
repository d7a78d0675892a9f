"""What an application may say of itself, and what comes of it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.telemetry.latencies import BUCKETS, bucket_of
from edge_agent.telemetry.usage import MOST_BYTES, Usage, UsageSum, decode_usage, encode_usage

SAID = {"v": 1, "model": "har", "version": 3, "latencies": [[7, 2]]}


def usage(**fields: Any) -> Usage:
    return Usage(model="har", version=3, **fields)


def test_the_largest_that_serving_can_say_fits() -> None:
    latencies = [(bucket, 10**9) for bucket in range(BUCKETS)]
    whole = Usage(model="m" * 63, version=2**52, runtime="r" * 100, stale=True, latencies=latencies, rss_bytes=2**52)

    assert len(encode_usage(whole)) <= MOST_BYTES
    assert decode_usage(encode_usage(whole)) == whole


@pytest.mark.parametrize(
    "field",
    [
        *({"v": 2}, {"model": "../../etc"}, {"model": "x" * 64}, {"model": "har\n"}, {"version": -1}),
        *({"version": 2**60}, {"errors": -1}, {"errors": 10**12}, {"latencies": [[BUCKETS, 1]]}),
        *({"latencies": [[-1, 1]]}, {"latencies": [[1, -1]]}, {"latencies": [[1, 1]] * 400}, {"runtime": "x" * 101}),
        *({"rss_bytes": -1}, {"rss_bytes": 1e300}, {"model": None}),
    ],
)
def test_what_makes_no_sense_is_no_usage(field: dict[str, Any]) -> None:
    assert decode_usage(msgspec.json.encode(SAID)) is not None
    assert decode_usage(msgspec.json.encode(SAID | field)) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_not(data: bytes) -> None:
    decode_usage(data)


def test_too_much_is_not_even_read() -> None:
    assert decode_usage(msgspec.json.encode(SAID) + b" " * MOST_BYTES) is None


def test_applications_add_up_bucket_by_bucket() -> None:
    fast, slow = bucket_of(1_000_000), bucket_of(50_000_000)
    told = UsageSum("har", 3)
    told.add(usage(latencies=[(fast, 60)], rss_bytes=100, runtime="onnxruntime 1.20", stale=False), pid=10)
    told.add(usage(latencies=[(fast, 30), (slow, 10)], errors=2, rss_bytes=300, stale=True), pid=11)
    told.add(usage(latencies=[(fast, 1)], rss_bytes=90, runtime="evil\x1b[2J"), pid=10)

    sample = told.sample("pi-01", 59.96, dropped=4)

    assert (sample.applications, sample.inferences, sample.errors, sample.dropped) == (2, 101, 2, 4)
    assert (sample.model, sample.version, sample.interval_s) == ("har", 3, 60.0)
    assert sample.p50_ms == pytest.approx(1, rel=0.05)
    assert sample.p95_ms == sample.p99_ms == pytest.approx(50, rel=0.05)
    assert sample.rss_bytes == 300, "the largest, as each process said last"
    assert sample.stale is True
    assert sample.runtime.isprintable()


def test_processes_without_end_take_no_memory_without_end() -> None:
    told = UsageSum("har", 3)
    for pid in range(3000):
        told.add(usage(latencies=[(7, 1)], rss_bytes=pid), pid)

    sample = told.sample("pi-01", 60, dropped=0)

    assert (sample.applications, sample.inferences, sample.rss_bytes) == (1000, 3000, 999)


def test_errors_alone_have_no_latencies() -> None:
    told = UsageSum("har", 3)
    told.add(usage(errors=2), pid=10)

    sample = told.sample("pi-01", 60, dropped=0)

    assert (sample.errors, sample.inferences) == (2, 0)
    assert sample.p50_ms is sample.p99_ms is sample.rss_bytes is sample.stale is None
