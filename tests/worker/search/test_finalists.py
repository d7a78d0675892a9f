"""Which candidates of a search may still win, and in which order: made-up records."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.backends import CandidateSpec
from edge_agent.jobs.result import GateResult, MeasuredModel
from edge_agent.worker.search.policy import SAME_SPEED, EvaluatedCandidate, best_of_structures, finalists, worth_scoring


def tried(
    ratio: float | None,
    agreement: float | None = 0.99,
    *,
    operators: Sequence[str] = (),
    passed: bool = True,
    limit: float | None = None,
    **more: Any,
) -> EvaluatedCandidate:
    gates = [] if limit is None else [GateResult("max_latency_ratio", limit, ratio, passed)]
    record = MeasuredModel(method="static", ratio_p50=ratio, agreement=agreement, sqnr_db=20.0, gates=gates, **more)
    return EvaluatedCandidate(CandidateSpec("static", operators=tuple(operators)), record, passed)


def of(name: str, ratio: float, agreement: float = 0.99, **more: Any) -> EvaluatedCandidate:
    """One of a structure of its own."""
    return tried(ratio, agreement, operators=(name,), **more)


def test_a_structure_clearly_worse_than_one_that_passes_is_not_scored() -> None:
    passing = [tried(0.5, 0.99)]

    assert not worth_scoring(tried(0.6, None).record, passing)
    assert worth_scoring(tried(0.5 * (1 + SAME_SPEED), None).record, passing)
    assert worth_scoring(tried(0.6, None).record, [tried(0.5, 0.2, passed=False)])


def test_what_only_passes_for_want_of_a_proof_keeps_nothing_from_being_scored() -> None:
    slower = tried(0.6, None).record

    assert worth_scoring(slower, [replace(tried(0.5, 0.99), gains=False)])
    assert worth_scoring(slower, [tried(0.5, 0.99, limit=0.4)])


def test_what_is_preferred_less_is_scored_though_it_is_faster_only_if_it_may_win() -> None:
    small = [tried(1.0, 0.99, preference=-1.3)]

    assert not worth_scoring(tried(0.5, None, preference=-0.5).record, small)
    assert worth_scoring(tried(1.0, None, preference=-1.28).record, small)


def test_what_may_not_stand_before_the_heldout_set_comes_last() -> None:
    lucky, likelier = (replace(of(str(chance), ratio), chance=chance) for ratio, chance in ((0.4, 0.5), (0.6, 0.7)))
    no_gain = replace(of("n", 1.0), gains=False)
    sure = tried(0.8, 0.99)

    assert finalists([no_gain, lucky, sure]) == [sure, lucky, no_gain]
    assert finalists([lucky, sure, likelier]) == [sure, likelier, lucky]
    assert worth_scoring(tried(0.7, None).record, [lucky, likelier])
    assert not worth_scoring(tried(0.9, None).record, [sure])


def test_the_preferred_one_wins_and_among_equals_the_one_of_fewest_bytes_then_of_fewest_float_layers() -> None:
    fast, slow = of("a", 0.5, size_bytes=900), of("b", 0.8, size_bytes=100)
    mixed, plain = (of(name, 0.51, size_bytes=400, float_layers=floats) for name, floats in (("c", ["x"]), ("d", [])))
    refused = of("e", 0.1, size_bytes=1, passed=False)

    assert finalists([slow, fast, mixed, refused, plain]) == [plain, mixed, fast, slow]


def test_among_equals_of_one_size_the_closest_to_float_wins() -> None:
    far, near = of("a", 0.5, 0.98, size_bytes=10_000), of("b", 0.51, 0.99, size_bytes=10_040, float_layers=["x"])
    small = of("c", 0.5, 0.97, size_bytes=9_000)

    assert finalists([far, near]) == [near, far]
    assert finalists([far, near, small]) == [small, near, far]


def test_among_those_of_one_doubtful_chance_the_closest_to_float_goes_first() -> None:
    far, near, worse = (
        replace(of(name, ratio, agreement, size_bytes=size), chance=chance)
        for name, ratio, agreement, size, chance in (
            ("a", 0.4, 0.98, 9_000, 0.52),
            ("b", 0.5, 0.99, 12_000, 0.5),
            ("c", 0.3, 1.0, 9_000, 0.3),
        )
    )

    assert finalists([far, worse, near]) == [near, far, worse]


def test_within_one_structure_the_closest_to_float_stands_for_it() -> None:
    far, near, likely = tried(0.4, 0.98), tried(0.5, 0.99), replace(tried(0.5, 1.0), chance=0.5)
    other = of("o", 0.52, size_bytes=1 << 20)

    assert finalists([far, near, likely, other]) == [near, other, far, likely]
    assert best_of_structures([far, near, likely, other]) == [near, other]


def test_what_gains_nothing_comes_after_what_gains_something_however_fast_it_is() -> None:
    items = [of(str(number), 0.5 + number / 10) for number in range(4)]
    useless = replace(of("u", 0.2), gains=False)

    assert best_of_structures([useless, *items]) == [*items, useless]


def test_what_is_clearly_too_slow_comes_after_what_may_be_fast_enough() -> None:
    slow, near = of("s", 1.1, limit=1.02, preference=-1.3), of("n", 1.04, limit=1.02, preference=-1.0)

    assert (slow.too_slow, near.too_slow) == (True, False)
    assert (of("f", 0.98, limit=1.02).fast_enough, of("f", 1.0, limit=1.02).fast_enough) == (True, False)
    assert of("f", 9.0).fast_enough
    assert finalists([slow, near]) == [near, slow]
    assert replace(near, speed_error=0.005).too_slow


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 3), st.floats(0, 1), st.booleans()), max_size=12))
def test_finalists_are_exactly_those_that_passed_and_get_no_better(items: list[tuple[float, float, bool]]) -> None:
    candidates = [
        of(str(number), ratio, agreement, passed=passed) for number, (ratio, agreement, passed) in enumerate(items)
    ]

    order = finalists(candidates)

    assert sorted(map(id, order)) == sorted(id(item) for item in candidates if item.passed)
    assert all(later.standing >= earlier.standing - SAME_SPEED for earlier, later in pairwise(order))
