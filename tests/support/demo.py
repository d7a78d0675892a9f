"""The demo's bundled data, for tests: paths, and the recording cut into its parts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import host_tools.demo

DATA = Path(host_tools.demo.__file__).with_name("data")
MODEL, MANIFEST, RECORDING = DATA / "har.onnx", DATA / "har.toml", DATA / "imu_recording.npz"
TFLITE_MODEL, TFLITE_MANIFEST = DATA / "har.tflite", DATA / "har_tflite.toml"


@dataclass(frozen=True, slots=True)
class Recording:
    """``samples`` [n, 6] in g and rad/s at 50 Hz; ``parts``: each recording's samples and its exercise."""

    samples: NDArray[np.float32]
    parts: list[tuple[NDArray[np.float32], int]]
    subjects: list[int]


def read_recording() -> Recording:
    """The bundled recording in the order in which the simulated sensor sends it."""
    with np.load(RECORDING) as file:
        samples = (file["samples"] * file["scale"]).astype(np.float32)
        parts = np.split(samples, file["starts"][1:])
        return Recording(samples, list(zip(parts, file["labels"].tolist(), strict=True)), file["subjects"].tolist())
