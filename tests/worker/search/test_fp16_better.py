from typing import Any

import pytest
from msgspec.structs import replace

from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import Task
from edge_agent.wire.manifest import Preference, Recipe
from edge_agent.worker.search.fp16_better import with_fp16_finding

MIB = 1 << 20
FLOAT = MeasuredModel(method="float", size_bytes=1000, steady_rss_bytes=40 * MIB)
FP16 = MeasuredModel(
    method="float16", size_bytes=500, ratio_p50=0.6, steady_rss_bytes=30 * MIB, windows=150, disagreements=1,
    agreement=149 / 150,
)  # fmt: skip
INT8 = MeasuredModel(
    method="static", size_bytes=300, ratio_p50=0.9, steady_rss_bytes=35 * MIB, windows=300, disagreements=0,
    agreement=1.0, agreement_lower=0.99,
)  # fmt: skip
SEARCHED = replace(INT8, windows=150, disagreements=2, agreement=148 / 150, agreement_lower=None)


def ended(code: str = "", prefer: Preference = "speed", **changes: Any) -> Result:
    result = Result(reference=FLOAT, fp16=FP16, chosen=INT8, candidates=[SEARCHED], finalist=0)
    outcome = Outcome(code=code, message="why", results=replace(result, **changes))
    task = Task(job="j", name="m", version=1, format="onnx", model="model.onnx", recipe=Recipe(prefer=prefer))
    found = with_fp16_finding(outcome, task)
    assert (found.code, found.message) == (outcome.code, outcome.message)
    assert isinstance(found.results, Result)
    return found.results


def said(result: Result) -> list[str]:
    assert [one.message for one in result.data.findings] == result.data.warnings
    assert {one.code for one in result.data.findings} <= {"fp16_better"}
    return result.data.warnings


def test_fp16_that_is_faster_than_the_accepted_int8_and_no_farther_from_float_is_told_of() -> None:
    (sentence,) = said(ended())

    assert sentence == (
        "on the search set fp16 does better than the int8 that passed: it agrees with float in 149 of 150 windows and "
        "takes 0.60 of its time, 0.50 of its size, 0.75 of its memory, where int8 agrees with float in 148 of 150 "
        "windows and takes 0.90 of its time, 0.30 of its size, 0.88 of its memory; "
        'add "fp16" to [recipe] accept to have it judged'
    )


@pytest.mark.parametrize("prefer", ["speed", "memory"])
def test_better_is_what_the_recipe_prefers(prefer: Preference) -> None:
    assert said(ended(prefer=prefer, fp16=replace(FP16, ratio_p50=0.75)))


def test_a_tenth_of_the_time_may_be_the_error_of_one_process_and_is_no_gain() -> None:
    assert said(ended(fp16=replace(FP16, ratio_p50=0.83))) == []
    assert said(ended(fp16=replace(FP16, ratio_p50=0.81)))


@pytest.mark.parametrize("prefer", ["size", "balanced"])
def test_what_is_larger_by_more_than_it_is_faster_is_no_better(prefer: Preference) -> None:
    assert said(ended(prefer=prefer, fp16=replace(FP16, ratio_p50=0.75))) == []


def test_what_forms_take_is_not_held_for_or_against_a_model_that_was_given_none() -> None:
    """int8 + form are larger than fp16 alone, and float's form takes half of what its model file does."""
    formed = {"chosen": replace(INT8, form_bytes=400), "reference": replace(FLOAT, steady_rss_bytes=20 * MIB)}
    beside_file = replace(FP16, memory_ratio=0.75)

    assert said(ended(prefer="size", **formed)) == []
    (sentence,) = said(ended(prefer="memory", fp16=beside_file, **formed))
    assert "0.50 of its size, 0.75 of its memory, where int8" in sentence
    assert "0.30 of its size" in sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"fp16": None},
        {"fp16": replace(FP16, code="latency_too_high")},
        {"fp16": replace(FP16, agreement=147 / 150)},
        {"fp16": replace(FP16, ratio_p50=0.88)},
        {"chosen": replace(INT8, steady_rss_bytes=None)},
        {"finalist": None},
        {"chosen": None},
    ],
    ids=["none", "refused", "farther", "as-fast", "not-yet-measured", "unknown-finalist", "none-accepted"],
)
def test_nothing_is_said_of_fp16_that_does_no_better(changes: dict[str, Any]) -> None:
    assert said(ended(**changes)) == []


@pytest.mark.parametrize("code", ["no_candidate", "agreement_too_low", "latency_too_high", "no_gain"])
def test_where_int8_is_refused_fp16_that_meets_every_gate_is_told_of(code: str) -> None:
    (sentence,) = said(ended(code, chosen=None))

    assert sentence.startswith("int8 is refused here, and on the search set fp16 meets every gate: it agrees with ")


@pytest.mark.parametrize(
    "code", ["too_few_windows", "labels_unfit", "output_kind_needed", "too_noisy", "out_of_memory"]
)
def test_a_refusal_that_would_be_fp16s_as_well_tells_nothing_of_it(code: str) -> None:
    assert said(ended(code)) == []


def test_a_refused_fp16_is_no_way_out_where_int8_is_refused() -> None:
    assert said(ended("no_gain", fp16=replace(FP16, code="no_gain"))) == []
