from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest

from edge_agent.errors import CODES
from edge_agent.quant.bounds import refusal_chance, tango_upper
from edge_agent.quant.findings import Measured
from edge_agent.quant.gain import Gain
from edge_agent.quant.gates import (
    agreement_to_prove,
    evaluate_heldout,
    evaluate_measured,
    evaluate_search,
)
from edge_agent.quant.limits import resolve_gates
from edge_agent.wire.manifest import Gates, MinGain

GOOD = Measured(windows=300, windows_effective=300, disagreements=3)
NO_GATE = MinGain(0.0, 0.0, 0.0)


def names(gates: object) -> list[str]:
    return [gate.name for gate in gates]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("disagreements", "passed"), [(0, True), (8, True), (9, False), (300, False)])
def test_eight_of_three_hundred_may_disagree(disagreements: int, *, passed: bool) -> None:
    judgement = evaluate_heldout(Gates(), "classes", replace(GOOD, disagreements=disagreements))

    assert judgement.passed is passed
    assert judgement.gates[0].passed is passed


def test_a_refusal_says_how_many_may_disagree() -> None:
    judgement = evaluate_heldout(Gates(), "classes", replace(GOOD, disagreements=14))

    assert judgement.code == "agreement_too_low"
    assert judgement.message == "14 of 300 windows disagree; to prove 95 % at most 8 may"


def test_windows_that_resemble_each_other_prove_less_and_the_sentence_says_so() -> None:
    judgement = evaluate_heldout(Gates(), "classes", replace(GOOD, windows_effective=100.0, disagreements=8))

    assert judgement.code == "agreement_too_low"
    assert judgement.message == (
        "8 of 300 windows (so alike that they count as 100) disagree; to prove 95 % at most 3 may; "
        "at that share of disagreements about 765 ([recipe] heldout_windows = 765) would prove it"
    )
    assert evaluate_heldout(Gates(), "classes", replace(GOOD, windows_effective=100.0, disagreements=3)).passed


@pytest.mark.parametrize(
    ("windows", "effective", "needed"), [(58, 58.0, 59), (300, 50.0, 354), (0, 0.0, 59), (40, 40.0, 59)]
)
def test_what_no_error_could_prove_asks_for_windows(windows: int, effective: float, needed: int) -> None:
    measured = Measured(windows=windows, windows_effective=effective, disagreements=0)

    judgement = evaluate_heldout(Gates(), "binary", measured)

    assert judgement.code == "too_few_windows"
    assert judgement.message.endswith(f"give at least {needed} ([recipe] heldout_windows = {needed})")
    rows = evaluate_heldout(Gates(), "binary", replace(measured, rows_of="--heldout"))
    assert rows.message.endswith(f"give at least {needed} rows (--heldout)")


