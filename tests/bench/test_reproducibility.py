"""The table of repeated runs on made-up results, and the model of equal speed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.equal_speed import CLASSES, write_equal_speed
from bench.reproducibility import row

from edge_agent.backends import CandidateSpec
from edge_agent.backends import onnx as backend

RANGES = {"mse": {"x": [0.0, 1.0]}, "minmax": {"x": [0.0, 2.0]}}


def result(
    *, end: str = "", ratio: float = 0.5, high: float = 1.0, candidates: int = 8, **chosen: Any
) -> dict[str, Any]:
    made = {"method": "static", "operators": "core", "calibration": "mse", "float_layers": [], "ratio_p50": ratio}
    return {
        "verdict": "rejected" if end else "accepted", "code": end, "chosen": None if end else made | chosen,
        "candidates": [{}] * candidates, "seconds": {"quantize": 10.0},
        "ranges": RANGES | {"mse": {"x": [0.0, high]}},
    }  # fmt: skip


def cells(*results: dict[str, Any]) -> list[str]:
    return [cell.strip() for cell in row("m", results).strip("|").split("|")]


def test_runs_that_end_alike_differ_in_nothing_but_time_and_what_else_was_tried() -> None:
    told = cells(result(ratio=0.5, candidates=8), result(ratio=0.52, candidates=9))

    assert told[:4] == ["m", "accepted 2", "2 of 2: static core mse", "-"]
    assert told[4] == "0.500 … 0.520 (2.8 %)"
    assert told[5] == "1x 8, 1x 9"


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (result(end="latency_inconclusive"), "end"),
        (result(method="uniform", calibration=None), "method"),
        (result(float_layers=["a"]), "float_layers"),
        (result(high=1.1), "ranges"),
    ],
)
def test_what_differs_is_named(other: dict[str, Any], part: str) -> None:
    told = cells(result(), result(), other)

    assert told[2] == "2 of 3: static core mse"
    assert part in told[3].split(", ")


def test_ranges_of_a_method_that_was_not_chosen_do_not_count() -> None:
    one = result()
    other = one | {"ranges": RANGES | {"minmax": {"x": [0.0, 3.0]}}}

    assert cells(one, other)[3] == "-"


def test_of_the_model_of_equal_speed_int8_weights_keep_what_float_says(tmp_path: Path) -> None:
    model = write_equal_speed(tmp_path)
    backend.prepare(model, tmp_path / "prepared.onnx")
    backend.rewrite(tmp_path / "prepared.onnx", {}, CandidateSpec("uniform"), tmp_path / "int8.onnx")
    told = {}
    with np.load(tmp_path / "equal-heldout.npz") as heldout:
        rows, labels = heldout["x"][:100], heldout["labels"][:100]
    for name in ("equal-float", "int8"):
        session = backend.open(tmp_path / f"{name}.onnx", runtime="onnxruntime", threads=1)
        told[name] = [int(np.argmax(session.run({"x": one[None]})[0])) for one in rows]

    assert set(labels.tolist()) == set(range(CLASSES))
    assert told["equal-float"] == told["int8"] == labels.tolist()
    assert (tmp_path / "int8.onnx").stat().st_size < 0.27 * model.stat().st_size
    assert np.ptp(np.log10(np.abs(rows).max(axis=(1, 2, 3)))) > 5
