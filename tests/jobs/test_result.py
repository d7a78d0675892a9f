import json
import math
from pathlib import Path

import msgspec
import pytest

from edge_agent.errors import CODES
from edge_agent.jobs.result import conclude
from edge_agent.jobs.task import OUTCOME_FILE, Outcome, Stage, empty_result
from edge_agent.report.text import render
from edge_agent.worker.record import Record, finite

REFERENCE = Record(method="float", size_bytes=2048, latency_p50_ms=1.0, accuracy=0.9).as_dict()
CHOSEN = Record(
    method="static",
    size_bytes=1024,
    ratio_p50=0.5,
    windows=300,
    disagreements=3,
    agreement=0.99,
    agreement_lower=0.97,
    gates=[{"name": "min_agreement", "limit": 0.95, "value": 0.97, "passed": True}],
).as_dict()


def leave(job_dir: Path, stage: Stage, outcome: Outcome) -> None:
    (job_dir / stage).mkdir()
    (job_dir / stage / OUTCOME_FILE).write_bytes(msgspec.json.encode(outcome))


def test_every_code_of_a_job_has_a_verdict(tmp_path: Path) -> None:
    wanted = {"succeeded": "accepted", "rejected": "rejected", "failed": "failed"}

    for code, meaning in CODES.items():
        if meaning.status in wanted:
            assert conclude(tmp_path, code, "because", {})["verdict"] == wanted[meaning.status]


def test_an_accepted_model_is_told_in_numbers(tmp_path: Path) -> None:
    leave(tmp_path, Stage.CAPTURE, Outcome())
    leave(tmp_path, Stage.CALIBRATE, Outcome())
    leave(tmp_path, Stage.QUANTIZE, Outcome(results={"reference": REFERENCE}))
    leave(tmp_path, Stage.VALIDATE, Outcome(results={"chosen": CHOSEN}))

    result = conclude(tmp_path, "accepted", "", {"capture": 0.12345})

    assert result["message"] == (
        "int8 does what float does in 297 of 300 held-out windows, takes 0.50 of its time, has 0.50 of its size"
    )
    assert result["chosen"] == CHOSEN
    assert result["seconds"] == {"capture": 0.123}
    table = render(result)
    assert "1.0 KiB" in table
    assert "pass  min_agreement: 0.97 (limit 0.95)" in table
    assert table.splitlines()[-1] == f"accepted: {result['message']}"


def test_a_refused_model_is_not_chosen(tmp_path: Path) -> None:
    for stage in (Stage.CAPTURE, Stage.CALIBRATE):
        leave(tmp_path, stage, Outcome())
    leave(tmp_path, Stage.QUANTIZE, Outcome(results={"reference": REFERENCE, "candidates": [CHOSEN]}))
    leave(tmp_path, Stage.VALIDATE, Outcome(code="agreement_too_low", results={"chosen": CHOSEN}))

    result = conclude(tmp_path, "agreement_too_low", "14 of 300 windows disagree", {})

    assert result["chosen"] is None
    assert result["candidates"] == [CHOSEN]
    assert render(result).splitlines()[-2:] == [
        "rejected (agreement_too_low): 14 of 300 windows disagree",
        f"to do: {CODES['agreement_too_low'].remedy}",
    ]


def test_layers_that_lose_nothing_are_in_the_report_and_not_in_the_table(tmp_path: Path) -> None:
    faithful = {"name": "a", "op": "Conv", "sqnr_db": 50.0, "cause": "faithful by itself", "remedy": "nothing to do"}
    wide = {"name": "b", "op": "Gemm", "sqnr_db": 3.0, "cause": "wide range", "remedy": "leave it float"}
    for stage in (Stage.CAPTURE, Stage.CALIBRATE):
        leave(tmp_path, stage, Outcome())
    leave(tmp_path, Stage.QUANTIZE, Outcome(code="sqnr_too_low", results={"layers": [faithful, wide]}))

    result = conclude(tmp_path, "sqnr_too_low", "3 dB", {})

    assert result["layers"] == [faithful, wide]
    assert "b (Gemm)" in render(result)
    assert "faithful by itself" not in render(result)


def test_a_job_that_failed_at_once_has_every_key_and_a_table(tmp_path: Path) -> None:
    result = conclude(tmp_path, "model_unreadable", "it is no model", {})

    assert result.keys() == empty_result().keys()
    assert render(result).startswith("failed (model_unreadable): it is no model")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_null(value: float) -> None:
    record = Record(method="static", sqnr_db=value, gates=[{"name": "min_sqnr_db", "value": value}])

    plain = record.as_dict()

    assert plain["sqnr_db"] is None
    assert plain["gates"][0]["value"] is None
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert finite({"a": [value, 1.5, (value,)], "b": "text"}) == {"a": [None, 1.5, [None]], "b": "text"}


def test_what_a_labelled_set_said_is_told() -> None:
    gate = {"name": "max_accuracy_drop", "limit": 0.03, "value": 0.0288, "passed": True, "on": "eval"}
    shown = {
        "windows": 400, "windows_effective": 400.0, "agreement": 0.98, "decides": True,
        "metrics": [
            {"name": "accuracy", "float": 0.952, "int8": 0.931, "drop": 0.021, "drop_upper": 0.0288},
            {"name": "auc", "float": 0.98765, "int8": None, "drop": None, "drop_upper": None},
        ],
        "classes": [{"label": 2, "windows": 40, "float_right": 38, "int8_right": 21}],
    }  # fmt: skip
    result = empty_result() | {"verdict": "accepted", "code": "accepted", "reference": REFERENCE}
    result |= {"chosen": CHOSEN | {"gates": [gate]}, "data": empty_result()["data"] | {"eval": shown}}

    lines = render(result).splitlines()

    assert "labelled set of 400 windows:" in lines
    assert "  accuracy: float 0.952, int8 0.931; drop 0.021, at most 0.0288 (95 %)" in lines
    assert "  auc: float 0.9877, int8 -; drop -" in lines
    assert "  class 2: of 40 windows right: float 38, int8 21" in lines
    assert "pass  max_accuracy_drop on the labelled set: 0.0288 (limit 0.03)" in lines
    shown["decides"] = False
    assert "labelled set of 400 windows, which does not decide:" in render(result)
