from typing import Any

import numpy as np
import pytest

from edge_agent.errors import ContractError, Refusal
from edge_agent.quant.agreement import Judge, Meaning, resolve_kind
from edge_agent.wire.manifest import Output

PROBABILITIES = [[[0.2, 0.5, 0.3]], [[1.0, 0.0, 0.0]]]
LOGITS = [[[2.0, -1.0, 0.3]], [[5.0, 1.0, 7.0]]]


def judge(kind: str, *reference: Any, **options: float) -> Judge:
    made = Judge(resolve_kind(Output(kind=kind, **options), list(reference), None))  # type: ignore[arg-type]
    for row in reference:
        made.observe(row)
    return made


@pytest.mark.parametrize(
    ("sample", "labels", "kind"),
    [
        (PROBABILITIES, None, "classes"),
        (LOGITS, None, "raw"),
        (LOGITS, [2, 0], "classes"),
        (LOGITS, [0.5, 1.5], "regression"),
        ([[[0.3]], [[0.9]]], None, "binary"),
        ([[[0.3]], [[1.9]]], None, "regression"),
        ([[[-3.0]], [[1.9]]], [0, 1], "binary"),
        ([[[-3.0]], [[1.9]]], [3, 1], "regression"),
        ([0.3, 0.9], [True, False], "binary"),
        ([np.full((1, 4, 1, 1), 0.25)], None, "classes"),
        ([np.full((1, 2, 2), 0.5)], None, "raw"),
    ],
)
def test_the_kind_is_found_from_outputs_and_labels(sample: list[Any], labels: list[Any] | None, kind: str) -> None:
    assert resolve_kind(Output(), sample, labels).kind == kind


def test_what_the_manifest_says_stands() -> None:
    meaning = resolve_kind(Output(kind="regression", tolerance=0.2), PROBABILITIES, [1, 2])

    assert meaning == Meaning("regression", Output(kind="regression", tolerance=0.2), "set in [output]")


@pytest.mark.parametrize(
    ("sample", "output", "threshold"),
    [
        ([[0.3], [0.9]], Output(kind="binary"), 0.5),
        ([[-3.0], [0.9]], Output(kind="binary"), 0.0),
        ([[0.3], [0.9]], Output(kind="binary", threshold=0.7), 0.7),
    ],
)
def test_the_threshold_of_probabilities_and_logits(sample: list[Any], output: Output, threshold: float) -> None:
    assert resolve_kind(output, sample, None).output.threshold == threshold


def test_labels_of_text_mean_a_sequence() -> None:
    assert resolve_kind(Output(), [np.zeros((1, 5, 3))], ["hello", "you"]).kind == "sequence"


def test_what_was_resolved_resolves_to_itself() -> None:
    scores = [[score] for score in np.linspace(1, 3, 41)]

    first = resolve_kind(Output(kind="anomaly"), scores, None)

    assert first.output.threshold == pytest.approx(2.9)
    assert first.found.endswith("95th percentile of float's scores: 2.9")
    assert resolve_kind(first.output, [[7.0]], None).output == first.output


def test_an_option_of_another_kind_than_the_one_found_is_left_out() -> None:
    assert resolve_kind(Output(threshold=0.3), PROBABILITIES, None).output == Output(kind="classes")


def test_classes_of_an_image_are_refused() -> None:
    with pytest.raises(ContractError, match="another output kind"):
        resolve_kind(Output(kind="classes"), [np.zeros((1, 3, 8, 8))], None)


def test_classes_agree_on_the_largest_element() -> None:
    classes = judge("classes", *PROBABILITIES)

    assert classes.agrees([[0.2, 0.5, 0.3]], [[0.1, 0.4, 0.39]])
    assert not classes.agrees([[0.2, 0.5, 0.3]], [[0.5, 0.2, 0.3]])
    assert classes.correct([[0.2, 0.5, 0.3]], 1) is True
    assert classes.correct([[0.2, 0.5, 0.3]], np.int64(2)) is False


def test_binary_agrees_on_one_side() -> None:
    binary = judge("binary", [[0.4]], [[0.8]])

    assert binary.agrees([[0.9]], [[0.51]])
    assert not binary.agrees([[0.9]], [[0.49]])
    assert not binary.agrees([[0.9]], [[0.5]]), "dead outputs come to lie on the threshold"
    assert binary.agrees([[0.501]], [[0.5]]), "rounding leads there from near"
    assert (binary.correct([[0.9]], True), binary.correct([[0.9]], 0)) == (True, False)


def test_regression_is_measured_by_floats_own_spread_in_each_element() -> None:
    rows = [[index / 100.0, float(index)] for index in range(101)]
    regression = judge("regression", *rows)

    assert regression.agrees([0.5, 50.0], [0.54, 54.0])
    assert not regression.agrees([0.5, 50.0], [0.56, 50.0])
    assert not regression.agrees([0.5, 50.0], [0.5, 56.0])
    assert regression.correct([0.5, 50.0], [0.52, 51.0]) is True
    assert regression.correct([0.5, 50.0], [0.7, 51.0]) is False


