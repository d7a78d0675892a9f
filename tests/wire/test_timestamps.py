"""Times on the wire."""

from edge_agent.wire.timestamps import parse_rfc3339, rfc3339


def test_times_are_rfc3339() -> None:
    assert rfc3339(0.5) == "1970-01-01T00:00:00.500Z"
    assert parse_rfc3339("1970-01-01T00:00:01Z") == 1.0
    assert parse_rfc3339("1970-01-01T00:00:01") is None, "a time without a zone means nothing on another machine"
    assert parse_rfc3339("soon") is None
