"""What a search goes on with where what has passed gains nothing; speeds, sizes and answers are made up."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.captures import context
from support.jobs import make_job

from edge_agent.backends import CandidateSpec
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import read_task
from edge_agent.quant.gain import meets
from edge_agent.quant.prospect import Prospect
from edge_agent.wire.manifest import MinGain
from edge_agent.worker.search.policy import EvaluatedCandidate
from edge_agent.worker.search.preference import costs
from edge_agent.worker.search.search import Search

PRODUCTS = CandidateSpec("dynamic", "", ("MatMul",))
UNIFORM = CandidateSpec("uniform")
OTHER = CandidateSpec("uniform", "", ("MatMul",))
STATIC, AGAIN = CandidateSpec("static", "mse"), CandidateSpec("static", "minmax")
SIZES = {"dynamic": 990, "uniform": 260, "static": 980}


class Evaluator:
    """All candidates are as fast as float and pass, and only one of them is smaller."""

    prospect: Prospect | None = None

    def __init__(self) -> None:
        self.reference = MeasuredModel(method="float", size_bytes=1000, runtime="one", threads=1)

    def blank(self, spec: CandidateSpec) -> MeasuredModel:
        return MeasuredModel(method=spec.method, size_bytes=SIZES[spec.method])

    def screen(self, specs: Sequence[CandidateSpec], **_: Any) -> dict[CandidateSpec, MeasuredModel]:
        return {
            spec: MeasuredModel(size_bytes=SIZES[spec.method], runtime="one", threads=1, ratio_p50=1.0)
            for spec in specs
        }

    def score(self, spec: CandidateSpec, _served: MeasuredModel, _pace: Any) -> EvaluatedCandidate:
        record = MeasuredModel(agreement=1.0, size_bytes=SIZES[spec.method])
        gains = meets(costs(record, self.reference).gain, MinGain())
        return EvaluatedCandidate(spec, record, passed=True, gains=gains, prospect=self.prospect)

    def with_speed(self, item: EvaluatedCandidate, _screened: MeasuredModel) -> EvaluatedCandidate:
        return item


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """One that has screened everything, and scored what gains nothing."""
    model = tmp_path / "m.onnx"
    model.touch()
    (tmp_path / "out").mkdir()
    job_dir = make_job(tmp_path, model, {})
    asked: Any = Evaluator()
    begun = Search(context(job_dir, read_task(job_dir)), asked, 10, budget_s=60.0)
    begun.score([PRODUCTS])
    begun._trials.screen([UNIFORM, STATIC])
    return begun


def methods(items: Iterable[EvaluatedCandidate]) -> list[str]:
    return [item.spec.method for item in items]


def test_what_was_left_out_comes_back_if_it_may_gain(search: Search) -> None:
    search.come_back([PRODUCTS, STATIC, AGAIN, UNIFORM])

    assert methods(search.tried) == ["dynamic", "uniform"]


def test_plain_recipes_are_asked_if_they_may_gain(search: Search) -> None:
    search.try_plain([STATIC, UNIFORM, AGAIN])

    assert methods(search.tried) == ["dynamic", "uniform"]


@pytest.mark.parametrize(("wrong", "tried"), [(0, [UNIFORM]), (4, [UNIFORM, OTHER])])
def test_plain_recipes_are_asked_unless_what_gains_is_likely_to_stand(
    search: Search, wrong: int, tried: list[CandidateSpec]
) -> None:
    evaluator: Any = search._evaluator
    evaluator.prospect = Prospect(wrong=wrong, windows=150, effect=1.0, heldout=300, limit=0.95)
    search.score([UNIFORM])
    evaluator.prospect = None
    search._trials.screen([OTHER])

    search.try_plain([UNIFORM, OTHER])

    assert [item.spec for item in search.tried] == [PRODUCTS, *tried]


def test_nothing_more_is_asked_once_something_gains(search: Search) -> None:
    search.try_plain([UNIFORM])
    search.come_back([STATIC])
    search.try_plain([STATIC, CandidateSpec("dynamic")])

    assert methods(search.tried) == ["dynamic", "uniform"]


class SlowForms:
    """Forms that took half of the budget."""

    seconds = 30.0
    warnings: Sequence[str] = ()


def test_what_forms_took_is_not_taken_from_what_follows(search: Search) -> None:
    search.tried.clear()
    before, forms = search.left_s(), SlowForms()

    search.prove_speed(forms)  # type: ignore[arg-type]  # nothing is left to make a form of

    assert search.left_s() == pytest.approx(before + 30.0, abs=10.0)
