from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.backends import CandidateSpec, Scheme
from edge_agent.errors import RecipeError
from edge_agent.jobs.result import GateResult, MeasuredModel
from edge_agent.wire.manifest import Gates, Recipe
from edge_agent.worker.search.listing import pareto, select_for_report
from edge_agent.worker.search.policy import (
    FLOAT16,
    EvaluatedCandidate,
    closest,
    describe,
    most_time,
    plan,
    range_methods,
    structure,
)
from edge_agent.worker.search.refusal import why_none
from edge_agent.worker.search.rounds import by_speed
from edge_agent.worker.search.space import SearchSpace
from edge_agent.worker.search.tail import NO_TAIL, Tail

CORE = ("Conv", "MatMul")
PRODUCTS = ("Gemm", "MatMul")
PRESENT = ("Conv", "Add")
SCHEMES = (Scheme("u8s8", per_channel=True), Scheme("u8u8", per_channel=False))


def planned(recipe: Recipe, present: Sequence[str] = PRESENT, tail: Tail = NO_TAIL) -> list[CandidateSpec]:
    weighted = {"Conv", *PRODUCTS}.intersection(present)
    return plan(SearchSpace(recipe, present, weighted, CORE, PRODUCTS, lambda _: SCHEMES), tail)


def tried(
    ratio: float | None, agreement: float | None, *, sqnr: float | None = 20.0, passed: bool = True, **more: Any
) -> EvaluatedCandidate:
    record = MeasuredModel(method="static", ratio_p50=ratio, agreement=agreement, sqnr_db=sqnr, **more)
    return EvaluatedCandidate(CandidateSpec(method="static"), record, passed)


def test_static_tries_both_operator_sets_with_every_range_method() -> None:
    specs = planned(Recipe(method="static"))

    assert len(specs) == len(set(specs))
    assert {(spec.operators, spec.types, spec.per_channel, spec.calibration) for spec in specs} == {
        (operators, *scheme, method)
        for operators in ((), CORE)
        for scheme in SCHEMES
        for method in ("minmax", "percentile", "mse")
    }
    assert {spec.method for spec in specs} == {"static"}


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(method="static"), Recipe(method="uniform")])
def test_accepting_fp16_adds_one_candidate_behind_those_of_the_method(recipe: Recipe) -> None:
    both = msgspec.structs.replace(recipe, accept=("int8", "fp16"))

    assert planned(both) == [*planned(recipe), FLOAT16]
    assert FLOAT16 not in planned(recipe)


def test_fp16_alone_plans_nothing_of_int8_and_needs_no_ranges() -> None:
    recipe = Recipe(accept=("fp16",))

    assert planned(recipe) == [FLOAT16]
    assert range_methods(recipe) == ()
    assert describe(MeasuredModel(method="float16")) == "float16"


def test_a_model_of_core_operators_only_has_one_operator_set() -> None:
    assert {spec.operators for spec in planned(Recipe(method="static"), ["Conv"])} == {()}


def test_what_static_int8_can_hold_nothing_of_has_no_static_candidate() -> None:
    assert {spec.method for spec in planned(Recipe(), ())} == {"uniform"}
    assert planned(Recipe(method="static"), (), Tail(("add",), frozenset({"Conv"}))) == []
    assert planned(Recipe(method="dynamic"), ()) == []


def test_a_float_tail_is_planned_beside_the_others_and_tried_first_however_slow() -> None:
    specs = planned(Recipe(method="static"), ["Conv", "Add"], Tail(("add", "join"), frozenset({"Conv", "Add"})))
    tail = [spec for spec in specs if spec.float_layers]
    ratios = {structure(spec): 0.9 if spec.float_layers else 0.3 for spec in specs}

    assert {spec.float_layers for spec in tail} == {("add", "join")}
    assert {spec.operators for spec in tail} == {()}
    assert {spec.calibration for spec in specs if not (spec.float_layers or spec.operators)} == {"mse"}
    assert [one for one in specs if one.operators] == [
        one for one in planned(Recipe(method="static"), ["Conv", "Add"]) if one.operators
    ]
    assert [bool(spec.float_layers) for spec in by_speed(ratios, specs)][:6] == [True, True, False, False, False, False]


