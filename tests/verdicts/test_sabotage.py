"""Sabotage is of the size that its row says, and ends are counted as what they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from verdicts.case import ACCEPTED, Array, Case, End, accepted, refused
from verdicts.counts import Finding, compare, table
from verdicts.models import write_models
from verdicts.table import CASES
from verdicts.traits import TRAITS

from edge_agent.wire.manifest import OutputKind


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def both(case: Case, folder: Path) -> tuple[Array, Array]:
    """What float and int8 say of the held-out windows, every output beside the others."""
    shape = case.heldout.values.shape[1:]
    said = []
    for path in write_models(folder, shape, case.model, case.tamper, case.tamper_second):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        ones = [1] * (len(shape) + 1)
        feeds = [
            {"x": values[None].astype(np.float32), "mark": np.full(ones, 0.8 * marked, np.float32)}
            for values, marked in zip(case.heldout.values, case.heldout.marked, strict=True)
        ]
        said.append(np.stack([np.stack(session.run(None, feed)) for feed in feeds]))
    return said[0], said[1]


@pytest.mark.parametrize("kind", list(TRAITS))
def test_exactly_the_marked_windows_differ(kind: OutputKind, tmp_path: Path) -> None:
    case = named(f"{kind}: one in ten")

    wanted, got = both(case, tmp_path)

    differ = np.any(wanted != got, axis=tuple(range(1, wanted.ndim)))
    assert np.array_equal(differ, case.heldout.marked)
    assert differ.sum() == 30


def test_only_the_small_group_dies(tmp_path: Path) -> None:
    wanted, got = both(named("raw: small group dead"), tmp_path)

    assert np.array_equal(wanted[..., :8], got[..., :8])
    assert not got[..., 8:].any()
    assert wanted[..., :8].std() > 90 * wanted[..., 8:].std()


def test_only_the_other_output_dies(tmp_path: Path) -> None:
    case = replace(named("regression: another output dead"), tamper=None)

    wanted, got = both(case, tmp_path)

    assert np.array_equal(wanted[:, 0], got[:, 0])
    assert wanted[:, 1].any()
    assert not got[:, 1].any()


def test_ends_are_counted_as_what_they_are() -> None:
    case = CASES[0]
    dead, good, told = refused("class_lost"), accepted(), accepted("class 4")
    ends = {"class_lost": End("class_lost", ""), "accepted": End(ACCEPTED, ""), "crashed": End("stage_crashed", "")}
    said = End(ACCEPTED, "", ["class 4 is lost in 5 of 5 windows"])

    assert compare(replace(case, right=dead), ends["class_lost"]) is Finding.RIGHT
    assert compare(replace(case, right=dead), ends["accepted"]) is Finding.FALSE_ACCEPT
    assert compare(replace(case, right=good), End("agreement_too_low", "")) is Finding.FALSE_REFUSAL
    assert compare(replace(case, right=told), ends["accepted"]) is Finding.SILENT
    assert compare(replace(case, right=told), said) is Finding.RIGHT
    assert compare(replace(case, right=dead), End("agreement_too_low", "")) is Finding.OTHER
    assert compare(replace(case, right=good), ends["crashed"]) is Finding.OTHER


def test_the_table_has_a_row_for_each_kind_and_their_sum() -> None:
    found = [(named("raw: dead"), Finding.RIGHT), (named("mask: dead"), Finding.FALSE_ACCEPT)]

    lines = list(table(found, by="kind"))

    assert lines[0] == "| kind | rows | false accepts | false refusals | accepted without a word | other wrong ends |"
    assert lines[2:] == ["| raw | 1 | 0 | 0 | 0 | 0 |", "| mask | 1 | 1 | 0 | 0 | 0 |", "| all | 2 | 1 | 0 | 0 | 0 |"]
