"""Candidates for :mod:`bench.judge_error`: what the recipes make of a float model, and sabotage of known size.

Sabotage of files: a share of weights with their sign flipped, activations' zero points moved, ranges of another regime.
Sabotage of outputs: a class that is never said, and a known share of rows that answer as another row does.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from edge_agent.backends import Backend, CandidateSpec, Range
from edge_agent.errors import EdgeAgentError
from edge_agent.wire.manifest import Recipe
from edge_agent.worker.artefacts import Ranges
from edge_agent.worker.search.policy import plan

Outputs = NDArray[Any]
FLIPPED = (0.001, 0.01, 0.05)
ZERO_POINTS = (2, 16)
REGIMES = (0.5, 0.1)
SHARES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15)


def candidate_files(backend: Backend, prepared: Path, ranges: Ranges, folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, file) of what every recipe makes, and of the sabotaged ones; those that cannot be built are left out."""
    layers = backend.layers(prepared)
    specs = plan(
        Recipe(),
        {layer.operator for layer in layers},
        {layer.operator for layer in layers if layer.weights is not None},
        core=backend.core_operators(),
        products=backend.product_operators(),
        schemes=backend.schemes,
    )
    for spec in specs:
        if (path := _built(backend, prepared, ranges.of(spec.calibration), spec, folder)) is not None:
            yield _named(spec), path
    first = next((spec for spec in specs if spec.method == "static"), None)
    if first is None:
        return
    for factor in REGIMES:
        other = {name: Range(one.low * factor, one.high * factor) for name, one in ranges.of(first.calibration).items()}
        if (path := _built(backend, prepared, other, first, folder)) is not None:
            yield f"ranges of a regime {factor:g} times as large", path
    if backend.SUFFIX != ".onnx":
        return
    for share in FLIPPED:
        yield f"{share:.1%} of weights flipped", _flipped(prepared, share, folder)
    if (path := _built(backend, prepared, ranges.of(first.calibration), first, folder)) is not None:
        for steps in ZERO_POINTS:
            yield f"zero points off by {steps}", _moved(path, steps, folder)


def sabotaged_outputs(wanted: Outputs, groups: NDArray[np.intp] | None, seed: int = 0) -> Iterator[tuple[str, Outputs]]:
    """(name, outputs) made of float's own: a class lost, and each share of rows that answer as another row does."""
    random = np.random.default_rng(seed)
    flat = wanted.reshape(len(wanted), -1)
    if flat.shape[1] > 1:
        said = np.bincount(flat.argmax(axis=1), minlength=flat.shape[1])
        rarest = int(np.argmin(np.where(said > 0, said, said.max() + 1)))
        lost = np.array(flat)
        lost[:, rarest] = flat.min() - 1
        yield f"class {rarest} lost ({said[rarest]} of {len(flat)} rows)", lost.reshape(wanted.shape)
    for share in SHARES:
        places = random.permutation(len(flat))[: round(share * len(flat))]
        yield f"{share:.1%} of rows as another", _as_another(wanted, places)
        if groups is not None and share:
            order = np.concatenate([np.flatnonzero(groups == name) for name in random.permutation(np.unique(groups))])
            yield f"{share:.1%} of rows, in few recordings", _as_another(wanted, order[: len(places)])


def _as_another(wanted: Outputs, places: NDArray[np.intp]) -> Outputs:
    """Each row of ``places`` takes the next row that says something else."""
    flat = wanted.reshape(len(wanted), -1)
    answers = flat.argmax(axis=1) if flat.shape[1] > 1 else flat[:, 0] > np.median(flat[:, 0])
    changed = np.array(wanted)
    for place in places:
        others = np.flatnonzero(answers != answers[place])
        if len(others):
            changed[place] = wanted[others[np.searchsorted(others, place) % len(others)]]
    return changed


def _built(
    backend: Backend, prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, folder: Path
) -> Path | None:
    path = folder / f"{len(list(folder.iterdir()))}{backend.SUFFIX}"
    try:
        backend.rewrite(prepared, ranges, spec, path)
    except EdgeAgentError:
        path.unlink(missing_ok=True)
        return None
    return path


def _named(spec: CandidateSpec) -> str:
    parts = [spec.method, spec.calibration, f"{len(spec.operators)} operators" if spec.operators else "all", spec.types]
    return " ".join(part for part in parts if part)


def _flipped(prepared: Path, share: float, folder: Path) -> Path:
    built, random = onnx.load(prepared), np.random.default_rng(0)
    for tensor in built.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            values = numpy_helper.to_array(tensor)
            signs = np.where(random.random(values.shape) < share, -1, 1).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values * signs, tensor.name))
    path = folder / f"flipped-{share:g}.onnx"
    onnx.save(built, path)
    return path


def _moved(path: Path, steps: int, folder: Path) -> Path:
    built = onnx.load(path)
    activations = {node.input[2] for node in built.graph.node if node.op_type == "QuantizeLinear"}
    for tensor in built.graph.initializer:
        if tensor.name in activations and tensor.data_type in (TensorProto.UINT8, TensorProto.INT8):
            values = numpy_helper.to_array(tensor)
            ends = np.iinfo(values.dtype)
            moved = np.clip(values.astype(np.int64) + steps, ends.min, ends.max).astype(values.dtype)
            tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))
    moved_path = folder / f"moved-{steps}.onnx"
    onnx.save(built, moved_path)
    return moved_path
