from collections.abc import Callable
from dataclasses import replace

import pytest

from edge_agent.backends import CandidateSpec
from edge_agent.jobs.result import MeasuredModel
from edge_agent.worker.search.layer_selection import Sensitivity
from edge_agent.worker.search.mending import Graph
from edge_agent.worker.search.mixed_precision import ENOUGH, measured, top_up_candidates, try_mixed_precision
from edge_agent.worker.search.policy import EvaluatedCandidate

LAYERS = tuple("abcdefgh")
STATIC = CandidateSpec("static", "mse")
CORE = CandidateSpec("static", "mse", ("Conv",))


class Device:
    """Measures candidates of a model that agrees with float once the layers ``bad`` are float."""

    def __init__(self, bad: str, ratios: Callable[[CandidateSpec], float] = lambda _: 0.5) -> None:
        self.bad, self.ratios, self.time = set(bad), ratios, 100
        self.tried: list[EvaluatedCandidate] = []
        self.asked: list[CandidateSpec] = []
        self.unbuildable: set[CandidateSpec] = set()
        self.blind: set[str] = set()
        """Bad layers of which no simulation knows."""

    def attempt(self, spec: CandidateSpec) -> EvaluatedCandidate | None:
        self.time -= 1
        if spec in self.unbuildable:
            return None
        left = len(self.bad - set(spec.float_layers))
        record = MeasuredModel(
            method=spec.method, ratio_p50=self.ratios(spec), agreement=1 - left / 10, sqnr_db=20.0,
            float_layers=list(spec.float_layers), code="agreement_too_low" if left else None,
        )  # fmt: skip
        self.tried.append(EvaluatedCandidate(spec, record, passed=not left))
        return self.tried[-1]

    def measure(self, spec: CandidateSpec) -> Sensitivity:
        self.asked.append(spec)
        effects = {layer: 1.0 if layer in self.bad - self.blind else 0.01 for layer in LAYERS}
        return Sensitivity(effects, {layer: (layer,) for layer in LAYERS}, LAYERS)

    def try_mixed_precision(self) -> list[tuple[str, ...]]:
        """Which layers the candidates that were added leave float."""
        before = len(self.tried)
        try_mixed_precision(self.tried, self.attempt, self.measure, lambda: self.time > 0, methods=("static",))
        return [item.spec.float_layers for item in self.tried[before:]]


def test_the_bad_layer_is_left_float_and_nothing_more() -> None:
    device = Device("c")
    device.attempt(STATIC)

    assert device.try_mixed_precision() == [("c",)]
    assert device.tried[-1].passed


def test_what_was_planned_with_float_layers_keeps_them_when_more_are_added() -> None:
    device = Device("cg")
    planned = replace(STATIC, float_layers=("g", "h"))
    device.attempt(planned)

    try_mixed_precision(
        device.tried, device.attempt, device.measure, lambda: True, methods=("static",), starts=[(), ("g", "h")]
    )

    assert device.asked == [planned]
    assert device.tried[1].spec.float_layers == ("g", "h", "c")
    assert device.tried[1].passed
    assert len(device.tried) == 2


def test_first_layers_that_halve_the_disagreements_stay_float() -> None:
    """Of a YOLOv8n with Conv alone in int8, the first four took 20 of 166 windows down to 8."""
    device = Device("af")
    device.blind = {"a"}
    device.attempt(STATIC)

    try_mixed_precision(
        device.tried, device.attempt, device.measure, lambda: True, methods=("static",), graph=Graph(LAYERS)
    )

    assert [item.spec.float_layers for item in device.tried[1:]] == [("a",), tuple("abcd"), tuple("abcdf")]
    assert device.tried[-1].passed


def test_steps_go_on_until_one_passes() -> None:
    device = Device("bcfg")
    device.attempt(STATIC)

    found = device.try_mixed_precision()

    assert found == [("b", "c", "f"), ("b", "c", "f", "g")]
    assert [item.passed for item in device.tried] == [False, False, True]


def test_more_than_half_of_the_layers_are_never_left_float() -> None:
    device = Device("abcdef")
    device.attempt(STATIC)

    assert all(len(layers) <= 4 for layers in device.try_mixed_precision())
    assert not any(item.passed for item in device.tried)