def test_more_windows_are_asked_for_only_where_they_would_prove_it_and_can_be_had() -> None:
    few = Measured(windows=100, windows_effective=100, disagreements=3)
    message = evaluate_heldout(Gates(), "classes", few).message
    wanted = int(message.rpartition("heldout_windows = ")[2].partition(")")[0])
    many = Measured(windows=wanted, windows_effective=wanted, disagreements=3 * wanted // 100)

    assert evaluate_heldout(Gates(), "classes", many).passed
    for hopeless in (replace(few, disagreements=6), replace(GOOD, disagreements=14)):
        assert "heldout_windows" not in evaluate_heldout(Gates(), "classes", hopeless).message


def test_an_agreement_of_one_hundred_percent_cannot_be_proved() -> None:
    judgement = evaluate_heldout(Gates(min_agreement=1.0), "classes", replace(GOOD, disagreements=0))

    assert judgement.code == "too_few_windows"
    assert "[gates] min_agreement = 0.99, which takes 299 windows, or 0" in judgement.message


@pytest.mark.parametrize(
    ("gate", "measured"),
    [
        ("max_latency_ratio", {"latency_ratio_lower": 1.1, "latency_ratio_upper": 1.3}),
        ("max_size_ratio", {"size_ratio": 1.234}),
    ],
)
def test_a_gate_that_says_no_names_the_value_that_would_allow_it(gate: str, measured: dict[str, float]) -> None:
    message = evaluate_heldout(Gates(), "classes", replace(GOOD, **measured)).message

    value = float(message.rpartition(f"[gates] {gate} = ")[2].partition(" ")[0])
    assert evaluate_heldout(Gates(**{gate: value}), "classes", replace(GOOD, **measured)).passed


def test_memory_that_is_too_high_names_the_value_that_would_allow_it() -> None:
    message = evaluate_measured(Gates(max_peak_rss_bytes=1 << 20, min_gain=NO_GATE), 70 << 20, 1.0, Gain()).message

    value = int(message.rpartition("[gates] max_peak_rss_bytes = ")[2].partition(" ")[0])
    assert evaluate_measured(Gates(max_peak_rss_bytes=value, min_gain=NO_GATE), 70 << 20, 1.0, Gain()).passed


def test_labels_decide_and_agreement_only_warns() -> None:
    measured = replace(GOOD, disagreements=40, lost=2, won=3)

    judgement = evaluate_heldout(Gates(), "classes", measured)

    assert judgement.passed
    assert names(judgement.gates) == ["max_accuracy_drop"]
    assert judgement.warnings[0].startswith("40 of 300 windows disagree with float")
    assert evaluate_heldout(Gates(), "classes", replace(measured, disagreements=8)).warnings == ()


def test_agreement_that_was_set_decides_beside_labels() -> None:
    measured = replace(GOOD, disagreements=40, lost=2, won=3)

    judgement = evaluate_heldout(Gates(min_agreement=0.95), "classes", measured)

    assert judgement.code == "agreement_too_low"
    assert judgement.warnings == ()


def test_agreement_decides_when_the_label_gate_is_off() -> None:
    judgement = evaluate_heldout(Gates(max_accuracy_drop=0), "classes", replace(GOOD, disagreements=9, lost=0, won=0))

    assert judgement.code == "agreement_too_low"


def test_lost_accuracy_is_refused_with_numbers() -> None:
    judgement = evaluate_heldout(Gates(), "classes", replace(GOOD, lost=15, won=2))

    assert judgement.code == "accuracy_too_low"
    assert judgement.message.startswith(
        "int8 loses 15 labelled windows that float has right and wins 2, of 300 windows: a drop of 4.33 %"
    )
    assert judgement.message.endswith("at most 3 % may be")


def test_too_few_labelled_windows_ask_for_more() -> None:
    judgement = evaluate_heldout(Gates(), "binary", Measured(windows=60, windows_effective=60, lost=0, won=0))

    assert judgement.code == "too_few_windows"
    assert judgement.message.endswith(
        "an accuracy drop of at most 3 % even without an error; give at least 88 ([recipe] heldout_windows = 88)"
    )


@pytest.mark.parametrize(
    ("kind", "labelled", "expected"),
    [
        ("classes", False, (0.95, 0.0, 0.0)),
        ("classes", True, (0.0, 0.03, 0.0)),
        ("binary", True, (0.0, 0.03, 0.0)),
        ("regression", True, (0.95, 0.0, 10.0)),
        ("embedding", False, (0.95, 0.0, 10.0)),
        ("raw", False, (0.95, 0.0, 10.0)),
    ],
)
def test_defaults_follow_kind_and_labels(kind: str, *, labelled: bool, expected: tuple[float, float, float]) -> None:
    limits = resolve_gates(Gates(), kind, labelled=labelled)  # type: ignore[arg-type]

    assert (limits.min_agreement, limits.max_accuracy_drop, limits.min_sqnr_db) == expected


def test_zero_is_no_gate() -> None:
    none = Gates(0.0, 0.0, 0.0, 0.0, 0.0, 0)
    worst = Measured(
        windows=10,
        windows_effective=10,
        disagreements=10,
        lost=10,
        won=0,
        sqnr_db=-3.0,
        size_ratio=9.0,
        latency_ratio=9.0,
        latency_ratio_lower=8.0,
        latency_ratio_upper=9.0,
    )

    for judgement in (evaluate_heldout(none, "raw", worst), evaluate_search(none, "raw", worst)):
        assert judgement.passed
        assert judgement.gates == ()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"sqnr_db": 7.34}, "sqnr_too_low", "only 7.34 dB above its error; 10 dB are needed"),
        ({"sqnr_db": float("-inf")}, "sqnr_too_low", "error has no bound, as where it gives NaN or Inf; 10 dB below"),
        ({"size_ratio": 1.2}, "size_too_large", "1.2 times as large"),
        ({"latency_ratio_lower": 1.3, "latency_ratio_upper": 1.4}, "latency_too_high", "at least 1.3 times as long"),
        ({"latency_ratio_lower": 0.97, "latency_ratio_upper": 1.03}, "latency_inconclusive", "0.97 to 1.03 times"),
    ],
)
def test_each_measured_gate_refuses_with_its_code(change: dict[str, float], code: str, words: str) -> None:
    judgement = evaluate_heldout(Gates(), "regression", replace(GOOD, **change))  # type: ignore[arg-type]

    assert judgement.code == code
    assert words in judgement.message
    assert CODES[judgement.code].status == "rejected"
    assert [gate.passed for gate in judgement.gates] == [True, False]


