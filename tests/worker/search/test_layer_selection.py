from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.backends import CandidateSpec, Method
from edge_agent.jobs.result import GateResult, MeasuredModel
from edge_agent.worker.search.layer_selection import Sensitivity, find_effects, float_steps, refinable, repairable
from edge_agent.worker.search.policy import EvaluatedCandidate

# four layers in a row: each has weights, neighbours share a tensor
CHAIN: dict[str, tuple[str, ...]] = {
    "x": ("a",), "ab": ("a", "b"), "bc": ("b", "c"), "cd": ("c", "d"), "y": ("d",),
    "wa": ("a",), "wb": ("b",), "wc": ("c",), "wd": ("d",),
}  # fmt: skip

METHODS: tuple[Method, ...] = ("static",)


class Additive:
    """A model whose errors add up exactly; counts the questions."""

    def __init__(self, effects: dict[str, float]) -> None:
        self.effects = effects
        self.asked = 0

    def __call__(self, rounded: frozenset[str]) -> float:
        self.asked += 1
        return sum(self.effects[place] for place in rounded)


def steps(effects: dict[str, float], needed_by: dict[str, tuple[str, ...]] = CHAIN) -> list[tuple[str, ...]]:
    layers = sorted({layer for wanted in needed_by.values() for layer in wanted})
    return list(float_steps(Sensitivity({place: effects.get(place, 0.0) for place in needed_by}, needed_by, layers)))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_effects_that_matter_are_found_and_their_sum_is_kept(values: list[float]) -> None:
    model = Additive({str(number): value for number, value in enumerate(values)})

    found = find_effects(list(model.effects), model)

    assert list(found) == list(model.effects)
    assert sum(found.values()) == pytest.approx(sum(values))
    for place, value in model.effects.items():
        assert found[place] == pytest.approx(value, abs=0.01 * sum(values) + 1e-12)


def test_one_bad_place_among_many_takes_few_questions() -> None:
    model = Additive({str(number): 1e-6 for number in range(256)} | {"100": 1.0})

    found = find_effects(list(model.effects), model)

    assert max(found, key=lambda place: found[place]) == "100"
    assert model.asked <= 1 + 2 * 8


def test_without_time_the_largest_groups_have_been_split_first() -> None:
    model = Additive({"a": 0.0, "b": 0.1, "c": 0.0, "d": 0.9})

    found = find_effects(list(model.effects), model, more=lambda: model.asked < 5)

    assert model.asked == 5
    assert found == pytest.approx({"a": 0.05, "b": 0.05, "c": 0.0, "d": 0.9})


def test_no_place_asks_nothing() -> None:
    model = Additive({})

    assert find_effects([], model) == {}
    assert model.asked == 0


def test_bad_weights_cost_their_layer_alone() -> None:
    assert steps({"wc": 1.0, "wa": 0.001})[0] == ("c",)


def test_a_tensor_between_layers_is_exact_only_if_both_are_float() -> None:
    assert steps({"bc": 1.0}) == [("b", "c")]


def test_the_ends_of_a_model_belong_to_one_layer_each() -> None:
    assert steps({"x": 0.5, "y": 0.5}) == [("a",), ("a", "d")]


def test_what_frees_most_for_each_layer_comes_first() -> None:
    # the tensor is the worst place, but it takes two layers
    assert steps({"bc": 0.5, "wa": 0.3, "x": 0.3})[0] == ("a",)


def test_each_step_halves_what_is_left() -> None:
    needed_by = {str(number): (f"layer{number}",) for number in range(8)}

    found = steps({str(number): 1.0 for number in range(8)}, needed_by)

    assert [len(layers) for layers in found] == [4]


def test_no_error_needs_no_float_layer() -> None:
    assert steps({}) == []


def test_more_than_half_of_the_layers_is_no_int8_model() -> None:
    assert all(len(layers) <= 2 for layers in steps(dict.fromkeys(CHAIN, 1.0)))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=len(CHAIN), max_size=len(CHAIN)))
