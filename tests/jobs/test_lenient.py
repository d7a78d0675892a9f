from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.results import as_json

from edge_agent.jobs.data_summary import ClassLoss, Data, Metric, SetSummary
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import GateResult, LayerLoss, MeasuredModel, Result

FULL = Result(
    verdict="rejected",
    code="agreement_too_low",
    message="14 of 300 windows disagree",
    reference=MeasuredModel(method="float", threads=1),
    candidates=[
        MeasuredModel(method="static", sqnr_db=9.5, gates=[GateResult("min_agreement", 0.95, 0.9, passed=False)])
    ],
    layers=[LayerLoss(name="conv", op="Conv", sqnr_db=3.0)],
    data=Data(heldout=SetSummary(windows=300), classes=[ClassLoss("fall", 40, 38, 21)], warnings=["few rows"]),
    seconds={"capture": 1.5},
)


def test_what_this_version_writes_is_read_as_it_was() -> None:
    assert lenient(as_json(FULL), Result) == FULL


@pytest.mark.parametrize("fields", [None, 7, "text", [], [1], {}, {"unknown": 1}])
def test_what_is_no_result_is_an_empty_one(fields: object) -> None:
    assert lenient(fields, Result) == Result()


def test_a_field_that_does_not_fit_is_unknown_and_takes_nothing_with_it() -> None:
    fields = as_json(FULL)
    fields["verdict"] = "undecided"
    fields["reference"]["threads"] = "many"
    fields["candidates"][0]["sqnr_db"] = {"mean": 9.5}
    fields["candidates"].append("not a record")
    fields["candidates"][0]["gates"].append({"name": "of a newer device", "limit": 1})
    fields["data"]["heldout"] = {"rows": 300}
    fields["data"]["warnings"] = ["few rows", 7]
    fields["seconds"]["calibrate"] = None
    fields["layers"] = {"conv": 3.0}

    found = lenient(fields, Result)

    model = msgspec.structs.replace(FULL.candidates[0], sqnr_db=None)
    assert found == msgspec.structs.replace(
        FULL,
        verdict=None,
        reference=MeasuredModel(method="float"),
        candidates=[model],
        layers=[],
        data=msgspec.structs.replace(FULL.data, heldout=None),
    )


def test_a_field_with_a_name_of_its_own_in_json_is_found() -> None:
    metric = {"name": "auc", "float": 0.9, "int8": "high", "drop": None}

    found = lenient({"data": {"eval": {"windows": 5, "metrics": [metric]}}}, Result)

    assert found.data.eval is not None
    assert found.data.eval.metrics == [Metric("auc", 0.9, None, None)]


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(as_json(FULL) | as_json(FULL)["data"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from(sorted(as_json(FULL))), _JSON))
def test_whatever_comes_is_a_result(fields: dict[str, Any]) -> None:
    found = lenient(fields, Result)

    assert msgspec.json.decode(msgspec.json.encode(found), type=Result) == found
