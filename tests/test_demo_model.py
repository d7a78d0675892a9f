"""The bundled model on the bundled recording, whose subjects it never saw, through the contract of its own manifest."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.demo import DATA, MANIFEST, MODEL, Recording, read_recording

from edge_agent.backends import load
from edge_agent.cli import main
from edge_agent.preprocess import Preprocess
from host_tools.manifest_file import read_manifest_file

NEEDED = 450 * 50 + 300 * 100
"""Samples that the default recipe captures from it, gaps apart."""


@pytest.fixture(scope="module")
def recording() -> Recording:
    return read_recording()


def test_float_is_right_on_people_it_never_saw(recording: Recording) -> None:
    contract = read_manifest_file(MANIFEST).inputs[0]
    prepare, session = Preprocess(contract), load("onnx").open(MODEL)
    assert contract.window is not None
    size, hop = contract.window.size, contract.window.hop

    right = [
        int(np.argmax(session.run({"imu": prepare(samples[start : start + size])[None]})[0])) == label
        for samples, label in recording.parts
        for start in range(0, len(samples) - size + 1, hop)
    ]

    assert len(right) > 1400
    assert np.mean(right) >= 0.85


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
    assert "Redistribution" in (DATA / "LICENSE.seglearn").read_text(encoding="utf-8")
    for name in ("har.onnx", "imu_recording.npz"):
        assert f"{sizes[name]:,}" in readme


def test_ranges_that_do_not_fit_the_held_out_data_are_found(recording: Recording, tmp_path: Path) -> None:
    """As when a sensor was calibrated lying on a table: everything that moves is clipped."""
    contract = read_manifest_file(MANIFEST).inputs[0]
    prepare = Preprocess(contract)
    tensors = np.stack([prepare(recording.samples[start : start + 100]) for start in range(0, 60_000, 100)])
    np.savez(tmp_path / "faint.npz", imu=tensors[:300] * np.float32(0.01))
    np.savez(tmp_path / "real.npz", imu=tensors[300:])
    out = tmp_path / "out"

    code = main([
        "quantize", str(MODEL), "--calibration", str(tmp_path / "faint.npz"), "--heldout", str(tmp_path / "real.npz"),
        "--recipe", str(MANIFEST), "--out", str(out), "--json",
    ])  # fmt: skip

    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (code, report["code"]) == (4, "agreement_too_low"), report["message"]
    assert report["chosen"] is None
    assert not (out / "model.onnx").exists()
