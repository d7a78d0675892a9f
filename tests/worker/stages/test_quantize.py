"""The search on a real model and the real runtime; what goes wrong is made to go wrong in one place at a time."""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.jobs import make_job, run_stages
from support.results import told
from support.speeds import latency, prove, screened_at, screened_by_weights
from support.trained import windows, write_classifier

from edge_agent.backends import CandidateSpec, Range
from edge_agent.backends import onnx as backend
from edge_agent.errors import LimitError, ModelError, RecipeError, StageError
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import Stage
from edge_agent.wire.manifest import Gates, MinGain, Output, Recipe
from edge_agent.worker.__main__ import run
from edge_agent.worker.artefacts import read_chosen, read_ranges
from edge_agent.worker.measure.comparison import Screened
from edge_agent.worker.measure.latency import Decision, Latency, Percentiles
from edge_agent.worker.measure.question import Served
from edge_agent.worker.search import screening, speed_proof, trials
from edge_agent.worker.search import search as module
from edge_agent.worker.search.policy import SAME_SIZE, EvaluatedCandidate

pytestmark = pytest.mark.children(covered=False)

ANY_SPEED = Gates(max_latency_ratio=0)
SURE = Gates(max_latency_ratio=0, min_agreement=0.9)
"""The few windows of these jobs prove it with near certainty, so the preferred candidate stands alone."""
STATIC = Recipe(method="static", search_budget_s=600)
"""The method with the most candidates, and the only one whose structures differ in operators."""
BRIEF = Recipe(method="static", search_budget_s=1e-6)
"""No time but for the first candidate."""
MINMAX = Recipe(method="static", calibration="minmax", search_budget_s=600)
"""The same with a third of the candidates, where it is not about what is tried."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "classifier.onnx")


@pytest.fixture(autouse=True)
def known_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which candidate is the fastest is the same on every machine; the real screening has its own tests."""
    monkeypatch.setattr(screening, "screen", screened_by_weights)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The full latency statistic is its own test's subject; here it says yes."""
    prove(monkeypatch, lambda *_, **__: latency(Decision.ACCEPTED))


def fresh_job(folder: Path, model: Path, **task: Any) -> Path:
    arrays = {"x": windows(240, seed=2)[0]}
    return make_job(folder, model, arrays, **{"gates": ANY_SPEED, "recipe": STATIC, **task})


def search(folder: Path, model: Path, **task: Any) -> tuple[Outcome, Path]:
    job_dir = fresh_job(folder, model, **task)
    return run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE), job_dir / "quantize"


def test_the_best_is_frozen_with_all_that_its_verdict_needs_and_progress_only_grows(
    tmp_path: Path, model: Path, quick: None
) -> None:
    job_dir = fresh_job(tmp_path, model, gates=SURE)
    for stage in (Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE):
        lines = io.StringIO()
        outcome = run(stage, job_dir, lines)

        assert outcome.code == ""
        fractions = [json.loads(line)["fraction"] for line in lines.getvalue().splitlines()]
        assert fractions
        assert fractions == sorted(fractions)
        assert 0 <= fractions[0] <= fractions[-1] <= 1
    folder = job_dir / "quantize"
    chosen = read_chosen(folder)
    records = told(outcome)["candidates"]
    assert records[chosen.number]["calibration"] == chosen.spec.calibration
    assert records[chosen.number]["ratio_p50_upper"] == pytest.approx(0.55)
    assert chosen.output.kind == "classes"
    assert chosen.ratio_lower == pytest.approx(0.45)
    assert chosen.reference.latency_p99_ms == 3.0
    assert backend.check(folder.parent / "model.onnx", folder / "chosen.onnx")["int8_weights"] == 3
    assert sorted(path.name for path in folder.iterdir()) == [
        "candidates.json", "chosen.json", "chosen.onnx", "outcome.json",
    ]  # fmt: skip
    whole = [(place, record) for place, record in enumerate(records) if not record["float_layers"]]
    others = [record for place, record in whole if place != chosen.number]
    assert chosen.record.float_layers == []
    assert {record["ratio_p50"] for record in others} == {0.7}, "all are one speed, so the smallest is the best"
    smallest = min(record["size_bytes"] for record in others)
    assert records[chosen.number]["size_bytes"] <= smallest * (1 + SAME_SIZE)