def test_memory_up_to_its_limit_passes_and_zero_is_no_gate() -> None:
    gates = Gates(max_peak_rss_bytes=2 * 2**20, min_gain=NO_GATE)

    refused = evaluate_measured(gates, 2 * 2**20 + 1, 1.0, Gain())

    assert (refused.code, [gate.passed for gate in refused.gates]) == ("memory_too_high", [False])
    assert "at most 2 MiB are allowed" in refused.message
    assert evaluate_measured(gates, 2 * 2**20, 1.0, Gain()).passed
    assert evaluate_measured(Gates(min_gain=NO_GATE), 2**40, 1.0, Gain()).gates == ()


def test_what_int8_keeps_of_floats_memory_has_a_limit_where_one_is_asked_for() -> None:
    gates = Gates(max_memory_ratio=0.8, min_gain=NO_GATE)

    refused = evaluate_measured(gates, 1 << 20, 0.81, Gain())

    assert (refused.code, [gate.name for gate in refused.gates]) == ("memory_too_high", ["max_memory_ratio"])
    assert "keeps 0.81 of float's memory; at most 0.8 " in refused.message
    allowed = float(refused.message.split("max_memory_ratio = ")[1].split()[0])
    assert evaluate_measured(Gates(max_memory_ratio=allowed, min_gain=NO_GATE), 1 << 20, 0.81, Gain()).passed
    assert evaluate_measured(Gates(max_memory_ratio=0.0, min_gain=NO_GATE), 1 << 20, 9.0, Gain()).gates == ()


def test_labels_that_float_itself_does_not_fit_leave_the_verdict_to_agreement() -> None:
    # Labels in another order, or from 1: float and int8 are wrong alike, so no drop of accuracy can be seen.
    labels = {"lost": 5, "won": 5, "commonest_label": 80}
    wrong = replace(GOOD, disagreements=290, float_right=79, **labels)

    refused = evaluate_heldout(Gates(), "classes", wrong)

    assert refused.code == "agreement_too_low"
    assert "79 of 300 labels right" in refused.warnings[-1]
    assert evaluate_search(Gates(), "classes", wrong).code == "agreement_too_low"
    assert evaluate_heldout(Gates(), "classes", replace(wrong, float_right=80)).passed
    both = evaluate_heldout(Gates(max_accuracy_drop=0.03), "classes", wrong)
    assert names(both.gates) == ["min_agreement", "max_accuracy_drop"]


