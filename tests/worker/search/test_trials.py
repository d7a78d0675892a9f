"""In which order one candidate is screened and scored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.captures import context
from support.jobs import make_job

from edge_agent.backends import CandidateSpec
from edge_agent.errors import ModelError
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import read_task
from edge_agent.worker.search.policy import EvaluatedCandidate
from edge_agent.worker.search.trials import Trials

SPEC = CandidateSpec("static", "mse")
MENDED = replace(SPEC, float_layers=("a",))


class Evaluator:
    """Says what it was asked for. ``wrong``: the specs that fail; ``ratio``: of all that are screened."""

    def __init__(self, *wrong: CandidateSpec, ratio: float = 0.5) -> None:
        self.asked: list[str] = []
        self.wrong = wrong
        self.ratio = ratio
        self.refused: dict[str, ModelError] = {}
        self.runtime = "one"
        self.reference = MeasuredModel(method="float", runtime="one", threads=1)

    def blank(self, spec: CandidateSpec) -> MeasuredModel:
        return MeasuredModel(method=spec.method, float_layers=list(spec.float_layers))

    def screen(self, specs: list[CandidateSpec], processes: int) -> dict[CandidateSpec, MeasuredModel | ModelError]:
        self.asked.append(f"screen {len(specs)} in {processes}")
        served = MeasuredModel(runtime=self.runtime, threads=1, ratio_p50=self.ratio)
        return dict.fromkeys(specs, self.refused.get("screen", served))

    def load(self, _spec: CandidateSpec, _like: MeasuredModel) -> None:
        self.asked.append("load")
        if "load" in self.refused:
            raise self.refused["load"]

    def score(self, spec: CandidateSpec, served: MeasuredModel, _pace: Any) -> EvaluatedCandidate:
        self.asked.append(f"score on {served.runtime}")
        record = MeasuredModel(agreement=0.5 if spec in self.wrong else 1.0, runtime=served.runtime)
        return EvaluatedCandidate(spec, record, passed=spec not in self.wrong)

    def with_speed(self, item: EvaluatedCandidate, screened: MeasuredModel) -> EvaluatedCandidate:
        record = MeasuredModel(agreement=item.record.agreement, ratio_p50=screened.ratio_p50, code=item.record.code)
        return replace(item, record=record)


def trials(folder: Path, evaluator: Evaluator) -> Trials:
    model = folder / "m.onnx"
    model.touch()
    (folder / "out").mkdir()
    job_dir = make_job(folder, model, {})
    asked: Any = evaluator
    return Trials(context(job_dir, read_task(job_dir)), asked, 10, [])


def test_what_fails_is_never_screened(tmp_path: Path) -> None:
    evaluator = Evaluator(SPEC, MENDED)
    search = trials(tmp_path, evaluator)
    search.screen([SPEC])
    search.score(SPEC, 0.1)
    evaluator.asked.clear()

    item = search.attempt(MENDED, SPEC, 0.1)

    assert evaluator.asked == ["load", "score on one"]
    assert item is search.tried[-1]
    assert item.record.ratio_p50 is None


def test_what_passes_is_screened_then(tmp_path: Path) -> None:
    evaluator = Evaluator(SPEC)
    search = trials(tmp_path, evaluator)
    search.screen([SPEC])
    search.score(SPEC, 0.1)
    evaluator.asked.clear()

    item = search.attempt(MENDED, SPEC, 0.1)

    assert evaluator.asked == ["load", "score on one", "screen 1 in 1"]
    assert [one.spec for one in search.tried] == [SPEC, MENDED]
    assert item is not None
    assert item.record.ratio_p50 == 0.5


def test_where_another_runtime_is_faster_it_is_scored_there(tmp_path: Path) -> None:
    evaluator = Evaluator(SPEC)
    search = trials(tmp_path, evaluator)
    search.screen([SPEC])
    search.score(SPEC, 0.1)
    evaluator.runtime = "two"
    evaluator.asked.clear()

    search.attempt(MENDED, SPEC, 0.1)

    assert evaluator.asked == ["load", "score on one", "screen 1 in 1", "score on two"]
    assert len(search.tried) == 2


def test_what_was_planned_and_has_passed_is_screened_first_with_more_float_layers(tmp_path: Path) -> None:
    evaluator = Evaluator()
    search = trials(tmp_path, evaluator)
    search.screen([SPEC])
    search.score(SPEC, 0.1)
    evaluator.asked.clear()

    search.attempt(MENDED, SPEC, 0.1)

    assert evaluator.asked == ["screen 1 in 1", "score on one"]


def test_nothing_is_scored_twice_in_whichever_order_its_float_layers_were_found(tmp_path: Path) -> None:
    """What is doubtful is mended, then refined, and both may come to the same layers."""
    evaluator = Evaluator()
    search = trials(tmp_path, evaluator)
    first = search.attempt(replace(SPEC, float_layers=("a", "b")), SPEC, 0.1)
    evaluator.asked.clear()

    assert search.attempt(replace(SPEC, float_layers=("b", "a")), SPEC, 0.1) is first
    assert evaluator.asked == []
    assert len(search.tried) == 1


def test_what_may_stand_is_screened_if_it_was_not_and_counts_as_passed_in_doubt(tmp_path: Path) -> None:
    evaluator = Evaluator(MENDED)
    search = trials(tmp_path, evaluator)
    item = search.attempt(MENDED, SPEC, 0.1)
    assert item is not None
    evaluator.asked.clear()
    unlucky = replace(item, record=MeasuredModel(agreement=0.95, runtime="one", code="agreement_too_low"))
    search.tried[:] = [unlucky]

    search.let_stand(unlucky)

    assert evaluator.asked == ["screen 1 in 1"]
    [stands] = search.tried
    assert (stands.passed, stands.likely_to_pass, stands.record.ratio_p50) == (True, False, 0.5)


def test_several_that_may_stand_are_found_again_after_each_other(tmp_path: Path) -> None:
    """One that is added says something of the chance and the loss of all, so all are others then."""
    other = replace(SPEC, float_layers=("b",))
    evaluator = Evaluator(MENDED, other)
    search = trials(tmp_path, evaluator)
    for spec in (MENDED, other):
        assert search.attempt(spec, SPEC, 0.1) is not None
    doubtful = MeasuredModel(
        agreement=0.95, runtime="one", code="agreement_too_low", windows=100, disagreements=5, sqnr_db=20.0
    )
    search.tried[:] = [replace(item, record=doubtful) for item in search.tried]

    for item in list(search.tried):
        search.let_stand(item)

    assert [(one.spec, one.passed) for one in search.tried] == [(MENDED, True), (other, True)]


def test_what_is_too_slow_does_not_stand(tmp_path: Path) -> None:
    search = trials(tmp_path, Evaluator(MENDED, ratio=1.5))
    item = search.attempt(MENDED, SPEC, 0.1)
    assert item is not None
    search.tried[:] = [replace(item, record=MeasuredModel(agreement=0.95, runtime="one", code="agreement_too_low"))]

    search.let_stand(search.tried[0])

    assert [one.passed for one in search.tried] == [False]


@pytest.mark.parametrize("where", ["load", "screen"])
def test_what_cannot_be_served_is_dropped_with_the_reason(tmp_path: Path, where: str) -> None:
    evaluator = Evaluator()
    evaluator.refused[where] = ModelError("rewrite_invalid", "crashes")
    search = trials(tmp_path, evaluator)

    assert search.attempt(MENDED, SPEC, 0.1) is None
    assert [(one.record.code, one.record.message) for one in search.tried] == [("rewrite_invalid", "crashes")]
    assert search.attempt(MENDED, SPEC, 0.1) is None
    assert len(search.tried) == 1


def test_what_is_tried_knows_what_it_is_expected_to_lose_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = Evaluator()
    search = trials(tmp_path, evaluator)
    shown = {SPEC: 3, replace(SPEC, operators=("a",)): 6}

    def score(spec: CandidateSpec, _served: MeasuredModel, _pace: Any) -> EvaluatedCandidate:
        record = MeasuredModel(agreement=0.9, disagreements=shown[spec], windows=100, sqnr_db=20.0)
        return EvaluatedCandidate(spec, record, passed=True)

    monkeypatch.setattr(evaluator, "score", score)
    monkeypatch.setattr(evaluator, "with_speed", lambda item, _screened: item)
    search.screen(list(shown))
    for spec in shown:
        search.score(spec, 0.1)

    few, many = (item.penalty for item in search.tried)
    assert 0 < few < many