def test_what_is_too_slow_to_pass_is_scored_last_and_once() -> None:
    specs = planned(Recipe(method="static"))
    every, core = structure(specs[0]), structure(specs[-1])

    order = by_speed({every: 1.2, core: 0.5}, specs, limit=most_time(Gates()))

    assert [spec.operators for spec in order] == [CORE, CORE, CORE, ()]
    assert by_speed({every: 1.2, core: 1.3}, specs, most_time(Gates())) == by_speed({every: 1.2, core: 1.3}, specs)
    assert len(by_speed({every: 1.2, core: 0.5}, specs, most_time(Gates(max_latency_ratio=0)))) == 6


def test_core_operators_are_planned_only_where_they_are_not_all_before_the_tail() -> None:
    specs = planned(Recipe(method="static"), ["Conv", "Add"], Tail(("add",), frozenset({"Conv"})))

    assert {(spec.operators, spec.float_layers) for spec in specs} == {((), ("add",)), ((), ())}


def test_a_model_with_int8_ends_has_no_float_tail() -> None:
    recipe = Recipe(method="static", io="int8")

    assert planned(recipe, tail=Tail(("add",), frozenset({"Conv"}))) == planned(recipe)


@pytest.mark.parametrize("method", ["minmax", "entropy"])
def test_a_named_calibration_is_the_only_one(method: Any) -> None:
    assert {spec.calibration for spec in planned(Recipe(calibration=method), ["MatMul"])} == {method}


@pytest.mark.parametrize("recipe", [Recipe(method="dynamic", calibration="mse"), Recipe("uniform", "minmax")])
def test_ranges_for_a_method_that_has_none_are_a_contradiction(recipe: Recipe) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(recipe)

    assert caught.value.code == "recipe_unsupported"
    assert repr(recipe.method) in caught.value.message
    assert repr(recipe.calibration) in caught.value.message


def test_methods_without_ranges_find_none() -> None:
    assert range_methods(Recipe(method="dynamic")) == range_methods(Recipe(method="uniform")) == ()


def test_auto_tries_every_method_where_there_are_products() -> None:
    specs = planned(Recipe(), ["Conv", "Gemm", "Add"])

    assert {(spec.method, spec.operators) for spec in specs} == {
        ("static", ()), ("static", CORE), ("dynamic", PRODUCTS), ("uniform", ()),
    }  # fmt: skip


def test_auto_quantizes_no_convolution_as_it_comes() -> None:
    assert {spec.method for spec in planned(Recipe(), ["Conv", "Add"])} == {"static", "uniform"}


@pytest.mark.parametrize(
    ("present", "sets"),
    [(["Conv", "Relu"], [()]), (["Gemm", "Relu"], [PRODUCTS]), (["Conv", "Gemm"], [PRODUCTS, ()])],
)
def test_dynamic_by_name_tries_convolutions_too(present: list[str], sets: list[tuple[str, ...]]) -> None:
    specs = planned(Recipe(method="dynamic"), present)

    assert list(dict.fromkeys(spec.operators for spec in specs)) == sets
    assert {spec.method for spec in specs} == {"dynamic"}


def test_uniform_by_name_is_one_candidate_a_scheme() -> None:
    assert planned(Recipe(method="uniform")) == [
        CandidateSpec("uniform", types=types, per_channel=per_channel) for types, per_channel in SCHEMES
    ]


def test_the_fastest_structure_is_scored_first_and_one_that_does_not_load_not_at_all() -> None:
    specs = planned(Recipe(method="static"))
    every, core = structure(specs[0]), structure(specs[-1])

    assert [spec.operators for spec in by_speed({every: 1.2, core: 0.5}, specs)] == [CORE, ()] * 3
    assert every != core
    assert {spec.operators for spec in by_speed({core: 0.5}, specs)} == {CORE}


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 3), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_pareto_front_is_what_nothing_dominates(points: list[tuple[float, float]]) -> None:
    records = [tried(ratio, agreement).record for ratio, agreement in points]

    front = pareto(records)

    assert any(front)
    for (ratio, agreement), on_front in zip(points, front, strict=True):
        beaten = any((r < ratio and a >= agreement) or (r <= ratio and a > agreement) for r, a in points)
        assert on_front is not beaten


def test_a_record_that_was_never_measured_is_not_on_the_front() -> None:
    assert pareto([tried(None, None).record, tried(0.5, 0.9).record]) == [False, True]


def test_the_closest_is_found_among_those_that_ran() -> None:
    near = tried(2.0, 0.9, passed=False)

    assert closest([tried(None, None, passed=False), tried(0.5, 0.4, passed=False), near]) is near
    assert closest([tried(None, None, passed=False)]) is None


