"""int8 has to be worth it on one axis at least, and the sentence says how far it is from that."""

import re
import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.advice.remedy import remedy_for
from edge_agent.jobs.result import GateResult
from edge_agent.quant.findings import Measured
from edge_agent.quant.gain import Gain, gain_findings, gains, meets, no_gain
from edge_agent.quant.gates import evaluate_gain, evaluate_heldout, evaluate_measured
from edge_agent.wire.manifest import Gates, MinGain

ASKED = MinGain()
RATIO = st.floats(0.01, 3.0)


def gain(time: float | None = 0.0, size: float | None = 0.0, memory: float | None = 0.0) -> Gain:
    return Gain(time=time, size=size, memory=memory)


def test_a_gain_is_what_is_less_than_floats() -> None:
    assert gains(time_ratio=0.75, size_ratio=1.5) == Gain(time=0.25, size=-0.5, memory=None)
    assert gains(time_ratio=float("inf")).time is None, "a bound that nothing supports"


@pytest.mark.parametrize(
    ("known", "asked", "met"),
    [
        (gain(time=0.05), ASKED, True),
        (gain(time=0.0499, size=0.19, memory=0.19), ASKED, False),
        (gain(size=0.2), ASKED, True),
        (gain(memory=0.2), ASKED, True),
        (gain(time=-0.5, size=0.2), ASKED, True),
        (gain(time=None, size=None, memory=None), ASKED, False),
        (gain(time=0.9), MinGain(time=0.0), False),
        (gain(size=0.9), MinGain(size=0.0), False),
        (gain(memory=0.9), MinGain(memory=0.0), False),
        (gain(-1.0, -1.0, -1.0), MinGain(0.0, 0.0, 0.0), True),
        (gain(time=0.01), MinGain(0.01, 0.0, 0.0), True),
    ],
)
def test_one_axis_that_counts_is_enough(known: Gain, asked: MinGain, *, met: bool) -> None:
    assert meets(known, asked) is met


@pytest.mark.parametrize(
    ("known", "asked", "told"),
    [
        (gain(time=0.3, size=0.1, memory=None), ASKED, {"time": True}),
        (gain(time=0.3, size=0.7, memory=0.1), ASKED, {"time": True, "size": True}),
        (gain(time=0.01, size=0.1, memory=None), ASKED, {}),
        (gain(time=0.01, size=0.1, memory=None), MinGain(memory=0.0), {"time": False, "size": False}),
        (gain(time=None, size=0.1, memory=0.1), ASKED, {}),
        (gain(), ASKED, {"time": False, "size": False, "memory": False}),
        (gain(), MinGain(size=0.0), {"time": False, "memory": False}),
        (gain(), MinGain(0.0, 0.0, 0.0), {}),
    ],
)
def test_what_is_met_is_told_and_else_all_that_count_once_they_are_known(
    known: Gain, asked: MinGain, told: dict[str, bool]
) -> None:
    assert {one.gate.axis: one.gate.passed for one in gain_findings(known, asked)} == told


@given(time=RATIO, size=RATIO, memory=RATIO, asked=st.builds(MinGain, *[st.sampled_from([0.0, 0.05, 0.2, 0.5])] * 3))
def test_the_gate_says_what_meets_says_and_the_setting_that_it_names_allows_it(
    time: float, size: float, memory: float, asked: MinGain
) -> None:
    known = gains(time_ratio=time, size_ratio=size, memory_ratio=memory)

    judgement = evaluate_gain(Gates(min_gain=asked), known)

    assert judgement.passed is meets(known, asked)
    if not judgement.passed:
        assert evaluate_gain(Gates(min_gain=named(judgement.message)), known).passed, judgement.message


def named(message: str) -> MinGain:
    """The limits that a message says would do."""
    found = re.search(r"\[gates\] (min_gain = \{.*?\}) allows it", message)
    assert found is not None, message
    return msgspec.convert(tomllib.loads(found[1])["min_gain"], MinGain)


