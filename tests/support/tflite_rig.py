"""A prepared TensorFlow Lite model with its ranges and a few rows: what tests of rewriting and switching begin with."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent.backends import CandidateSpec, Range
from edge_agent.backends import tflite as backend
from edge_agent.backends.tflite.reading import Model, Tensor, read_model
from edge_agent.calibration.observer import Observer
from support import tflite_models as models

HAS_TFLITE_RUNTIME = sys.version_info < (3, 12)
needs_tflite_runtime = pytest.mark.skipif(not HAS_TFLITE_RUNTIME, reason="tflite-runtime has no wheel for this Python")
RUNTIMES = pytest.mark.parametrize(
    "runtime", ["ai-edge-litert", pytest.param("tflite-runtime", marks=needs_tflite_runtime)]
)
"""Each runtime that this Python can have; one that is not installed fails."""
Feeds = Mapping[str, NDArray[Any]]


def calibrated(prepared: Path, rows: Iterable[Feeds]) -> dict[str, Range]:
    """Ranges by minmax."""
    tap = backend.tap(prepared)
    observer = Observer(tap.names)
    for row in rows:
        for name, found in tap.run(row):
            observer.add(name, found)
    return observer.ranges(observer.histograms, ["minmax"], symmetric=False)["minmax"]


class Rig:
    """One model in a folder of its own."""

    def __init__(self, folder: Path, build: Callable[[], bytes], count: int = 16) -> None:
        self.original = models.save(build(), folder / "m.tflite")
        self.prepared, self.out = folder / "prepared.tflite", folder / "int8.tflite"
        backend.prepare(self.original, self.prepared)
        self.rows = models.rows(self.prepared, count)
        self.ranges = calibrated(self.prepared, self.rows)
        self.reference = self.outputs(self.prepared)

    def outputs(self, path: Path, runtime: str = "") -> list[NDArray[Any]]:
        """The first output for each row."""
        session = backend.open(path, runtime=runtime)
        return [session.run(row)[0] for row in self.rows]

    def rewrite(self, spec: CandidateSpec, runtime: str = "") -> Path:
        """The candidate, proved sound on a runtime."""
        backend.rewrite(self.prepared, self.ranges, spec, self.out)
        backend.check(self.original, self.out, runtime=runtime, float16=spec.method == "float16")
        return self.out

    def noise(self, outputs: Iterable[NDArray[Any]]) -> float:
        """The error's power in parts of the signal's."""
        error = sum(float(np.sum((got - want) ** 2)) for got, want in zip(outputs, self.reference, strict=True))
        return error / sum(float(np.sum(want**2)) for want in self.reference)

    def sqnr_db(self, spec: CandidateSpec, runtime: str = "") -> float:
        """What the rewritten model loses on a runtime."""
        return -10 * float(np.log10(max(self.noise(self.outputs(self.rewrite(spec, runtime), runtime)), 1e-12)))


def tensor(model: Model, name: str) -> Tensor:
    """The tensor of a name."""
    return next(one for one in model.main.tensors if one.name == name)


def read(path: Path) -> Model:
    """What a file holds."""
    return read_model(path)