CLOSE = {"operators": "core", "calibration": "mse"}


def test_speed_is_the_most_telling_reason() -> None:
    wrong = tried(0.5, 0.4, passed=False, code="agreement_too_low", message="half of them disagree")
    late = tried(1.3, 1.0, passed=False, code="latency_too_high", message="int8 takes 1.3 times as long", **CLOSE)
    later = tried(1.9, 1.0, passed=False, code="latency_too_high", message="int8 takes 1.9 times as long")

    assert why_none([wrong, later, late]) == (
        "latency_too_high", "int8 refused: int8 takes 1.3 times as long (static, core operators, mse ranges)",
    )  # fmt: skip


def test_what_gains_nothing_is_told_by_the_best_of_each_axis_before_speed_that_would_gain_nothing_either() -> None:
    late = tried(1.3, 1.0, passed=False, code="latency_too_high", message="int8 takes 1.3 times as long")
    smaller = tried(1.9, 1.0, passed=False, code="latency_too_high", message="int8 takes 1.9 times as long")
    late = replace(late, gains=False)
    worthless = [
        tried(ratio, 1.0, passed=False, code="no_gain", message="too little", gates=[
            GateResult("max_latency_ratio", 1.02, ratio, passed=True),
            GateResult("min_gain", 0.05, 1 - ratio, passed=False, axis="time"),
            GateResult("min_gain", 0.2, size, passed=False, axis="size"),
        ])
        for ratio, size in ((0.97, 0.01), (1.01, 0.1))
    ]  # fmt: skip

    code, message = why_none([late, *worthless])

    assert code == "no_gain"
    assert message.startswith("int8 refused: int8 would be 3 % faster and 10 % smaller here, "), message
    told = why_none([late, smaller, *worthless])
    assert told[0] == "latency_too_high"
    assert "1.9 times as long" in told[1], "the speed of what would be worth it"


def test_weights_alone_that_are_no_faster_say_how_to_get_the_smaller_file() -> None:
    record = MeasuredModel(
        method="uniform", ratio_p50=1.0, code="latency_inconclusive", message="0.99 to 1.01 of float's time"
    )

    uniform = [EvaluatedCandidate(CandidateSpec(method="uniform"), record, passed=False)]
    code, message = why_none(uniform, {"LSTM", "Conv"})

    assert code == "latency_inconclusive"
    assert "int8 weights only" in message
    assert "Conv and LSTM of such a model run in float" in message
    assert "max_latency_ratio = 1.1" in message
    assert "run in float" not in why_none(uniform)[1]


def test_else_the_candidate_closest_to_float_says_why() -> None:
    far = tried(0.5, 0.4, passed=False, code="agreement_too_low", message="60 % disagree")
    near = tried(0.9, 0.9, passed=False, code="agreement_too_low", message="10 % disagree", calibration="mse")

    code, message = why_none([far, near])

    assert code == "agreement_too_low"
    assert "10 % disagree" in message
    assert "mse" in message


def test_when_nothing_could_be_built_the_reasons_are_told_once() -> None:
    broken = tried(None, None, passed=False, code="rewrite_invalid", message="no scale for tensor t")

    assert why_none([broken, broken]) == ("no_candidate", "no int8 candidate could be tried: no scale for tensor t")


def test_the_chosen_one_and_what_ran_are_told_before_what_did_not() -> None:
    dropped = [tried(None, None, passed=False) for _ in range(20)]
    failed = [tried(0.5, 0.4, passed=False) for _ in range(5)]
    chosen = tried(0.9, 0.99)
    every = [*dropped, *failed, chosen]

    kept = select_for_report(every, [chosen], 10)

    assert kept == [*dropped[:4], *failed, chosen]
    assert kept[-1] is chosen
    assert select_for_report(failed, [], 10) == failed


def test_integers_are_told_where_they_are_not_the_usual() -> None:
    record = MeasuredModel(method="static", calibration="mse", operators="core", types="u8u8", per_channel=False)

    assert describe(record) == "static, core operators, u8u8, per tensor, mse ranges"


def test_a_candidate_is_told_with_its_float_layers() -> None:
    record = MeasuredModel(method="static", calibration="mse", operators="core", float_layers=["a", "b"])

    assert describe(record) == "static, core operators, mse ranges, 2 layers float"