def test_where_labels_will_decide_the_search_only_asks_what_the_verdict_would_warn_of() -> None:
    seen = Measured(windows=66, windows_effective=66, disagreements=3)

    assert evaluate_search(Gates(), "classes", seen).code == "agreement_too_low"
    assert evaluate_search(Gates(), "classes", seen, labels_follow=True).passed
    assert evaluate_search(Gates(), "classes", replace(seen, disagreements=4), labels_follow=True).code
    assert evaluate_search(Gates(min_agreement=0.95), "classes", seen, labels_follow=True).code
    assert evaluate_search(Gates(max_accuracy_drop=0), "classes", seen, labels_follow=True).code
    assert evaluate_search(Gates(), "embedding", seen, labels_follow=True).code == "agreement_too_low"
    assert evaluate_search(Gates(), "classes", replace(seen, lost=2, won=0), labels_follow=True).code


def test_an_accuracy_gate_without_labels_is_said_to_be_none() -> None:
    judgement = evaluate_heldout(Gates(max_accuracy_drop=0.03), "classes", GOOD)

    assert names(judgement.gates) == ["min_agreement"]
    assert "max_accuracy_drop was not judged" in judgement.warnings[0]
    assert evaluate_heldout(Gates(), "classes", GOOD).warnings == ()


def test_an_exact_copy_passes_the_sqnr_gate() -> None:
    assert evaluate_heldout(Gates(), "raw", replace(GOOD, sqnr_db=float("inf"))).passed


def test_the_first_failing_gate_speaks_and_all_are_reported() -> None:
    measured = replace(GOOD, disagreements=99, sqnr_db=1.0, size_ratio=2.0)

    judgement = evaluate_heldout(Gates(), "regression", measured)

    assert judgement.code == "agreement_too_low"
    assert names(judgement.gates) == ["min_agreement", "min_sqnr_db", "max_size_ratio"]
    assert not any(gate.passed for gate in judgement.gates)


def test_raw_that_would_pass_as_a_classifier_asks_for_the_kind() -> None:
    measured = replace(GOOD, disagreements=200, argmax_disagreements=1, sqnr_db=6.0)

    judgement = evaluate_heldout(Gates(), "raw", measured)

    assert judgement.code == "output_kind_needed"
    assert judgement.message.startswith("200 of 300 windows disagree")
    assert 'kind = "classes"' in judgement.message
    assert evaluate_search(Gates(), "raw", measured).code == "output_kind_needed"


@pytest.mark.parametrize("change", [{"argmax_disagreements": 90}, {"argmax_disagreements": None}, {"size_ratio": 2.0}])
def test_raw_that_fails_otherwise_too_is_plainly_refused(change: dict[str, float | None]) -> None:
    measured = replace(GOOD, disagreements=200, argmax_disagreements=1)

    judgement = evaluate_heldout(Gates(), "raw", replace(measured, **change))  # type: ignore[arg-type]

    assert judgement.code == "agreement_too_low"


@pytest.mark.parametrize(
    ("windows", "disagreements", "passed"),
    [(150, 3, True), (150, 4, False), (39, 0, True), (39, 1, False), (40, 1, True)],
)
def test_the_search_allows_half(windows: int, disagreements: int, *, passed: bool) -> None:
    measured = Measured(windows=windows, windows_effective=windows, disagreements=disagreements)

    assert evaluate_search(Gates(), "classes", measured).passed is passed


def test_the_search_holds_every_gate_to_half_its_allowance() -> None:
    labelled = Measured(windows=150, windows_effective=150, lost=3, won=0)

    assert evaluate_search(Gates(), "classes", replace(labelled, lost=2)).passed
    assert evaluate_search(Gates(), "classes", labelled).code == "accuracy_too_low"
    assert evaluate_search(Gates(), "raw", replace(GOOD, sqnr_db=12.9)).code == "sqnr_too_low"
    assert evaluate_search(Gates(), "raw", replace(GOOD, sqnr_db=13.1)).passed
    assert evaluate_search(Gates(), "raw", replace(GOOD, latency_ratio=1.03)).code == "latency_too_high"


@pytest.mark.parametrize("kind", ["classes", "regression"])
def test_no_search_window_is_too_few(kind: str) -> None:
    measured = Measured(windows=0, windows_effective=0, disagreements=0)

    assert evaluate_search(Gates(), kind, measured).code == "too_few_windows"  # type: ignore[arg-type]


