"""A pass over the search set ends early only where the whole of it could not have passed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_search
from edge_agent.quant.prospect import Prospect, chances
from edge_agent.quant.stopping import TELLING, goes_on, stopped
from edge_agent.wire.manifest import Gates, OutputKind

WINDOWS = 150
ALLOWED = 3
"""Of 150 windows, half of the 5 % that may disagree."""


def seen(windows: int, wrong: int, *, argmax: int | None = None, lost: int | None = None, won: int = 0) -> Measured:
    return Measured(
        windows=windows,
        windows_effective=windows,
        disagreements=wrong,
        argmax_disagreements=argmax,
        lost=lost,
        won=None if lost is None else won,
        float_right=None if lost is None else windows,
        commonest_label=None if lost is None else 0,
        size_ratio=0.3,
    )


def further(gates: Gates, one: Measured, kind: OutputKind = "classes", *, labels_follow: bool = False) -> bool:
    return goes_on(gates, kind, one, WINDOWS, labels_follow=labels_follow)


def test_a_count_beyond_what_the_whole_set_is_allowed_ends_a_pass() -> None:
    assert not further(Gates(), seen(20, TELLING))
    assert further(Gates(), seen(20, TELLING - 1))  # beyond it already, but honest selection learns little of so few
    assert further(Gates(min_agreement=0.8), seen(20, TELLING))
    assert not further(Gates(min_agreement=0.8), seen(20, 16))


def test_the_refusal_says_what_was_seen_of_what() -> None:
    judgement = stopped(Gates(), "classes", seen(31, 9), WINDOWS, labels_follow=False)

    assert judgement.code == "agreement_too_low"
    assert judgement.message == "stopped after 31 of 150 search windows: 9 disagree, 3 may"
    [agreement] = [gate for gate in judgement.gates if gate.name == "min_agreement"]
    assert agreement.value == pytest.approx(22 / 31)
    assert {gate.name for gate in judgement.gates} == {"min_agreement", "max_size_ratio"}


def test_without_a_gate_of_counts_no_pass_ends() -> None:
    assert further(Gates(min_agreement=0), seen(100, 100))
    assert further(Gates(min_agreement=0), seen(100, 100), "regression")  # SQNR is a mean


def test_labels_that_the_heldout_set_will_have_make_the_gate_soft() -> None:
    assert not further(Gates(), seen(20, TELLING))
    assert not further(Gates(), seen(20, TELLING), labels_follow=True)  # 95 % at least: 7 may
    assert further(Gates(min_agreement=0.9), seen(20, TELLING), labels_follow=False) is False
    assert further(Gates(), seen(60, 7), labels_follow=True)


def test_what_labels_call_lost_ends_a_pass_only_where_nothing_makes_up_for_it() -> None:
    lost = seen(100, 60, lost=60)

    assert not further(Gates(), lost)  # 50 windows are left to win
    assert further(Gates(), seen(60, 60, lost=60))
    message = stopped(Gates(), "classes", lost, WINDOWS, labels_follow=False).message
    assert message.startswith("stopped after 100 of 150 search windows: int8 loses 60 that float has right and wins 0")


def test_labels_of_something_else_leave_the_word_to_agreement() -> None:
    """Whether they fit is known at the end alone, so a pass goes on where either way may pass."""
    assert further(Gates(), seen(100, 1, lost=60))


def test_what_would_pass_as_a_classifier_is_seen_to_the_end() -> None:
    assert further(Gates(min_agreement=0.95), seen(20, 15, argmax=0), "raw")
    assert not further(Gates(min_agreement=0.95), seen(20, 15, argmax=15), "raw")


@settings(deadline=None)
@given(
    st.floats(0.0, 1.0),
    st.sampled_from([Gates(), Gates(min_agreement=0.8), Gates(min_agreement=0.9, max_accuracy_drop=0.2)]),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_no_pass_that_would_have_passed_is_ended(share: float, gates: Gates, labelled: bool, seed: int) -> None:  # noqa: FBT001  # drawn
    random = np.random.default_rng(seed)
    wrong, won = random.random(WINDOWS) < share * 0.3, random.random(WINDOWS) < share * 0.3
    parts = [
        seen(done, int(wrong[:done].sum()), lost=int(wrong[:done].sum()), won=int((won & ~wrong)[:done].sum()))
        if labelled
        else seen(done, int(wrong[:done].sum()))
        for done in range(1, WINDOWS + 1)
    ]
    whole = evaluate_search(gates, "classes", parts[-1])

    if not all(further(gates, part) for part in parts):
        assert not whole.passed
    ended = next((part for part in parts if not further(gates, part)), None)
    if ended is not None:
        assert stopped(gates, "classes", ended, WINDOWS, labels_follow=False).code in (
            "agreement_too_low",
            "accuracy_too_low",
        )


def test_a_candidate_that_passes_is_as_likely_beside_passes_that_ended_as_beside_whole_ones() -> None:
    """Six that truly disagree in a tenth, and one that disagrees in one window of 150: its chance hardly moves."""
    random = np.random.default_rng(0)
    whole, ended = [], []
    for _ in range(30):
        counts = np.cumsum(random.random((6, WINDOWS)) < 0.1, axis=1)
        places = [int(np.searchsorted(one, TELLING)) for one in counts]
        others = [Prospect(int(one[-1]), WINDOWS, 1.0, 300, 0.95) for one in counts]
        partial = [
            Prospect(int(one[min(place, WINDOWS - 1)]), min(place + 1, WINDOWS), 1.0, 300, 0.95)
            for one, place in zip(counts, places, strict=True)
        ]
        best = Prospect(1, WINDOWS, 1.0, 300, 0.95)
        whole.append(chances([*others, best])[-1])
        ended.append(chances([*partial, best])[-1])

    assert np.mean(ended) == pytest.approx(np.mean(whole), abs=0.02)
