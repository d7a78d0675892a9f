"""Candidates that the search set refuses for counts alone, and that the held-out set is asked about even so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replace_in
from support.jobs import make_job, run_stages
from support.results import read_results
from support.trained import windows

from edge_agent.backends import CandidateSpec
from edge_agent.jobs.result import GateResult, MeasuredModel
from edge_agent.jobs.task import Stage
from edge_agent.quant.findings import Measured
from edge_agent.quant.prospect import Prospect
from edge_agent.wire.manifest import Gates, Recipe
from edge_agent.worker.search.doubt import WORTH_ASKING, likeliest, may_stand
from edge_agent.worker.search.evaluator import CandidateEvaluator
from edge_agent.worker.search.policy import FINALISTS, EvaluatedCandidate

FEW, MANY = 33, 200
"""Search windows, none of which may disagree, and held-out windows, four of which may."""


def refused(
    wrong: int, *, windows: int = FEW, name: str = "", sqnr_db: float = 20.0, code: str = "agreement_too_low"
) -> EvaluatedCandidate:
    prospect = Prospect(wrong, windows, 1.0, MANY, 0.95)
    gates = [GateResult("min_agreement", 0.975, 1 - wrong / windows, passed=False)]
    record = MeasuredModel(
        method="static", ratio_p50=0.5, agreement=1 - wrong / windows, sqnr_db=sqnr_db, code=code, gates=gates
    )
    return EvaluatedCandidate(CandidateSpec("static", name), record, False, prospect.chance(), prospect)


def test_one_of_a_few_windows_is_worth_the_proof_and_many_are_not() -> None:
    assert may_stand(refused(1))
    assert refused(4).chance < WORTH_ASKING
    assert not may_stand(refused(4))
    assert may_stand(refused(4, windows=150)), "one more than half of what the verdict permits"


def test_what_also_fails_otherwise_is_not_asked_for() -> None:
    ruined = GateResult("min_sqnr_db", 10.0, 3.0, passed=False)
    slow = GateResult("max_latency_ratio", 1.0, 1.5, passed=False)
    one = refused(1)

    assert not may_stand(replace(one, record=replace_in(one.record, gates=[*one.record.gates, ruined])))
    assert may_stand(replace(one, record=replace_in(one.record, gates=[*one.record.gates, slow]))), "a screening's word"
    assert not may_stand(refused(1, code="class_lost"))
    assert not may_stand(replace(one, passed=True))


def test_where_labels_decide_that_the_search_set_lacks_agreement_is_a_hint() -> None:
    assert may_stand(replace(refused(3), prospect=None)), "30 of 33 agree"
    assert not may_stand(replace(refused(4), prospect=None))


def test_the_likeliest_come_first_and_of_one_chance_the_closest() -> None:
    far, near, unlikely = (
        refused(1, name="far", sqnr_db=10),
        refused(1, name="near", sqnr_db=30),
        refused(2, name="bad"),
    )
    more = [refused(1, name=str(number)) for number in range(FINALISTS)]

    assert [item.spec.calibration for item in likeliest([unlikely, far, near])] == ["near", "far", "bad"]
    assert len(likeliest([*more, far])) == FINALISTS


@pytest.mark.children(covered=False)
@pytest.mark.usefixtures("speed_passes")
@pytest.mark.parametrize(("wrong", "code"), [(1, ""), (6, "agreement_too_low")])
def test_the_held_out_set_decides_where_few_search_windows_do_not(
    tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch, wrong: int, code: str
) -> None:
    """A search of 33 windows, of which so many are made to disagree; in truth none does."""
    score = CandidateEvaluator.score

    def unlucky(self: CandidateEvaluator, *asked: Any) -> EvaluatedCandidate:
        item = score(self, *asked)
        told = refused(wrong)
        record = replace_in(item.record, code=told.record.code, message=f"{wrong} of 33", gates=told.record.gates)
        return replace(item, record=record, passed=False, chance=told.chance, prospect=told.prospect)

    monkeypatch.setattr(CandidateEvaluator, "score", unlucky)
    data, held = {"x": windows(240, seed=2)[0]}, {"x": windows(MANY, seed=3)[0]}
    uniform = Recipe(method="uniform", search_budget_s=1e-6)
    job_dir = make_job(tmp_path, classifier, data, held, recipe=uniform, gates=Gates(max_latency_ratio=0))

    searched = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert searched.code == code
    if not code:
        warnings = read_results(job_dir)["data"]["warnings"]
        assert any("in doubt: 1 of 33 search windows" in warning for warning in warnings)
        assert run_stages(job_dir, Stage.VALIDATE).code == ""
        assert read_results(job_dir)["chosen"]["agreement"] >= 0.99


@pytest.mark.children(covered=False)
@pytest.mark.usefixtures("speed_passes")
def test_a_pass_goes_on_for_as_long_as_the_held_out_set_may_accept(
    tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """26 of 1,000 search windows are one too many, and the held-out set would mostly accept it."""
    asked: dict[int, bool] = {}

    def looked_at(self: CandidateEvaluator, *_: Any) -> EvaluatedCandidate:
        self._floats.windows = 1000
        for wrong in (25, 26, 100):
            asked[wrong] = self._goes_on(_Seen(wrong))  # type: ignore[arg-type]  # all that is asked of a score
        return refused(wrong)

    monkeypatch.setattr(CandidateEvaluator, "score", looked_at)
    data, held = {"x": windows(240, seed=2)[0]}, {"x": windows(300, seed=3)[0]}
    uniform = Recipe(method="uniform", search_budget_s=1e-6)
    job_dir = make_job(tmp_path, classifier, data, held, recipe=uniform, gates=Gates(max_latency_ratio=0))
    run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert asked == {25: True, 26: True, 100: False}


class _Seen:
    """What a part of a pass showed."""

    def __init__(self, wrong: int) -> None:
        self._wrong = wrong

    def measured(self) -> Measured:
        return Measured(windows=500, windows_effective=500, disagreements=self._wrong)