def test_false_accepts_and_refusals_over_resamples_are_what_is_claimed() -> None:
    random = np.random.default_rng(5)

    @cache  # few numbers come up, and each of them often
    def passes(wrong: int) -> bool:
        return evaluate_heldout(Gates(), "classes", replace(GOOD, disagreements=wrong)).passed

    def share_accepted(rate: float) -> float:
        return sum(passes(int(wrong)) for wrong in random.binomial(300, rate, 200)) / 200

    assert share_accepted(0.01) >= 0.97
    assert share_accepted(0.05) <= 0.08
    assert share_accepted(0.10) == 0
    assert refusal_chance(300, 0.95, 0.05) >= 0.95


LABELLED = Measured(windows=300, windows_effective=300, lost=2, won=1, float_right=280, commonest_label=80)


def test_a_labelled_set_proves_accuracy_beside_the_agreement_of_windows_without_labels() -> None:
    judgement = evaluate_heldout(Gates(), "classes", GOOD, LABELLED)

    assert judgement.passed
    assert judgement.warnings == ()
    agreement, accuracy = judgement.gates
    assert (agreement.name, agreement.on) == ("min_agreement", "")
    assert (accuracy.name, accuracy.on, accuracy.limit) == ("max_accuracy_drop", "eval", 0.03)
    assert accuracy.value == pytest.approx(tango_upper(2, 1, 300))
    assert msgspec.to_builtins(accuracy)["on"] == "eval"
    assert "on" not in msgspec.to_builtins(agreement)


def test_what_agrees_and_loses_labelled_accuracy_is_refused() -> None:
    judgement = evaluate_heldout(Gates(), "binary", GOOD, replace(LABELLED, lost=20))

    assert judgement.code == "accuracy_too_low"
    assert judgement.message.startswith("on the labelled set int8 loses 20 labelled windows that float has right")
    assert [gate.passed for gate in judgement.gates] == [True, False]


def test_a_labelled_set_does_not_make_up_for_windows_that_disagree() -> None:
    assert evaluate_heldout(Gates(), "classes", replace(GOOD, disagreements=99), LABELLED).code == "agreement_too_low"


def test_a_labelled_set_takes_over_the_gate_from_labels_of_the_heldout_set() -> None:
    heldout = replace(GOOD, lost=20, won=0, float_right=280, commonest_label=80)

    judgement = evaluate_heldout(Gates(), "classes", heldout, LABELLED)

    assert [(gate.name, gate.on) for gate in judgement.gates] == [("max_accuracy_drop", "eval")]
    assert judgement.passed


def test_a_labelled_set_that_float_does_not_fit_is_refused() -> None:
    unfit = replace(LABELLED, float_right=79, lost=0, won=0)

    for gates in (Gates(), Gates(max_accuracy_drop=0.01)):
        judgement = evaluate_heldout(gates, "classes", GOOD, unfit)

        assert judgement.code == "labels_unfit"
        assert judgement.message == (
            "on the labelled set float has 79 of 300 labels right, a constant answer would have 80; check that labels "
            "count from 0 in the output's order, that its arrays are what the model is fed, and [output] kind = "
            '"classes", or set [gates] max_accuracy_drop = 0, and it will not decide'
        )
        assert [(gate.name, gate.on, gate.value, gate.passed) for gate in judgement.gates[1:]] == [
            ("max_accuracy_drop", "eval", None, False)
        ]
        assert judgement.warnings == ()
    assert evaluate_heldout(Gates(), "classes", GOOD, replace(unfit, float_right=80)).passed


def test_labels_that_are_off_and_do_not_fit_are_said_not_to_decide() -> None:
    unfit = replace(LABELLED, float_right=79, lost=79, won=0)

    judgement = evaluate_heldout(Gates(max_accuracy_drop=0), "classes", GOOD, unfit)

    assert judgement.passed
    assert names(judgement.gates) == ["min_agreement"]
    assert "the labelled set does not decide: float has 79 of 300 labels right" in judgement.warnings[-1]


