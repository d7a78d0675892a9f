import pytest

from edge_agent.acquisition.stream_findings import deadline_error, gaps_finding, malformed_finding, rate_finding


@pytest.mark.parametrize(
    ("seen", "refuse"),
    [(50.0, None), (41.0, None), (60.0, None), (39.0, True), (0.1, True), (70.0, False), (1e5, False)],
)
def test_only_a_slow_sensor_is_refused(seen: float, refuse: bool | None) -> None:  # noqa: FBT001  # a table
    finding = rate_finding(seen, 50.0)

    assert (finding and finding.refuse) == refuse
    if finding:
        assert finding.code == "wrong_rate"
        assert "rate_hz says 50" in finding.message


def test_interruptions_are_counted_in_words() -> None:
    assert gaps_finding(0) is None
    assert malformed_finding(0) is None
    (once, thrice) = (gaps_finding(1), gaps_finding(3))

    assert once is not None
    assert "interrupted once, " in once.message
    assert thrice is not None
    assert "interrupted 3 times, " in thrice.message


@pytest.mark.parametrize(("seconds", "says"), [(59.4, "59 s"), (120, "2 min"), (5400, "1.5 h")])
def test_a_deadline_is_told_in_the_unit_that_suits(seconds: float, says: str) -> None:
    error = deadline_error("imu", 12, seconds)

    assert error.code == "capture_timeout"
    assert f"12 samples of source 'imu' are still missing after {says};" in error.message