def test_of_one_structure_the_closest_to_float_is_frozen(
    tmp_path: Path, model: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its range methods differ in nothing else; here every structure has them all, and nothing is left float."""
    monkeypatch.setattr(module, "halving", lambda _ratios, specs, *_: iter(specs))
    monkeypatch.setattr(module.Search, "try_mixed_precision", lambda *_: None)

    outcome, folder = search(tmp_path, model)

    records, chosen = told(outcome)["candidates"], read_chosen(folder)
    one = records[chosen.number]
    others = [record for record in records if structure_of(record) == structure_of(one) and record is not one]
    assert {record["calibration"] for record in [one, *others]} == {"mse", "percentile", "minmax"}
    assert one["sqnr_db"] > max(record["sqnr_db"] for record in others)
    assert one["agreement"] >= max(record["agreement"] for record in others)


def structure_of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(record[key] for key in ("method", "operators", "types", "per_channel"))


def test_auto_tries_every_method(tmp_path: Path, model: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "worth_scoring", lambda *_: True)

    outcome, _ = search(tmp_path, model, recipe=Recipe(search_budget_s=600))

    assert outcome.code == ""
    scored = {
        (record["method"], record["operators"], record["calibration"])
        for record in told(outcome)["candidates"]
        if record["agreement"] is not None and record["ratio_p50"] is not None
    }
    assert scored == {
        *(("static", operators, ranges) for operators in ("all", "core") for ranges in ("mse", "percentile", "minmax")),
        ("dynamic", "products", None),
        ("uniform", "all", None),
    }


@pytest.mark.parametrize(("method", "weights", "operators"), [("uniform", 3, "all"), ("dynamic", 2, "products")])
def test_a_method_without_ranges_needs_no_calibration_pass(
    tmp_path: Path, model: Path, quick: None, method: Any, weights: int, operators: str
) -> None:
    outcome, folder = search(tmp_path, model, recipe=Recipe(method=method, search_budget_s=1e-6))

    assert outcome.code == ""
    chosen = read_chosen(folder)
    assert {record["method"] for record in told(outcome)["candidates"]} == {method}
    assert told(outcome)["candidates"][chosen.number]["calibration"] is None
    assert chosen.record.agreement is not None
    assert chosen.record.agreement >= 0.975
    if chosen.record.operators == operators:
        counts = backend.check(folder.parent / "model.onnx", folder / "chosen.onnx")
        assert counts["int8_weights"] == weights
    assert read_ranges(folder.parent / "calibrate").ranges == {}
    assert told(outcome)["layers"]
    assert all(layer["activations_sqnr_db"] is None for layer in told(outcome)["layers"])


def test_a_candidate_whose_proof_cannot_end_in_time_is_not_begun(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "expected_s", lambda _reference_ms: 1000.0)

    outcome, _ = search(tmp_path, model, recipe=BRIEF)

    assert outcome.code == "no_candidate"
    assert "search_budget_s" in outcome.message
    assert told(outcome)["candidates"] == []


def test_where_nothing_can_be_built_per_channel_it_is_per_tensor(
    tmp_path: Path, model: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite = backend.rewrite

    def only_per_tensor(prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, out: Path) -> None:
        if spec.per_channel:
            raise ModelError("rewrite_invalid", "axis 1 is out of range")
        rewrite(prepared, ranges, spec, out)

    monkeypatch.setattr(backend, "rewrite", only_per_tensor)

    outcome, folder = search(tmp_path, model, recipe=MINMAX)

    assert outcome.code == ""
    assert not read_chosen(folder).spec.per_channel
    dropped = [record for record in told(outcome)["candidates"] if record["code"] == "rewrite_invalid"]
    assert dropped
    assert all(record["per_channel"] and record["agreement"] is None for record in dropped)


def test_a_model_on_which_the_runtime_crashes_is_never_opened_here(
    tmp_path: Path, model: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise StageError("stage_crashed", "a measurement was killed by SIGSEGV")

    def only_float(models: list[Served], *_: Any, **__: Any) -> list[Screened]:
        if len(models) > 1:
            crash()
        return screened_at(1.0)(models)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("opened in this process")

    monkeypatch.setattr(screening, "ask", crash)
    monkeypatch.setattr(screening, "screen", only_float)
    monkeypatch.setattr(backend, "check", never)

    outcome, folder = search(tmp_path, model, recipe=MINMAX)

    assert outcome.code == "no_candidate"
    assert "SIGSEGV" in outcome.message
    assert not (folder / "chosen.onnx").exists()
    assert told(outcome)["layers"] == []


def test_a_finalist_that_is_too_slow_gives_way_to_another_structure(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[str] = []

    def compare(_reference: Any, target: Served, *_: Any, **__: Any) -> Latency:
        timed.append(target.path)
        return latency(Decision.SLOWER, 1.4) if len(timed) == 1 else latency(Decision.ACCEPTED)

    prove(monkeypatch, compare)
    monkeypatch.setattr(module, "worth_scoring", lambda *_: True)

    outcome, folder = search(tmp_path, model)

    assert outcome.code == ""
    assert len(timed) == 2
    keys = ("operators", "types", "per_channel", "float_layers")
    refused = [record for record in told(outcome)["candidates"] if record["code"] == "latency_too_high"]
    slow = [[record[key] for key in keys] for record in refused]
    assert slow
    assert all(one == slow[0] for one in slow), "what was timed holds for each range method of one structure"
    chosen = read_chosen(folder).record
    assert slow[0] != [getattr(chosen, key) for key in keys]


def test_no_finalist_fast_enough_is_told_in_numbers(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(monkeypatch, lambda *_, **__: latency(Decision.SLOWER, 1.3))

    outcome, folder = search(tmp_path, model)

    assert outcome.code == "latency_too_high"
    assert outcome.message.startswith("int8 refused: ")
    assert told(outcome)["reference"]["latency_p50_ms"] == 1.0
    assert "1.3" in outcome.message
    assert told(outcome)["layers"]
    assert not (folder / "chosen.json").exists()


def test_a_structure_that_is_screened_as_too_slow_is_not_timed_further(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(monkeypatch, lambda *_, **__: pytest.fail("no finalist"))
    monkeypatch.setattr(screening, "screen", screened_at(1.2))

    outcome, _ = search(tmp_path, model, gates=Gates(), recipe=MINMAX)

    assert outcome.code == "latency_too_high"
    assert outcome.message.startswith("int8 refused: int8 takes 1.2 times as long as float here")
    assert told(outcome)["reference"]["latency_p50_ms"] == 1.0
    speed = {"name": "max_latency_ratio", "limit": 1.02, "value": 1.2, "passed": False, "margin": 0.02}
    for record in told(outcome)["candidates"]:
        assert record["agreement"] >= 0.975
        assert speed in record["gates"]


def test_a_near_miss_of_the_screen_is_decided_by_the_full_statistic(
    tmp_path: Path, model: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "screen", screened_at(1.05))

    outcome, folder = search(tmp_path, model, gates=Gates(), recipe=MINMAX)

    assert outcome.code == ""
    speed = next(gate for gate in read_chosen(folder).record.gates if gate.name == "max_latency_ratio")
    assert (speed.limit, speed.value, speed.passed) == (1.02, pytest.approx(0.55), True)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (MinGain(time=0.05, size=0.95, memory=0.0), "no_gain"),
        (MinGain(time=0.05, size=0.95, memory=0.2), ""),  # memory is measured later, and decides
        (MinGain(time=0.05, size=0.2, memory=0.0), ""),
        (MinGain(time=0.009, size=0.95, memory=0.0), ""),
    ],
)
def test_what_is_gained_is_asked_before_the_held_out_set_is_opened(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, asked: MinGain, code: str
) -> None:
    """Time is proved to be 1 % less, the file is about a third of float's."""
    prove(monkeypatch, lambda *_, **__: latency(Decision.ACCEPTED, 0.9))

    outcome, folder = search(tmp_path, model, gates=Gates(min_gain=asked), recipe=MINMAX)

    assert outcome.code == code, outcome.message
    assert (folder / "chosen.json").exists() is not bool(code)
    if code:
        assert outcome.message.startswith("int8 refused: int8 would be 1 % faster and "), outcome.message
        refused = [one for one in told(outcome)["candidates"] if one["code"] == code]
        assert {gate["axis"] for one in refused for gate in one["gates"] if "axis" in gate} == {"time", "size"}
    else:
        gates = read_chosen(folder).record.gates
        assert all(gate.passed for gate in gates)


def test_over_budget_a_doubtful_candidate_that_is_fast_follows_on_a_sure_one_that_is_not(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Static candidates are fast and doubtful, the others sure and slow; one measurement uses up the budget."""
    asked: list[bool] = []

    def fast(served: Served) -> bool:
        content = Path(served.path).read_bytes()
        return b"QuantizeLinear" in content and b"DynamicQuantizeLinear" not in content

    def screen(models: list[Served], *_: Any, **__: Any) -> list[Screened]:
        ratios = [0.3 if fast(one) else 1.0 for one in models]
        return [Screened(Percentiles(ratio, ratio, ratio), (ratio,)) for ratio in ratios]

    def compare(_reference: Served, target: Served, *_: Any, **__: Any) -> Latency:
        asked.append(fast(target))
        return latency(Decision.ACCEPTED, 0.3) if fast(target) else latency(Decision.SLOWER, 1.01)

    def with_chances(tried: list[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
        return [replace(one, chance=0.6 if one.record.ratio_p50 == 0.3 else 1.0) for one in tried]

    monkeypatch.setattr(screening, "screen", screen)
    prove(monkeypatch, compare)
    monkeypatch.setattr(trials, "with_chances", with_chances)
    monkeypatch.setattr(speed_proof, "second_finalists", lambda *_: [])
    monkeypatch.setattr(module.Search, "left_s", lambda _self: -1.0 if asked else 1000.0)

    outcome, folder = search(tmp_path, model, gates=Gates(latency_margin=0.0), recipe=Recipe())

    assert outcome.code == ""
    assert asked == [False, True]
    assert read_chosen(folder).record.method == "static"
    assert any("in doubt" in warning and "60%" in warning for warning in told(outcome)["data"]["warnings"])


def screened_by_threads(models: list[Served], *_: Any, **__: Any) -> list[Screened]:
    """Float is fastest on two threads, int8 on one; the others take twice as long."""

    def ms(served: Served) -> float:
        return 1.0 if (served.threads == 2) == (Path(served.path).name == "model.onnx") else 2.0

    return [Screened(Percentiles(ms(one), ms(one), ms(one)), (ms(one),)) for one in models]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_float_and_int8_are_each_served_on_the_threads_that_suit_them(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[Served, Served, Served | None]] = []

    def compare(reference: Served, target: Served, *_: Any, same: Served | None, **__: Any) -> Latency:
        compared.append((reference, target, same))
        return latency(Decision.ACCEPTED)

    monkeypatch.setattr(screening, "screen", screened_by_threads)
    prove(monkeypatch, compare)

    outcome, folder = search(tmp_path, model, gates=SURE, recipe=Recipe(method="static", threads=(1, 2)))

    assert outcome.code == ""
    chosen = read_chosen(folder)
    assert (chosen.reference.threads, chosen.record.threads) == (2, 1)
    [(reference, target, same)] = compared
    assert (reference.threads, target.threads) == (2, 1)
    assert same == Served(reference.path, "onnxruntime", threads=1)
    assert {record["ratio_p50_same_runtime"] for record in told(outcome)["candidates"][1:]} <= {0.5, None}


def test_the_budget_ends_the_search_with_the_best_so_far(tmp_path: Path, model: Path, quick: None) -> None:
    outcome, _ = search(tmp_path, model, recipe=BRIEF)

    assert outcome.code == ""
    assert len(told(outcome)["candidates"]) == 1


def test_a_search_that_its_budget_ends_with_nothing_says_so(
    tmp_path: Path, model: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.worker.stages.quantize.ENOUGH", 1)
    outcome, _ = search(tmp_path, model, recipe=BRIEF, gates=Gates(min_sqnr_db=200, max_latency_ratio=0))

    assert outcome.code == "sqnr_too_low"
    [told_of] = [one for one in told(outcome)["data"]["warnings"] if "ended at its budget" in one]
    assert "[recipe] search_budget_s = 2e-06 may find more" in told_of


def test_a_budget_that_ends_while_screening_still_scores_what_was_screened(
    tmp_path: Path, model: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite = backend.rewrite

    def only_core(prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, out: Path) -> None:
        if not spec.operators:
            raise ModelError("rewrite_invalid", "axis 1 is out of range")
        rewrite(prepared, ranges, spec, out)

    monkeypatch.setattr(backend, "rewrite", only_core)

    outcome, folder = search(tmp_path, model, recipe=BRIEF)

    assert outcome.code == ""
    assert read_chosen(folder).spec.operators


def test_the_kind_in_the_manifest_is_the_one_judged_by(tmp_path: Path, model: Path, quick: None) -> None:
    outcome, folder = search(tmp_path, model, recipe=BRIEF, output=Output(kind="regression", tolerance=0.5))

    assert told(outcome)["data"]["output"] == {"kind": "regression", "found": "set in [output]"}
    assert read_chosen(folder).output == Output(kind="regression", tolerance=0.5)


def test_memory_that_runs_out_while_measuring_is_no_refusal(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: Any, **__: Any) -> None:
        raise LimitError("out_of_memory", "not even one model fits")

    monkeypatch.setattr(screening, "screen", too_large)

    with pytest.raises(LimitError):
        search(tmp_path, model)


def test_a_float_model_that_answers_with_nan_is_refused(tmp_path: Path, model: Path) -> None:
    huge = np.sign(windows(240, seed=2)[0]) * np.float32(3e38)
    job_dir = make_job(tmp_path, model, {"x": huge}, gates=ANY_SPEED)

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE)

    assert outcome.code == "non_finite"


def test_integers_at_the_ends_are_not_for_onnx(tmp_path: Path, model: Path) -> None:
    with pytest.raises(RecipeError, match=r"io 'int8' is for \.tflite"):
        search(tmp_path, model, recipe=Recipe(io="int8"))


def test_a_budget_that_the_stage_has_no_time_for_is_cut_and_said(tmp_path: Path, model: Path, quick: None) -> None:
    recipe = Recipe(method="static", calibration="minmax", search_budget_s=500)

    outcome, _ = search(tmp_path, model, recipe=recipe, stage_timeout_s=400)

    assert outcome.code == ""
    assert any("the search had 280 s" in warning for warning in told(outcome)["data"]["warnings"])