def test_labels_that_do_not_fit_are_told_of_where_another_gate_speaks() -> None:
    unfit = replace(LABELLED, float_right=79)

    judgement = evaluate_heldout(Gates(), "classes", replace(GOOD, disagreements=99), unfit)

    assert judgement.code == "agreement_too_low"
    assert judgement.warnings[-1].startswith("on the labelled set float has 79 of 300 labels right")


def test_labels_that_say_nothing_about_the_kind_are_said_not_to_decide() -> None:
    judgement = evaluate_heldout(Gates(), "raw", GOOD, Measured(windows=300, windows_effective=300))

    assert names(judgement.gates) == ["min_agreement"]
    assert "labels cannot check raw outputs" in judgement.warnings[0]


def test_a_labelled_set_that_could_prove_nothing_asks_for_more() -> None:
    judgement = evaluate_heldout(
        Gates(), "classes", GOOD, replace(LABELLED, windows=60, windows_effective=60, lost=0, won=0, rows_of="--eval")
    )

    assert judgement.code == "too_few_windows"
    assert judgement.message.startswith("on the labelled set 60 windows cannot prove")
    assert judgement.message.endswith("give at least 88 rows (--eval)")


@pytest.mark.parametrize(("gates", "judged"), [(Gates(), False), (Gates(max_accuracy_drop=0.05), True)])
def test_regressions_have_a_gate_of_accuracy_if_one_is_set(gates: Gates, *, judged: bool) -> None:
    judgement = evaluate_heldout(
        gates, "regression", replace(GOOD, sqnr_db=30.0), replace(LABELLED, commonest_label=None)
    )

    assert ("eval" in {gate.on for gate in judgement.gates}) is judged


def test_no_gate_of_accuracy_is_none_on_the_labelled_set_either() -> None:
    judgement = evaluate_heldout(Gates(max_accuracy_drop=0), "classes", GOOD, replace(LABELLED, lost=200))

    assert judgement.passed
    assert names(judgement.gates) == ["min_agreement"]


def test_agreement_is_to_be_proved_only_where_it_decides() -> None:
    seen = Measured(windows=150, windows_effective=150, disagreements=7)
    labelled = replace(seen, lost=1, won=1, float_right=140, commonest_label=20)

    assert agreement_to_prove(Gates(), "classes", seen) == 0.95
    assert agreement_to_prove(Gates(), "classes", seen, labels_follow=True) == 0.0
    assert agreement_to_prove(Gates(min_agreement=0.9), "classes", seen, labels_follow=True) == 0.9
    assert agreement_to_prove(Gates(min_agreement=0), "embedding", seen) == 0.0
    assert agreement_to_prove(Gates(), "classes", labelled) == 0.0


def test_where_two_share_the_windows_each_has_to_prove_more() -> None:
    eight = Measured(windows=300, windows_effective=300, disagreements=8)
    lost = replace(GOOD, lost=6, won=2, float_right=290, commonest_label=40)

    assert evaluate_heldout(Gates(), "embedding", eight).passed
    shared = evaluate_heldout(Gates(), "embedding", replace(eight, confidence=0.975))
    assert shared.code == "agreement_too_low"
    assert "at most 7 may" in shared.message
    alone, both = (
        next(gate.value or 0 for gate in evaluate_heldout(Gates(), "classes", one).gates if "drop" in gate.name)
        for one in (lost, replace(lost, confidence=0.975))
    )
    assert both > alone + 0.002


def test_where_agreement_decides_float_s_false_alarms_are_classes_like_any_other() -> None:
    """Labels that decide nothing do not say which of float's windows count."""
    alarms = {0: (280, 280.0), 1: (20, 0.0)}
    right = {0: (280, 280.0)}
    seen = replace(GOOD, disagreements=0, classes=right, classes_given=alarms, lost=0, won=0, float_right=280)

    decided = evaluate_heldout(Gates(max_accuracy_drop=0), "anomaly", seen)
    by_labels = evaluate_heldout(Gates(), "binary", replace(seen, commonest_label=100))

    assert decided.code == "class_lost"
    assert by_labels.passed
    assert any("labels call all of them wrong" in warning for warning in by_labels.warnings)
