"""What somebody else's result becomes before it is drawn: bounded, and without numbers that are none."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.jobs.data_summary import Data
from edge_agent.jobs.result import MAX_CANDIDATES, MAX_LAYERS, LayerLoss, MeasuredModel, Result
from edge_agent.jobs.told_result import told_result
from edge_agent.jobs.value_histogram import MAX_BINS, ValueHistogram

VALUES = ValueHistogram(
    low=-1, width=0.5, counts=[7] * MAX_BINS, smallest=-1, largest=31, range_low=-1, range_high=30, zeros=0.25
)


def test_a_result_of_ours_is_told_as_it_is() -> None:
    result = Result(
        verdict="rejected", code="sqnr_too_low", message="m" * 900, finalist=1, seconds={"capture": 1.5},
        candidates=[MeasuredModel(method="static", size_bytes=2**40, pareto=True)] * MAX_CANDIDATES,
        layers=[LayerLoss(name="l", tensor="t", histogram=VALUES)] * MAX_LAYERS, data=Data(warnings=["few rows"]),
    )  # fmt: skip

    assert told_result(msgspec.json.decode(msgspec.json.encode(result))) == result


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e300, -1e300, 10**400, -(2**70)])
def test_a_number_that_cannot_be_is_not_known(wrong: Any) -> None:
    told = told_result({"reference": {"size_bytes": wrong, "latency_p50_ms": wrong}, "seconds": {"capture": wrong}})

    assert told.reference == MeasuredModel()
    assert told.seconds == {}


def test_lists_and_texts_are_bounded() -> None:
    told = told_result({
        "message": "m" * 50_000, "candidates": [{}] * 9000, "layers": [{"name": "x"}] * 9000,
        "data": {"outputs": [{"name": "o", "kind": "raw", "found": "", "groups": [{"channels": "0"}] * 99}] * 99},
    })  # fmt: skip

    assert len(told.message) == 1000
    assert (len(told.candidates), len(told.layers)) == (MAX_CANDIDATES, MAX_LAYERS)
    assert sum(len(one.groups) for one in told.data.outputs) == 32 * 16


def test_brackets_a_thousand_deep_are_nothing() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]

    assert told_result({"data": deep, "message": "m"}) == Result()


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(Result.__struct_fields__), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(Result.__struct_fields__), json_values, max_size=4))
def test_anything_is_a_result(fields: dict[str, Any]) -> None:
    assert json.loads(msgspec.json.encode(told_result(fields)))
