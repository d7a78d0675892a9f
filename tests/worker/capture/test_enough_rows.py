"""What rows could not prove even without an error is refused before any of them is read, with what each set lacks."""

import re
import tomllib
from typing import Any

import msgspec
import pytest

from edge_agent.errors import Refusal
from edge_agent.jobs.task import Task
from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_heldout
from edge_agent.wire.manifest import Gates, Output
from edge_agent.worker.capture.enough_rows import RowsGiven, check_enough, few_rows, heldout_needed

CLASSES, BINARY, RAW = (Output(kind=kind) for kind in ("classes", "binary", "raw"))  # type: ignore[arg-type]


def task(gates: Gates = Gates(), output: Output = CLASSES, **more: Any) -> Task:  # noqa: B008  # frozen
    return Task(job="j", name="m", version=1, format="onnx", model="m.onnx", gates=gates, output=output, **more)


def given(heldout: int, *, apart: bool = True, labelled: bool = False, dependent: bool = False) -> RowsGiven:
    counts = {"calibration": 100, "search": 50, "heldout": heldout}
    return RowsGiven(counts, labelled=labelled, heldout_apart=apart, dependent=dependent)  # type: ignore[arg-type]


def refusal(asked: Task, rows: RowsGiven) -> str:
    with pytest.raises(Refusal) as caught:
        check_enough(asked, rows)
    assert caught.value.code == "too_few_windows"
    return caught.value.message


@pytest.mark.parametrize(
    ("gates", "output", "labelled", "needed"),
    [
        (Gates(), CLASSES, False, 59),
        (Gates(), Output(), False, 59),
        (Gates(), RAW, True, 59),
        (Gates(), CLASSES, True, 55),
        (Gates(), BINARY, True, 55),
        (Gates(), Output(), True, 55),
        (Gates(min_agreement=0.99), CLASSES, False, 299),
        (Gates(min_agreement=0.99), CLASSES, True, 299),
        (Gates(min_agreement=0.0), CLASSES, False, 1),
        (Gates(min_agreement=0.0), CLASSES, True, 55),
        (Gates(min_agreement=0.0, max_accuracy_drop=0.0), CLASSES, True, 1),
        (Gates(max_accuracy_drop=0.0), CLASSES, True, 59),
        (Gates(max_accuracy_drop=0.1), CLASSES, True, 15),
        (Gates(max_accuracy_drop=0.01), Output(kind="regression"), True, 168),
        (Gates(max_accuracy_drop=0.01), Output(kind="regression"), False, 59),
    ],
)
def test_what_the_gates_need(gates: Gates, output: Output, needed: int, *, labelled: bool) -> None:
    assert heldout_needed(task(gates, output), labelled=labelled).rows == needed


@pytest.mark.parametrize("limit", [0.5, 0.9, 0.95, 0.99])
def test_the_verdict_has_a_chance_from_so_many_on_and_none_below(limit: float) -> None:
    gates = Gates(min_agreement=limit)
    needed = heldout_needed(task(gates), labelled=False).rows

    for rows, code in ((needed - 1, "too_few_windows"), (needed, "")):
        measured = Measured(windows=rows, windows_effective=rows, disagreements=0)
        assert evaluate_heldout(gates, "classes", measured).code == code


@pytest.mark.parametrize("rows", [54, 55, 87, 88])
def test_labelled_rows_that_may_prove_it_by_one_that_int8_wins_are_warned_of_and_not_refused(rows: int) -> None:
    lucky = Measured(windows=rows, windows_effective=rows, disagreements=1, lost=0, won=1, float_right=rows - 1)

    assert evaluate_heldout(Gates(), "classes", lucky).passed is (rows >= 55)
    if rows < 55:
        assert "needs 88" in refusal(task(), given(rows, labelled=True))
        return
    check_enough(task(), given(rows, labelled=True))
    warned = few_rows(task(), given(rows, labelled=True))
    assert bool(warned) is (rows < 88)
    assert all("give 88 or more (--heldout)" in one for one in warned)
    assert few_rows(task(), given(88)) == []


def test_a_set_that_came_with_the_model_proves_accuracy_in_place_of_the_held_out_rows() -> None:
    assert heldout_needed(task(eval="eval.npz"), labelled=True).rows == 1


def test_other_outputs_are_held_to_their_agreement_whatever_labels_do() -> None:
    outputs = [Output(kind="classes", name="a"), Output(kind="raw", name="b")]

    asked = task(Gates(max_accuracy_drop=0.1), Output(), outputs=outputs)

    assert heldout_needed(asked, labelled=True).rows == 59


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            given(30),
            (
                "too few rows: calibration 100 (needs 1), search 50 (needs 1), held-out 30 (needs 59 to prove an "
                "agreement of 95 %); give 59 or more (--heldout), best 300, or set [gates] min_agreement = 0.9"
            ),
        ),
        (
            given(12, apart=False, dependent=True),
            (
                "too few rows: calibration 100 (needs 1), search 50 (needs 1), held-out 12 (needs at least 59 to prove "
                "an agreement of 95 %); give 118 rows or more (--calibration), best 1000, or 59 or more in a separate "
                "file (--heldout)"
            ),
        ),
        (
            given(40, labelled=True),
            (
                "too few rows: calibration 100 (needs 1), search 50 (needs 1), held-out 40 (needs 88 to prove an "
                "accuracy drop of at most 3 %); give 88 or more (--heldout), best 300, or set [gates] "
                "max_accuracy_drop = 0.07"
            ),
        ),
    ],
)
def test_the_sentence_has_what_each_set_has_and_needs(rows: RowsGiven, said: str) -> None:
    assert refusal(task(), rows) == said


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("rows", [14, 20, 30, 45, 54])
def test_the_looser_gate_that_is_named_may_be_proved(rows: int, *, labelled: bool) -> None:
    message = refusal(task(), given(rows, labelled=labelled))
    found = re.search(r"set \[gates\] (.*)$", message)
    if found is None:
        assert labelled
        assert rows < 25
        return

    looser = msgspec.convert(tomllib.loads(found[1]), Gates)

    check_enough(task(looser), given(rows, labelled=labelled))


def test_more_than_is_ever_held_out_of_one_file_needs_a_file_of_its_own() -> None:
    message = refusal(task(Gates(min_agreement=0.995)), given(300, apart=False))

    assert "give 598 or more in a separate file (--heldout)" in message
    assert "--calibration" not in message


def test_what_no_rows_prove_is_said_at_once() -> None:
    assert "no number of windows proves" in refusal(task(Gates(min_agreement=1.0)), given(10_000))
