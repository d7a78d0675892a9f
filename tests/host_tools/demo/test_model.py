"""The bundled model on the bundled recording, whose subjects it never saw, through the contract of its own manifest."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from support.demo import DATA, MANIFEST, MODEL, TFLITE_MANIFEST, TFLITE_MODEL, Recording, read_recording
from support.tflite_rig import RUNTIMES

from edge_agent.backends import Session, load
from edge_agent.cli import main
from edge_agent.preprocess import Preprocess
from host_tools.demo.tflite_model import converted, manifest
from host_tools.push.manifest_file import read_manifest_file

NEEDED = 450 * 50 + 300 * 100
"""Samples that the default recipe captures from it, gaps apart."""


@pytest.fixture(scope="module")
def recording() -> Recording:
    return read_recording()


def logits(session: Session, manifest: Path, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a model says of one raw window."""
    row = Preprocess(read_manifest_file(manifest).inputs[0])(samples)
    answer: NDArray[np.float32] = session.run({"imu": row[None]})[0][0]
    return answer


def test_float_is_right_on_people_it_never_saw(recording: Recording) -> None:
    window, session = read_manifest_file(MANIFEST).inputs[0].window, load("onnx").open(MODEL)
    assert window is not None

    right = [
        int(np.argmax(logits(session, MANIFEST, samples[start : start + window.size]))) == label
        for samples, label in recording.parts
        for start in range(0, len(samples) - window.size + 1, window.hop)
    ]

    assert len(right) > 1400
    assert np.mean(right) >= 0.85


@RUNTIMES
def test_the_tflite_model_is_the_same_model(recording: Recording, runtime: str) -> None:
    session, other = load("onnx").open(MODEL), load("tflite").open(TFLITE_MODEL, runtime=runtime)

    for start in range(0, len(recording.samples) - 100, 700):
        samples = recording.samples[start : start + 100]
        expected = logits(session, MANIFEST, samples)
        assert np.allclose(logits(other, TFLITE_MANIFEST, samples), expected, atol=1e-4)


def test_the_tflite_model_and_its_manifest_are_what_their_script_makes() -> None:
    assert TFLITE_MODEL.read_bytes() == converted(onnx.load(MODEL))
    assert TFLITE_MANIFEST.read_text(encoding="utf-8") == manifest(MANIFEST.read_text(encoding="utf-8"))


def test_the_recording_holds_unseen_subjects_only_and_all_exercises_all_the_time(recording: Recording) -> None:
    labels = np.array([label for _, label in recording.parts]).reshape(-1, 7)

    assert set(recording.subjects) == {8, 9, 10}
    assert (np.sort(labels, axis=1) == np.arange(7)).all()
    assert len(recording.samples) > NEEDED


def test_what_is_bundled_is_small_and_attributed() -> None:
    sizes = {path.name: path.stat().st_size for path in Path(DATA).iterdir()}
    readme = (DATA / "README.md").read_text(encoding="utf-8")

    assert sizes["imu_recording.npz"] < 900_000
    assert sizes["har.onnx"] < 1_000_000
    assert sizes["har.tflite"] < 1_000_000
    assert "Redistribution" in (DATA / "LICENSE.seglearn").read_text(encoding="utf-8")
    for name in ("har.onnx", "har.tflite", "imu_recording.npz"):
        assert f"{sizes[name]:,}" in readme


@pytest.mark.children(covered=False)
def test_ranges_that_do_not_fit_the_held_out_data_are_found(recording: Recording, tmp_path: Path) -> None:
    """As when a sensor was calibrated lying on a table: everything that moves is clipped."""
    contract = read_manifest_file(MANIFEST).inputs[0]
    prepare = Preprocess(contract)
    tensors = np.stack([prepare(recording.samples[start : start + 100]) for start in range(0, 60_000, 100)])
    np.savez(tmp_path / "faint.npz", imu=tensors[:300] * np.float32(0.01))
    np.savez(tmp_path / "real.npz", imu=tensors[300:])
    recipe = "[recipe]\ncalibration = 'mse'\nsearch_budget_s = 1\n[gates]\nmax_latency_ratio = 0\n"
    (tmp_path / "R.toml").write_text(MANIFEST.read_text(encoding="utf-8") + recipe, encoding="utf-8")
    out = tmp_path / "out"

    code = main([
        "quantize", str(MODEL), "--calibration", str(tmp_path / "faint.npz"), "--heldout", str(tmp_path / "real.npz"),
        "--recipe", str(tmp_path / "R.toml"), "--out", str(out), "--json",
    ])  # fmt: skip

    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (code, report["code"]) == (4, "agreement_too_low"), report["message"]
    assert report["chosen"] is None
    assert not (out / "model.onnx").exists()
