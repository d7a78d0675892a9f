"""A .tflite through the stages of a job: the same engine as for ONNX, on this machine's runtimes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import tflite_models as models
from support.jobs import make_job, run_stages
from support.results import read_results

from edge_agent.backends import tflite as backend
from edge_agent.errors import RecipeError
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import Stage
from edge_agent.wire.manifest import Gates, MinGain, Output, Recipe

pytestmark = pytest.mark.children(covered=False)

ANY_COST = Gates(max_latency_ratio=0, max_size_ratio=0, min_gain=MinGain(0, 0, 0))
SEARCH = (Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)


def job(folder: Path, build: Callable[[], bytes], **task: Any) -> tuple[Outcome, dict[str, Any], Path]:
    model = models.save(build(), folder / "m.tflite")
    rows = models.rows(model, 240)
    arrays = {name: np.stack([feeds[name] for feeds in rows]) for name in rows[0]}
    fields = {"gates": ANY_COST, "output": Output(kind="raw")} | task
    job_dir = make_job(folder, model, arrays, **fields)
    outcome = run_stages(job_dir, *SEARCH, Stage.VALIDATE, Stage.BENCHMARK)
    return outcome, read_results(job_dir), job_dir


@pytest.mark.slow
def test_a_float_model_is_searched_judged_and_measured_like_any_other(tmp_path: Path) -> None:
    outcome, results, job_dir = job(tmp_path, models.conv_net)

    assert outcome.code == ""
    assert {record["method"] for record in results["candidates"]} >= {"static"}
    assert results["chosen"]["runtime"] in backend.RUNTIMES
    assert results["chosen"]["peak_rss_bytes"] > 0
    assert results["layers"]
    chosen = job_dir / "quantize" / "chosen.tflite"
    assert backend.check(job_dir / "model.tflite", chosen)["int8_weights"] > 0


@pytest.mark.slow
def test_weights_stored_in_few_bits_are_made_float_again_and_that_is_said(tmp_path: Path) -> None:
    outcome, results, _ = job(tmp_path, models.hybrid_net, recipe=Recipe(method="uniform"))

    assert outcome.code == ""
    assert [text for text in results["data"]["warnings"] if text.startswith("the file is hybrid, not float: 1 weight")]


@pytest.mark.slow
def test_integers_at_the_ends_of_a_model_are_for_who_asks(tmp_path: Path) -> None:
    outcome, results, job_dir = job(tmp_path, models.mlp, recipe=Recipe(io="int8", calibration="minmax"))

    assert outcome.code == ""
    assert {record["method"] for record in results["candidates"]} == {"static"}
    session: Any = backend.open(job_dir / "quantize" / "chosen.tflite")
    ends = [*session._inputs, *session._outputs]
    assert {port.dtype.name for port in ends} == {"int8"}
    assert {spec.dtype for spec in (*session.inputs, *session.outputs)} == {"float32"}
    assert results.get("fp16") is None  # whose ends are floats


@pytest.mark.parametrize("recipe", [Recipe(io="int8", method="dynamic"), Recipe(io="int8", method="uniform")])
def test_methods_that_compute_on_floats_have_none(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="computes on floats"):
        job(tmp_path, models.mlp, recipe=recipe)
