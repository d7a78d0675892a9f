import math
from dataclasses import replace
from itertools import islice

import pytest

from edge_agent.backends import CandidateSpec
from edge_agent.jobs.result import MeasuredModel
from edge_agent.worker.search.policy import EvaluatedCandidate, structure
from edge_agent.worker.search.rounds import halving

RANGES = ("mse", "percentile", "minmax")
STRUCTURES = [CandidateSpec("static", operators=(name,)) for name in "abcd"]
SPECS = [replace(one, calibration=ranges) for one in STRUCTURES for ranges in RANGES]
RATIOS = {structure(one): 0.5 + place / 100 for place, one in enumerate(STRUCTURES)}


def scored(spec: CandidateSpec, agreement: float, *, passed: bool = False) -> EvaluatedCandidate:
    return EvaluatedCandidate(spec, MeasuredModel(agreement=agreement, sqnr_db=10.0), passed)


def run(agreements: dict[str, float], specs: list[CandidateSpec] = SPECS, limit: float = 1.0) -> list[tuple[str, str]]:
    tried: list[EvaluatedCandidate] = []
    order = []
    for spec in halving(RATIOS, specs, limit, tried):
        order.append((spec.operators[0], spec.calibration))
        tried.append(scored(spec, agreements[spec.operators[0]]))
    return order


def test_each_structure_has_its_turn_before_any_has_a_second_and_then_the_closer_half() -> None:
    assert run({"a": 0.0, "b": 0.1, "c": 0.9, "d": 0.5}) == [
        *((name, "mse") for name in "abcd"),
        ("c", "percentile"),
        ("d", "percentile"),
        ("c", "minmax"),
    ]


def test_what_passes_goes_before_what_is_closer_and_does_not() -> None:
    tried: list[EvaluatedCandidate] = []
    order = halving(RATIOS, SPECS, 1.0, tried)
    first = list(islice(order, 4))
    tried += [scored(spec, 0.99) for spec in first[:3]] + [scored(first[3], 0.9, passed=True)]

    assert next(order).operators == ("d",)


@pytest.mark.parametrize(("slower", "following"), [(0.53, "a"), (0.62, "b")])
def test_what_comes_next_hangs_on_no_difference_that_a_screening_does_not_tell(slower: float, following: str) -> None:
    """Two that pass, of which the one that is screened slower is closer to float."""
    tried: list[EvaluatedCandidate] = []
    order = halving(RATIOS, SPECS, 1.0, tried, 0.1)
    first = list(islice(order, 4))
    for spec, ratio, sqnr in ((first[0], slower, 30.0), (first[1], 0.5, 20.0)):
        record = MeasuredModel(agreement=0.99, sqnr_db=sqnr, preference=math.log(ratio))
        tried.append(EvaluatedCandidate(spec, record, passed=True))

    assert next(order).operators == (following,)


def test_what_passes_and_gains_nothing_goes_by_its_closeness_alone() -> None:
    tried: list[EvaluatedCandidate] = []
    order = halving(RATIOS, SPECS, 1.0, tried)
    first = list(islice(order, 4))
    useless = replace(scored(first[3], 0.95, passed=True), gains=False)
    tried += [scored(spec, agreement) for spec, agreement in zip(first, (0.8, 0.99, 0.5), strict=False)] + [useless]

    assert [next(order).operators for _ in range(2)] == [("b",), ("d",)]


def test_what_is_too_slow_is_left_out_unless_all_is() -> None:
    assert {name for name, _ in run(dict.fromkeys("abcd", 0.5), limit=0.515)} == {"a", "b"}
    assert {name for name, _ in run(dict.fromkeys("abcd", 0.5), limit=0.1)} == set("abcd")
