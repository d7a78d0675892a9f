"""Times on the wire."""

import pytest

from edge_agent.wire.timestamps import MAX_TIME, parse_rfc3339, rfc3339


def test_times_are_rfc3339() -> None:
    assert rfc3339(0.5) == "1970-01-01T00:00:00.500Z"
    assert parse_rfc3339("1970-01-01T00:00:01Z") == 1.0
    assert parse_rfc3339("1970-01-01T00:00:01") is None, "a time without a zone means nothing on another machine"
    assert parse_rfc3339("soon") is None


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
)
def test_a_time_that_cannot_be_written_again_is_none(text: str) -> None:
    assert parse_rfc3339(text) is None


@pytest.mark.parametrize("seconds", [-1.0, MAX_TIME, MAX_TIME + 1, 1e300, float("inf"), float("-inf"), float("nan")])
def test_whatever_is_written_can_be_read(seconds: float) -> None:
    assert parse_rfc3339(rfc3339(seconds)) is not None
