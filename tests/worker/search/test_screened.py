"""What a screening adds to a candidate that was scored, before or after it."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as replace_in

from edge_agent.backends import CandidateSpec
from edge_agent.jobs.result import GateResult, MeasuredModel
from edge_agent.jobs.task import Task
from edge_agent.wire.manifest import Gates
from edge_agent.worker.search.policy import COARSE, EvaluatedCandidate
from edge_agent.worker.search.screened import with_speed

AGREEMENT = GateResult("min_agreement", 0.975, 0.99, passed=True)
SCORED = EvaluatedCandidate(
    CandidateSpec("static", "mse"),
    MeasuredModel(method="static", calibration="mse", agreement=0.99, runtime="one", threads=1, gates=[AGREEMENT]),
    passed=True,
    chance=0.9,
)


FLOAT = MeasuredModel(method="float", size_bytes=1000)


def asked(**gates: Any) -> Task:
    return Task(job="j", name="m", version=1, format="onnx", model="m.onnx", gates=Gates(**gates))


def screened(ratio: float) -> MeasuredModel:
    return MeasuredModel(runtime="two", threads=4, latency_p50_ms=ratio, ratio_p50=ratio, ratio_p50_same_runtime=1.0)


def test_it_has_its_speed_and_how_it_is_served_and_keeps_what_it_was_scored_with() -> None:
    item = with_speed(SCORED, screened(0.5), FLOAT, asked(max_latency_ratio=1.0), "classes")

    assert item.passed
    assert item.gains
    assert item.speed_error == COARSE
    assert item.record.preference is not None
    assert (item.chance, item.record.calibration, item.record.agreement) == (0.9, "mse", 0.99)
    assert (item.record.runtime, item.record.threads, item.record.ratio_p50) == ("two", 4, 0.5)
    assert [(gate.name, gate.value) for gate in item.record.gates] == [
        ("min_agreement", 0.99),
        ("max_latency_ratio", 0.5),
    ]


@pytest.mark.parametrize(("ratio", "passed"), [(1.05, True), (1.5, False)])
def test_what_is_slow_says_so_and_passes_only_where_the_full_statistic_may_yet_decide(
    ratio: float,
    passed: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    item = with_speed(SCORED, screened(ratio), FLOAT, asked(max_latency_ratio=1.0), "classes")

    assert item.passed is passed
    assert item.record.code == "latency_too_high"
    assert f"{ratio:g} times as long as float" in (item.record.message or "")


def test_what_gains_too_little_is_known_once_it_is_screened() -> None:
    large = replace(SCORED, record=replace_in(SCORED.record, size_bytes=990))

    assert not with_speed(large, screened(0.99), FLOAT, asked(), "classes").gains
    assert with_speed(large, screened(0.9), FLOAT, asked(), "classes").gains


def test_a_second_screening_takes_the_place_of_the_first() -> None:
    slow = with_speed(SCORED, screened(1.5), FLOAT, asked(max_latency_ratio=1.0), "classes")
    item = with_speed(slow, screened(0.9), FLOAT, asked(max_latency_ratio=1.0), "classes")

    assert item.passed
    assert (item.record.code, item.record.message) == (None, None)
    assert [gate.value for gate in item.record.gates if gate.name == "max_latency_ratio"] == [0.9]


def test_speed_is_no_excuse_for_what_was_got_wrong() -> None:
    record = replace_in(SCORED.record, code="class_lost", message="of 12 windows")
    item = with_speed(replace(SCORED, record=record, passed=False), screened(0.1), FLOAT, asked(), "classes")

    assert not item.passed
    assert (item.record.code, item.record.ratio_p50) == ("class_lost", 0.1)