def test_every_structure_that_failed_is_asked_once_until_one_passes() -> None:
    device = Device("abcdef")
    device.attempt(STATIC)
    device.attempt(replace(STATIC, calibration="minmax"))
    device.attempt(CORE)

    device.try_mixed_precision()

    assert sorted(spec.operators for spec in device.asked) == [(), ("Conv",)]


def test_what_passes_slower_does_not_keep_the_faster_from_being_mended() -> None:
    device = Device("c", lambda spec: 0.9 if spec.operators else 0.4)
    device.attempt(replace(CORE, float_layers=("c",)))
    device.attempt(STATIC)

    assert ("c",) in device.try_mixed_precision()
    assert any(item.passed and item.record.ratio_p50 == 0.4 for item in device.tried)


def test_what_passes_and_gains_nothing_does_not_keep_what_would_gain_from_being_mended() -> None:
    device = Device("c", lambda _: 0.99)
    device.attempt(replace(CORE, float_layers=("c",)))
    device.tried[0] = replace(device.tried[0], gains=False)
    device.attempt(STATIC)

    assert ("c",) in device.try_mixed_precision()

    device = Device("c", lambda _: 0.99)
    device.attempt(replace(CORE, float_layers=("c",)))
    device.attempt(STATIC)
    device.tried[:] = [replace(item, gains=False) for item in device.tried]

    assert device.try_mixed_precision() == []


def test_a_candidate_that_passes_is_refined_a_little() -> None:
    device = Device("")
    device.attempt(STATIC)

    assert 1 <= len(device.try_mixed_precision()) <= 2


def test_time_that_is_over_ends_it() -> None:
    device = Device("bcfg")
    device.attempt(STATIC)
    device.time = 2

    assert len(device.try_mixed_precision()) == 2

    device.time = 0
    assert device.try_mixed_precision() == []
    assert len(device.asked) == 1


def test_what_cannot_be_built_does_not_end_it() -> None:
    device = Device("bcfg")
    device.attempt(STATIC)
    device.unbuildable = {replace(STATIC, float_layers=("b", "c", "f"))}

    assert device.try_mixed_precision()[-1] == ("b", "c", "f", "g")


@pytest.mark.parametrize("planned", [1, 4, 12])
def test_planned_candidates_come_first_and_then_one_scale_a_tensor(planned: int) -> None:
    device = Device("")
    device.attempt(STATIC)
    others = [replace(STATIC, operators=(str(number),)) for number in range(planned)]

    top_up_candidates(device.tried, others, device.attempt, lambda: True)

    assert measured(device.tried) == min(ENOUGH, planned + 2)
    assert [item.spec for item in device.tried[1 : planned + 1]] == others[: ENOUGH - 1]
    assert device.tried[-1].spec.per_channel == (planned > ENOUGH)


def test_nothing_is_measured_twice_or_after_the_time() -> None:
    device = Device("")
    device.attempt(STATIC)

    top_up_candidates(device.tried, [STATIC], device.attempt, lambda: True)
    top_up_candidates(device.tried, [CORE], device.attempt, lambda: False)

    assert [item.spec for item in device.tried] == [STATIC, replace(STATIC, per_channel=False)]


def test_a_few_of_the_first_layers_are_tried_before_anything_is_simulated() -> None:
    attempted: list[tuple[str, ...]] = []

    def attempt(spec: CandidateSpec) -> EvaluatedCandidate | None:
        attempted.append(spec.float_layers)
        return EvaluatedCandidate(
            spec, MeasuredModel(method="static", ratio_p50=0.5, agreement=1.0), passed=len(spec.float_layers) == 4
        )

    failed = EvaluatedCandidate(
        STATIC, MeasuredModel(method="static", ratio_p50=0.4, agreement=0.2, code="agreement_too_low"), passed=False
    )
    tried = [failed]

    def measure(_: CandidateSpec) -> Sensitivity:
        raise AssertionError("what passed needs no simulation")

    try_mixed_precision(tried, attempt, measure, lambda: True, methods=("static",), graph=Graph("abcdefgh"))

    assert attempted == [("a",), ("a", "b", "c", "d")]
    attempted.clear()
    with pytest.raises(AssertionError, match="needs no simulation"):
        try_mixed_precision(tried, attempt, measure, lambda: True, methods=("static",), graph=Graph("ab"))
    assert attempted == [("a",)]  # a half of the layers and more is no int8 model