@pytest.mark.parametrize(
    ("known", "asked", "said"),
    [
        (
            gain(0.01, 0.012, 0.03), ASKED,
            (
            "int8 would be 1 % faster, 1.2 % smaller and 3 % lighter in memory here, and 5 %, 20 % or 20 % is asked "
            "for: keep float; [gates] min_gain = { time = 0.05, size = 0.2, memory = 0.02 } allows it"
            ),
        ),
        (
            gain(-0.021, -0.04, 0.0), ASKED,
            (
            "int8 would be up to 2.1 % slower, 4.0 % larger and no lighter in memory here, and 5 %, 20 % or 20 % is "
            "asked for: keep float; [gates] min_gain = { time = 0, size = 0, memory = 0 } allows it"
            ),
        ),
        (
            gain(time=0.04996), MinGain(size=0.0, memory=0.0),
            (
            "int8 would be 4.996 % faster here, and 5 % is asked for: keep float; [gates] min_gain = { time = 0.04, "
            "size = 0, memory = 0 } allows it"
            ),
        ),
        (
            gain(0.0, -1.23, -0.5), MinGain(time=0.0),
            (
            "int8 would be 123 % larger and 50 % heavier in memory here, and 20 % or 20 % is asked for: keep float; "
            "[gates] min_gain = { time = 0, size = 0, memory = 0 } allows it"
            ),
        ),
    ],
)  # fmt: skip
def test_the_sentence(known: Gain, asked: MinGain, said: str) -> None:
    message = gain_findings(known, asked)[0].message

    assert message == said
    assert not remedy_for("no_gain", message), "it says by itself what to do"


def test_of_several_candidates_the_best_by_axis_is_told() -> None:
    one, other = (gain_findings(known, ASKED) for known in (gain(-0.1, 0.15, 0.01), gain(0.02, -0.3, 0.0)))

    message = no_gain([GateResult("min_agreement", 0.95, 0.99, passed=True), *(found.gate for found in (*one, *other))])

    assert "2 % faster, 15 % smaller and 1 % lighter in memory" in message


@pytest.mark.parametrize(
    ("measured", "asked", "code"),
    [
        ({"latency_ratio_upper": 0.94, "size_ratio": 1.0}, ASKED, ""),
        ({"latency_ratio_upper": 1.0, "size_ratio": 0.26}, ASKED, ""),
        ({"latency_ratio_upper": 0.99, "size_ratio": 0.99}, ASKED, ""),  # memory decides, once it is measured
        ({"latency_ratio_upper": 0.99, "size_ratio": 0.99}, MinGain(memory=0.0), "no_gain"),
        ({"latency_ratio_upper": 0.99, "size_ratio": 0.99}, MinGain(0.0, 0.0, 0.0), ""),
        ({"latency_ratio_upper": 0.99, "size_ratio": 0.99, "disagreements": 30}, MinGain(memory=0.0),
         "agreement_too_low"),
        ({}, ASKED, ""),
    ],
)  # fmt: skip
def test_the_verdict_asks_what_was_gained(measured: dict[str, Any], asked: MinGain, code: str) -> None:
    lower = {"latency_ratio_lower": measured["latency_ratio_upper"] - 0.01} if measured else {}
    judged = Measured(**{"windows": 300, "windows_effective": 300, "disagreements": 0} | measured | lower)

    assert evaluate_heldout(Gates(min_gain=asked), "classes", judged).code == code


@pytest.mark.parametrize(
    ("known", "asked", "code"),
    [
        (gain(time=None, size=0.1, memory=0.1), ASKED, "no_gain"),
        (gain(time=None, size=0.3, memory=0.1), ASKED, ""),
        (gain(time=None, size=0.9, memory=0.9), MinGain(size=0.0, memory=0.0), "no_gain"),
        (gain(time=None), MinGain(0.0, 0.0, 0.0), ""),
    ],
)
def test_time_that_could_not_be_proved_is_not_gained_in_the_end(known: Gain, asked: MinGain, code: str) -> None:
    judgement = evaluate_measured(Gates(min_gain=asked), 1 << 20, 1.0, known)

    assert judgement.code == code
    assert ("not measurably faster" in judgement.message) is bool(code)
    if code:
        assert evaluate_measured(Gates(min_gain=named(judgement.message)), 1 << 20, 1.0, known).code == ""


def test_memory_beyond_its_gate_is_told_before_what_is_gained() -> None:
    gates = Gates(max_peak_rss_bytes=1 << 20)

    judgement = evaluate_measured(gates, 2 << 20, 1.0, gain())

    assert judgement.code == "memory_too_high"
    assert [one.title for one in judgement.gates] == [
        "max_peak_rss_bytes", "min_gain (time)", "min_gain (size)", "min_gain (memory)"
    ]  # fmt: skip
