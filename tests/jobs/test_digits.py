"""Numbers in messages show which of both is larger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.jobs.digits import apart, gate_numbers, percent_apart
from edge_agent.quant.findings import Measured
from edge_agent.quant.gain import Gain
from edge_agent.quant.gates import evaluate_measured, evaluate_search
from edge_agent.wire.manifest import Gates


@pytest.mark.parametrize(
    ("value", "limit", "texts"),
    [
        (1.163, 1.0, ("1.16", "1")),
        (1.0004, 1.0, ("1.0004", "1")),
        (1.0, 1.0, ("1", "1")),
        (0.99996, 1.0, ("0.99996", "1")),
        (0.95, 0.9125, ("0.95", "0.9125")),
        (1890.4, 1024.0, ("1890", "1024")),
        (15.02, 15.0, ("15.02", "15")),
        (float("inf"), 1.0, ("inf", "1")),
        (1.0 + 2**-52, 1.0, ("1.0000000000000002", "1")),
    ],
)
def test_as_few_digits_as_tell_them_apart(value: float, limit: float, texts: tuple[str, str]) -> None:
    assert apart(value, limit) == texts


numbers = st.floats(1e-9, 1e9)


@given(numbers, numbers)
def test_what_is_shown_has_the_order_of_what_is_meant(value: float, limit: float) -> None:
    one, other = map(float, apart(value, limit))

    assert (one < other, one > other) == (value < limit, value > limit)


@pytest.mark.parametrize(
    ("name", "value", "limit", "shown"),
    [
        ("max_latency_ratio", 1.02003, 1.02, ("1.02003", "1.02")),
        ("max_latency_ratio", 0.47784, 1.02, ("0.4778", "1.02")),
        ("min_agreement", 0.95, 0.95, ("0.95", "0.95")),
        ("min_agreement", None, 0.95, ("?", "0.95")),
        ("max_latency_ratio", float("inf"), None, ("?", "?")),
        ("min_sqnr_db", -float("inf"), 10.0, ("?", "10 dB")),
        ("min_sqnr_db", 9.99996, 10.0, ("9.99996 dB", "10 dB")),
        ("max_peak_rss_bytes", 104_857_601, 104_857_600, ("100.000001 MiB", "100 MiB")),
        ("max_peak_rss_bytes", 3000, 2048, ("2.93 KiB", "2 KiB")),
        ("max_peak_rss_bytes", 300, 200, ("300", "200")),
    ],
)
def test_a_gate_is_told_in_its_unit_and_shows_whether_it_is_met(
    name: str, value: float | None, limit: float | None, shown: tuple[str, str]
) -> None:
    assert gate_numbers(name, value, limit, "?") == shown


def test_shares_are_told_in_percent() -> None:
    assert percent_apart(0.030004, 0.03) == ("3.0004 %", "3 %")


def test_messages_of_gates_do_not_hold_one_against_one() -> None:
    measured = Measured(windows=100, windows_effective=100, disagreements=0, latency_ratio=1.0002, size_ratio=0.5)
    exact = Gates(latency_margin=0.0)

    judgement = evaluate_search(exact, "classes", measured)

    assert judgement.code == "latency_too_high"
    assert judgement.message.startswith("int8 takes 1.0002 times as long as float here; at most 1 is allowed")
    memory = evaluate_measured(Gates(max_peak_rss_bytes=50 * 2**20), 50 * 2**20 + 4096, 1.0, Gain())
    assert memory.message.startswith("int8 needs 50.004 MiB of memory; at most 50 MiB are allowed")