def test_steps_grow_and_leave_half_of_what_the_last_left(values: list[float]) -> None:
    effects = dict(zip(CHAIN, values, strict=True))

    found = steps(effects)

    left = sum(values)
    previous: set[str] = set()
    for layers in found:
        assert previous < set(layers)
        rest = sum(effects[place] for place, wanted in CHAIN.items() if not set(wanted) <= set(layers))
        assert rest <= left / 2 + 1e-12
        left, previous = rest, set(layers)


def test_shares_are_parts_of_the_whole() -> None:
    known = Sensitivity({"ab": 1.0, "wb": 3.0}, {"ab": ("a", "b"), "wb": ("b",)}, ("a", "b"))

    assert known.shares() == {"a": 0.125, "b": 0.875}
    assert Sensitivity({"ab": 0.0}, {"ab": ("a", "b")}, ("a", "b")).shares() == {"a": 0.0, "b": 0.0}


def candidate(
    ratio: float,
    agreement: float,
    code: str = "",
    *,
    method: str = "static",
    operators: Sequence[str] = (),
    floats: Sequence[str] = (),
    gates: Sequence[GateResult] = (),
) -> EvaluatedCandidate:
    spec = CandidateSpec(method, "mse", tuple(operators), float_layers=tuple(floats))  # type: ignore[arg-type]  # a str of the three
    record = MeasuredModel(
        method=method, ratio_p50=ratio, agreement=agreement, sqnr_db=20.0, code=code or None, gates=list(gates)
    )
    return EvaluatedCandidate(spec, record, passed=not code)


def test_what_failed_for_accuracy_is_mended_the_closest_first_and_one_a_structure() -> None:
    far = candidate(0.4, 0.5, "agreement_too_low")
    near = candidate(0.4, 0.7, "accuracy_too_low")
    core = candidate(0.6, 0.9, "agreement_too_low", operators=["Conv"])

    assert repairable([far, near, core], METHODS) == [core, near]


def test_only_a_faster_failure_is_mended_once_something_passes() -> None:
    passed = candidate(0.6, 1.0, operators=["Conv"])
    faster = candidate(0.4, 0.5, "agreement_too_low")
    alike = candidate(0.59, 0.5, "agreement_too_low", operators=["Gemm"])

    assert repairable([passed, faster, alike], METHODS) == [faster]


def test_float_layers_mend_neither_speed_nor_size_nor_what_has_no_ranges() -> None:
    slow = candidate(1.4, 1.0, "latency_too_high")
    large = candidate(0.9, 0.5, "size_too_large")
    dynamic = candidate(0.9, 0.5, "agreement_too_low", method="dynamic")
    mended = candidate(0.9, 0.5, "agreement_too_low", floats=["head"])

    assert repairable([slow, large, dynamic, mended], METHODS) == []


def test_what_is_too_slow_by_far_is_not_mended() -> None:
    near, far = (
        candidate(
            ratio,
            0.9,
            "agreement_too_low",
            operators=operators,
            gates=[GateResult("max_latency_ratio", limit=1.0, value=ratio, passed=False)],
        )
        for ratio, operators in ((1.09, ["Conv"]), (1.25, []))
    )

    assert repairable([near, far], METHODS) == [near]


def test_float_layers_that_were_planned_are_no_mending() -> None:
    planned = candidate(0.6, 0.9, "agreement_too_low", floats=["c", "d"])
    mended = candidate(0.6, 0.95, "agreement_too_low", floats=["c", "d", "a"])

    assert repairable([planned, mended], METHODS, [(), ("c", "d")]) == [planned]
    assert repairable([planned, mended], METHODS) == []


def test_the_best_static_candidate_is_refined() -> None:
    best, slower = candidate(0.4, 0.98), candidate(0.7, 0.99, operators=["Conv"])

    assert refinable([slower, best], METHODS) == best
    assert refinable([candidate(0.2, 0.99, method="dynamic"), best], METHODS) is None
    assert refinable([candidate(0.4, 0.5, "agreement_too_low")], METHODS) is None
