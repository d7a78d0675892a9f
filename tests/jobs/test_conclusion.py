from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from edge_agent.errors import CODES
from edge_agent.jobs.conclusion import conclude
from edge_agent.jobs.data_summary import ClassLoss, Data, LabelledSet, Metric
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import GateResult, LayerLoss, MeasuredModel, Result
from edge_agent.jobs.task import OUTCOME_FILE, Stage
from edge_agent.report.text import render

REFERENCE = MeasuredModel(method="float", size_bytes=2048, latency_p50_ms=1.0, accuracy=0.9)
CHOSEN = MeasuredModel(
    method="static", size_bytes=1024, ratio_p50=0.5, windows=300, disagreements=3, agreement=0.99,
    agreement_lower=0.97, gates=[GateResult("min_agreement", 0.95, 0.97, passed=True)],
)  # fmt: skip


def leave(job_dir: Path, result: Result) -> None:
    (job_dir / Stage.CAPTURE).mkdir()
    (job_dir / Stage.CAPTURE / OUTCOME_FILE).write_bytes(msgspec.json.encode(Outcome(results=result)))


@pytest.mark.parametrize(
    ("status", "verdict"), [("succeeded", "accepted"), ("rejected", "rejected"), ("failed", "failed")]
)
def test_every_code_of_a_job_has_a_verdict(tmp_path: Path, status: str, verdict: str) -> None:
    codes = [code for code, meaning in CODES.items() if meaning.status == status]

    assert codes
    assert {conclude(tmp_path, code, "because", {}).verdict for code in codes} == {verdict}


def test_an_accepted_model_is_told_in_numbers(tmp_path: Path) -> None:
    leave(tmp_path, Result(reference=REFERENCE, chosen=CHOSEN))

    result = conclude(tmp_path, "accepted", "", {"capture": 0.12345})

    assert result.message == (
        "int8 does what float does in 297 of 300 held-out windows, takes 0.50 of its time, has 0.50 of its size"
    )
    assert (result.chosen, result.seconds) == (CHOSEN, {"capture": 0.123})
    table = render(result)
    assert "1.0 KiB" in table
    assert "pass  min_agreement: 0.97 (limit 0.95)" in table
    assert table.splitlines()[-1] == f"accepted: {result.message}"


def test_a_refused_model_is_not_chosen(tmp_path: Path) -> None:
    leave(tmp_path, Result(reference=REFERENCE, candidates=[CHOSEN], chosen=CHOSEN))

    result = conclude(tmp_path, "agreement_too_low", "14 of 300 windows disagree", {})

    assert (result.chosen, result.candidates) == (None, [CHOSEN])
    assert render(result).splitlines()[-2:] == [
        "rejected (agreement_too_low): 14 of 300 windows disagree",
        f"to do: {CODES['agreement_too_low'].remedy}",
    ]


def test_layers_that_lose_nothing_are_in_the_report_and_not_in_the_table(tmp_path: Path) -> None:
    faithful = LayerLoss(name="a", op="Conv", sqnr_db=50.0, cause="faithful by itself", remedy="nothing to do")
    wide = LayerLoss(name="b", op="Gemm", sqnr_db=3.0, cause="wide range", remedy="leave it float")
    leave(tmp_path, Result(layers=[faithful, wide]))

    result = conclude(tmp_path, "sqnr_too_low", "3 dB", {})

    assert result.layers == [faithful, wide]
    assert "b (Gemm)" in render(result)
    assert "faithful by itself" not in render(result)


def test_a_job_that_failed_at_once_has_a_table(tmp_path: Path) -> None:
    result = conclude(tmp_path, "model_unreadable", "it is no model", {})

    assert result == Result(verdict="failed", code="model_unreadable", message="it is no model")
    assert render(result).startswith("failed (model_unreadable): it is no model")


def test_what_a_labelled_set_said_is_told(tmp_path: Path) -> None:
    shown = LabelledSet(
        windows=400, windows_effective=400.0, agreement=0.98, decides=True,
        metrics=[Metric("accuracy", 0.952, 0.931, 0.021, 0.0288), Metric("auc", 0.98765, None, None, None)],
        classes=[ClassLoss(2, 40, 38, 21)],
    )  # fmt: skip
    gates = [GateResult("max_accuracy_drop", 0.03, 0.0288, passed=True, on="eval")]
    leave(tmp_path, Result(reference=REFERENCE, chosen=replace(CHOSEN, gates=gates), data=Data(eval=shown)))

    result = conclude(tmp_path, "accepted", "", {})

    lines = render(result).splitlines()
    assert "labelled set of 400 windows:" in lines
    assert "  accuracy: float 0.952, int8 0.931; drop 0.021, at most 0.0288 (95 %)" in lines
    assert "  auc: float 0.9877, int8 -; drop -" in lines
    assert "  class 2: of 40 windows right: float 38, int8 21" in lines
    assert "pass  max_accuracy_drop on the labelled set: 0.0288 (limit 0.03)" in lines
    undecided = replace(result, data=Data(eval=replace(shown, decides=False)))
    assert "labelled set of 400 windows, which does not decide:" in render(undecided)


def test_a_labelled_set_that_did_not_decide_is_in_the_sentence(tmp_path: Path) -> None:
    leave(tmp_path, Result(chosen=CHOSEN, data=Data(eval=LabelledSet(windows=9, decides=False))))

    assert conclude(tmp_path, "accepted", "", {}).message.endswith("; the labelled set did not decide")
