"""What a file has beside one graph of builtin operators: custom ones that a runtime has, and further signatures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from support import tflite_models as models
from support.jobs import NO_PROOF, make_job, run_stages
from support.results import read_results
from support.tflite_rig import Rig, needs_tflite_runtime

from edge_agent.backends import CandidateSpec
from edge_agent.backends import tflite as backend
from edge_agent.errors import ModelError
from edge_agent.jobs.task import Stage
from edge_agent.worker.artefacts import read_ranges

SPECS = [
    CandidateSpec("static", "minmax", types="s8s8"),
    CandidateSpec("static", "minmax", per_channel=False, types="s8s8"),
    CandidateSpec("dynamic", types="s8s8"),
    CandidateSpec("uniform", types="s8s8"),
]


def answers(path: Path, key: str) -> dict[str, Any]:
    runner = Interpreter(str(path)).get_signature_runner(key)
    rng = np.random.default_rng(0)
    return runner(
        **{n: rng.normal(size=one["shape"]).astype(np.float32) for n, one in runner.get_input_details().items()}
    )


@pytest.mark.parametrize("spec", SPECS)
def test_every_signature_is_kept_and_those_of_other_graphs_answer_as_before(
    tmp_path: Path, spec: CandidateSpec
) -> None:
    rig = Rig(tmp_path, models.two_signatures_net)

    rig.rewrite(spec)

    before, after = (Interpreter(str(path)).get_signature_list() for path in (rig.original, rig.out))
    assert after == before
    assert np.array_equal(answers(rig.out, "encode")["code"], answers(rig.original, "encode")["code"])
    assert answers(rig.out, "serving_default")["y"].shape == (1, 5)


def test_which_signature_is_judged_is_said(tmp_path: Path) -> None:
    notes = backend.inspect(models.save(models.two_signatures_net(), tmp_path / "m.tflite")).notes

    assert "the file has 2 signatures; 'serving_default' is quantized and judged, 'encode' kept" in notes


@pytest.mark.parametrize("spec", SPECS)
def test_an_operator_that_a_runtime_has_is_no_reason_to_refuse(tmp_path: Path, spec: CandidateSpec) -> None:
    rig = Rig(tmp_path, models.upscaling_net)

    assert backend.inspect(rig.original).custom == ("Convolution2DTransposeBias",)
    assert rig.sqnr_db(spec, "ai-edge-litert") > 30


def test_an_operator_that_none_has_is_named_with_the_tensor_that_it_gives(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"'Wavelet' that gives 'hidden' is custom, and no installed runtime has it"
    ) as told:
        backend.inspect(models.save(models.custom_net(), tmp_path / "m.tflite"))

    assert told.value.code == "custom_operator"


@needs_tflite_runtime
def test_a_runtime_without_the_operator_is_left_out(tmp_path: Path) -> None:
    model = models.save(models.upscaling_net(), tmp_path / "float.tflite")
    x = np.random.default_rng(0).normal(size=(60, 4, 4, 8)).astype(np.float32)
    job_dir = make_job(tmp_path, model, {"x": x}, gates=NO_PROOF)

    assert run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE).code == ""

    assert read_ranges(job_dir / "calibrate").runtimes == ["ai-edge-litert"]
    warnings = read_results(job_dir)["data"]["warnings"]
    assert any(text.startswith("tflite-runtime is left out: ") for text in warnings)
