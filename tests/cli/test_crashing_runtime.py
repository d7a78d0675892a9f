"""A runtime that crashes on this processor: found by processes of their own, named, and left out."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.crashing import crash_on_import
from support.tflite_models import mlp, save
from support.tflite_rig import HAS_TFLITE_RUNTIME, needs_tflite_runtime

from edge_agent.cli import doctor_checks

pytestmark = pytest.mark.children(covered=False)

TFLITE_RUNTIME = pytest.param("tflite-runtime", marks=needs_tflite_runtime)


@pytest.mark.parametrize("runtime", [TFLITE_RUNTIME, "ai-edge-litert", "onnxruntime"])
def test_the_doctor_names_it_and_what_cannot_be_done_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    unable = {"onnxruntime": [".onnx"], "ai-edge-litert": [] if HAS_TFLITE_RUNTIME else [".tflite"]}.get(runtime, [])
    crash_on_import(monkeypatch, tmp_path, runtime)

    checks = list(doctor_checks._runtimes())

    works, *rest = [check for check in checks if check.name == "runtimes"]
    assert works.level == "ok"
    others = {"onnxruntime", "ai-edge-litert"} - {runtime}
    assert others <= {name.split()[0] for name in works.detail.split(", ")}
    assert runtime not in works.detail
    assert rest[0].level == "warn"
    assert rest[0].detail.startswith(f"{runtime} does not work on this processor: ")
    assert "SIGILL" in rest[0].detail
    assert runtime in rest[0].remedy
    assert [check.detail for check in rest[1:]] == [f"{name} models cannot be quantized here" for name in unable]


@pytest.fixture
def quantize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line that quantizes a small .tflite model."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "c.npz", rng.normal(size=(400, 12)).astype(np.float32))
    (tmp_path / "r.toml").write_text(
        '[recipe]\nmethod = "static"\ncalibration = "minmax"\nsearch_budget_s = 5\n[output]\nkind = "raw"\n'
        "[gates]\nmax_latency_ratio = 0\nmin_agreement = 0.5\n"
    )
    model = save(mlp(), tmp_path / "m.tflite")
    return [
        sys.executable, "-m", "edge_agent", "quantize", str(model), "--calibration", str(tmp_path / "c.npz"),
        "--recipe", str(tmp_path / "r.toml"), "--out", str(tmp_path / "out"), "--json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "runtime", [TFLITE_RUNTIME, "onnxruntime", pytest.param("ai-edge-litert", marks=needs_tflite_runtime)]
)
def test_what_does_not_need_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantize: list[str], runtime: str
) -> None:
    """Be it another runtime of the same format, or that of another format: no process of the job may load it."""
    crash_on_import(monkeypatch, tmp_path, runtime)

    done = subprocess.run(quantize, capture_output=True, text=True, check=False)

    result = json.loads(done.stdout)
    assert (done.returncode, result["code"]) == (0, "accepted"), result["message"]
    assert runtime not in {one["runtime"] for one in result["candidates"]}
    left_out = [one for one in result["data"]["warnings"] if f"{runtime} is left out" in one and "SIGILL" in one]
    assert len(left_out) == (runtime != "onnxruntime")


def test_without_any_runtime_of_the_format_it_is_told_and_nothing_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantize: list[str]
) -> None:
    for runtime in ("ai-edge-litert", "tflite-runtime") if HAS_TFLITE_RUNTIME else ("ai-edge-litert",):
        crash_on_import(monkeypatch, tmp_path, runtime)

    done = subprocess.run(quantize, capture_output=True, text=True, check=False)

    result = json.loads(done.stdout)
    assert (done.returncode, result["code"]) == (5, "format_unsupported"), result["message"]
    assert "no runtime for .tflite models works on this device: ai-edge-litert: " in result["message"]
    assert "SIGILL" in result["message"]