def test_what_passes_but_may_fail_later_is_mended_until_it_is_sure() -> None:
    device = Device("bcf")
    device.attempt(STATIC)
    device.tried[0] = replace(device.tried[0], passed=True, chance=0.6)

    added = device.try_mixed_precision()

    assert added[-1] == ("b", "c", "f")
    assert device.tried[-1].likely_to_pass


def stuck(item_db: float = 5.0) -> tuple[Device, Callable[[CandidateSpec], EvaluatedCandidate | None]]:
    """A device on which no float layer of the first structure changes anything."""
    device = Device("bcfg")

    def attempt(spec: CandidateSpec) -> EvaluatedCandidate | None:
        if spec.operators == CORE.operators:
            return device.attempt(spec)
        record = MeasuredModel(
            method="static", ratio_p50=0.4, agreement=0.75, windows=10, disagreements=8, sqnr_db=item_db,
            float_layers=list(spec.float_layers), code="agreement_too_low",
        )  # fmt: skip
        device.tried.append(EvaluatedCandidate(spec, record, passed=False))
        return device.tried[-1]

    return device, attempt


def test_where_float_layers_change_nothing_the_search_goes_on_elsewhere_and_says_so() -> None:
    device, attempt = stuck()
    attempt(STATIC)
    attempt(CORE)  # agrees in 60 %, so it is the second
    device.blind = set()

    def effects(spec: CandidateSpec) -> Sensitivity:
        known = {layer: 2.0**-place for place, layer in enumerate(LAYERS)}
        return device.measure(spec) if spec.operators else Sensitivity(known, {one: (one,) for one in LAYERS}, LAYERS)

    told = try_mixed_precision(device.tried, attempt, effects, lambda: True, methods=("static",))

    added = [item.spec for item in device.tried[2:]]
    assert [spec.operators for spec in added[:3]] == [(), (), CORE.operators]
    assert device.tried[-1].passed
    assert len(told) == 1
    assert "changed next to nothing (8 of 10 search windows disagree, 8 of 10 before)" in told[0]


def test_what_was_given_up_comes_back_where_nothing_passes() -> None:
    device, attempt = stuck()
    attempt(STATIC)
    known = {layer: 2.0**-place for place, layer in enumerate(LAYERS)}
    effects = Sensitivity(known, {one: (one,) for one in LAYERS}, LAYERS)

    told = try_mixed_precision(device.tried, attempt, lambda _: effects, lambda: True, methods=("static",))

    assert len(told) == 1
    assert [len(item.spec.float_layers) for item in device.tried[1:]] == [1, 2, 3, 4]


def test_a_group_with_much_of_the_error_is_left_float_as_a_whole_and_stays_so_where_that_pays() -> None:
    device = Device("bcf")
    device.attempt(STATIC)
    groups = {"gates": ("b", "c"), "ends": ("a", "h")}

    try_mixed_precision(
        device.tried, device.attempt, device.measure, lambda: True, methods=("static",), graph=Graph((), groups)
    )

    assert [set(item.spec.float_layers) for item in device.tried[1:]] == [{"b", "c"}, {"b", "c", "f"}]
    assert device.tried[-1].passed


def test_a_group_of_which_one_layer_has_the_error_is_none() -> None:
    device = Device("h")
    device.attempt(STATIC)

    try_mixed_precision(
        device.tried, device.attempt, device.measure, lambda: True, methods=("static",),
        graph=Graph((), {"ends": ("a", "h")}),
    )  # fmt: skip

    assert [item.spec.float_layers for item in device.tried[1:]] == [("h",)]


def test_one_faster_structure_is_mended_where_a_slower_one_is_sure() -> None:
    device = Device("abcdef", lambda spec: {(): 0.4, ("Conv",): 0.45, ("Gemm",): 0.9}[spec.operators])
    device.attempt(STATIC)
    device.attempt(CORE)
    sure = replace(STATIC, operators=("Gemm",))
    device.tried.append(
        EvaluatedCandidate(sure, MeasuredModel(method="static", ratio_p50=0.9, agreement=1.0), passed=True)
    )

    device.try_mixed_precision()

    mended = [item.spec.operators for item in device.tried[3:] if item.spec.operators != ("Gemm",)]
    assert len(set(mended)) == 1
