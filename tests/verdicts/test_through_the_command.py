"""The whole way through ``edge-agent quantize``: what it accepts is held against float, window by window.

What int8 is, the search finds; so what is right is no code, but the truth: either the model is refused, or the file
that was accepted does what float does.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support.onnx_models import save
from verdicts.case import Array
from verdicts.nets import BOX_ROWS, head, images, quiet, spike_finder

from edge_agent.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]
RECIPE = """\
[output]
{output}
[gates]
max_latency_ratio = 0
max_size_ratio = 0
min_gain = {{ time = 0, size = 0, memory = 0 }}
[recipe]
method = "static"
calibration = "minmax"
search_budget_s = 2
"""
KEPT = 0.8
Outputs = list[Array]


@dataclass(frozen=True)
class Whole:
    """A row: ``kept`` says of float's and int8's outputs whether int8 may be accepted."""

    name: str
    model: Any
    calibration: Array
    heldout: Array
    kept: Callable[[Outputs, Outputs], bool]
    right: tuple[str, ...] = ("accepted", "agreement_too_low", "class_lost", "output_ruined", "sqnr_too_low")
    output: str = ""
    known: str = ""


def scores_kept(wanted: Outputs, got: Outputs) -> bool:
    """Whether most scores above a half still are."""
    found = wanted[-1][:, BOX_ROWS:] > 0.5
    return bool((got[-1][:, BOX_ROWS:][found] > 0.5).mean() >= KEPT)


def spikes_kept(wanted: Outputs, got: Outputs) -> bool:
    """Whether most spikes are still found."""
    found = wanted[0].argmax(axis=1) == 1
    return bool((got[0].argmax(axis=1)[found] == 1).mean() >= KEPT)


ROWS = (
    Whole("good", head(alike=True), images(240, 2), images(300, 3), scores_kept, right=("accepted",)),
    Whole(
        "boxes beside scores", head(), images(240, 2), images(300, 3), scores_kept,
    ),
    Whole(
        "another output", head(classes=True), images(240, 2), images(300, 3), scores_kept,
    ),
    Whole(
        "spikes that calibration lacks", spike_finder(), quiet(240, 2), quiet(800, 3, spikes=15), spikes_kept,
        output='kind = "classes"',
    ),
    Whole(
        "always the same class", spike_finder(always=100.0), quiet(240, 2), quiet(300, 3, spikes=15), spikes_kept,
        right=("no_coverage",), output='kind = "classes"',
    ),
)  # fmt: skip


def _parameter(row: Whole) -> object:
    known = (pytest.mark.xfail(strict=True, raises=AssertionError, reason=row.known),) if row.known else ()
    return pytest.param(row, id=row.name.replace(" ", "-"), marks=known)


@pytest.mark.parametrize("row", [_parameter(row) for row in ROWS])
def test_what_is_accepted_does_what_float_does(row: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    float_path = save(row.model, tmp_path / "float.onnx")
    for name, rows in (("calibration", row.calibration), ("heldout", row.heldout)):
        np.savez(tmp_path / f"{name}.npz", x=rows)
    (tmp_path / "R.toml").write_text(RECIPE.format(output=row.output))
    options = {"calibration": "calibration.npz", "heldout": "heldout.npz", "recipe": "R.toml", "out": "out"}
    arguments = [text for option, file in options.items() for text in (f"--{option}", str(tmp_path / file))]

    main(["quantize", str(float_path), *arguments, "--json"])

    result = json.loads(capsys.readouterr().out)
    assert result["code"] in row.right, result["message"]
    if result["code"] == "accepted":
        assert row.kept(outputs(float_path, row.heldout), outputs(tmp_path / "out" / "model.onnx", row.heldout))


def outputs(path: Path, rows: Array) -> Outputs:
    """Every output of a model, all windows in one array."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    windows = [session.run(None, {"x": row[None]}) for row in rows]
    return [np.concatenate(one) for one in zip(*windows, strict=True)]