def test_an_element_that_never_varies_takes_the_whole_outputs_spread() -> None:
    regression = judge("regression", *[[7.0, float(index)] for index in range(101)])

    assert regression.agrees([7.0, 50.0], [7.1, 50.0])


def test_the_spread_of_large_outputs_needs_bounded_memory_and_stays_right() -> None:
    random = np.random.default_rng(0)
    regression = judge("regression", np.zeros(200_000), np.ones(200_000))
    for _ in range(100):
        regression.observe(random.uniform(0, 1, 200_000).astype(np.float32))

    assert len(regression._kind._kept) == 32
    assert regression.agrees(np.full(200_000, 0.5), np.full(200_000, 0.52))
    assert not regression.agrees(np.full(200_000, 0.5), np.full(200_000, 0.56))


@pytest.mark.parametrize("rows", [[[1.0, 2.0], [1.0, 2.0, 3.0]], [[], []]])
def test_an_output_that_changes_its_size_is_no_regression(rows: list[list[float]]) -> None:
    with pytest.raises(ContractError, match="set another output kind") as error:
        judge("regression", *rows)
    assert error.value.code == "shape_mismatch"


def test_embedding_agrees_by_its_angle() -> None:
    embedding = judge("embedding", [1.0, 0.0], [0.0, 1.0])

    assert embedding.agrees([1.0, 0.0], [5.0, 0.1])
    assert not embedding.agrees([1.0, 0.0], [1.0, 0.2])
    assert embedding.agrees([0.0, 0.0], [0.0, 0.0])
    assert not embedding.agrees([0.0, 0.0], [0.0, 1.0])
    assert embedding.correct([1.0, 0.0], 1) is None


def test_raw_agrees_within_a_tenth_of_the_signal() -> None:
    raw = judge("raw", *LOGITS)

    assert raw.agrees([3.0, 4.0], [3.3, 4.3])
    assert not raw.agrees([3.0, 4.0], [3.4, 4.4])
    assert raw.agrees([0.0, 0.0], [0.0, 0.0])
    assert not raw.agrees([0.0, 0.0], [0.0, 1e-9])
    assert raw.argmax_agrees([3.0, 4.0], [0.0, 1.0]) is True
    assert raw.argmax_agrees([3.0, 4.0], [1.0, 0.0]) is False
    assert raw.argmax_agrees([[3.0, 4.0], [1.0, 2.0]], [[3.0, 4.0], [1.0, 2.0]]) is None


@pytest.mark.parametrize("kind", ["classes", "binary", "regression", "embedding", "raw"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_target_that_is_not_finite_never_agrees(kind: str, bad: float) -> None:
    rows = [[0.1, 0.9], [0.8, 0.2]]
    one = judge(kind, *rows)

    assert one.agrees(rows[0], rows[0])
    assert not one.agrees(rows[0], [0.1, bad])
    assert not one.agrees(rows[0], [0.1])


@pytest.mark.parametrize(
    ("kind", "rows", "covered"),
    [
        ("classes", [[0.1, 0.9], [0.4, 0.6]], False),
        ("classes", [[0.1, 0.9], [0.6, 0.4]], True),
        ("binary", [[0.1], [0.2]], False),
        ("binary", [[0.1], [0.7]], True),
        ("regression", [[5.0], [5.0]], False),
        ("raw", [[5.0], [5.1]], True),
    ],
)
def test_agreement_on_one_answer_only_is_no_coverage(kind: str, rows: list[Any], *, covered: bool) -> None:
    one = judge(kind, *rows)

    if covered:
        one.check_coverage()
    else:
        with pytest.raises(Refusal, match="all 2 windows") as refusal:
            one.check_coverage()
        assert refusal.value.code == "no_coverage"


def test_a_label_that_fits_no_output_is_named() -> None:
    with pytest.raises(ContractError, match=r"label of shape \(3,\) .* give 2 numbers, .* a row"):
        judge("regression", [1.0, 2.0], [2.0, 3.0]).correct([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("kind", ["classes", "binary", "regression"])
@pytest.mark.parametrize("label", ["cat", "3"])
def test_a_text_is_no_label_of_numbers(kind: str, label: str) -> None:
    with pytest.raises(ContractError, match="is no number; give "):
        judge(kind, PROBABILITIES[0]).correct(PROBABILITIES[0], label)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "label"), [("classes", 3), ("classes", -1), ("classes", 0.5), ("binary", 2)])
def test_a_label_that_no_output_could_ever_match_is_refused(kind: str, label: float) -> None:
    # Float and int8 would be wrong alike on every window, and no loss of accuracy could ever be seen.
    rows = {"classes": PROBABILITIES[0], "binary": [0.4]}[kind]

    with pytest.raises(ContractError, match="give ") as error:
        judge(kind, rows).correct(rows, label)
    assert error.value.code == "shape_mismatch"
