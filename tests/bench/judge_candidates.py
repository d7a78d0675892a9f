"""Candidates for :mod:`bench.judge_error`: what the recipes make of a float model, and sabotage of known size.

Sabotage of files: a share of weights with their sign flipped, activations' zero points moved, ranges of another regime.
Sabotage of outputs: a class that is never said, and a known share of rows that answer as another row does.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from edge_agent.backends import Backend, CandidateSpec, Feeds, Range
from edge_agent.errors import EdgeAgentError
from edge_agent.quant.agreement import Judge
from edge_agent.wire.manifest import Recipe
from edge_agent.worker.artefacts import Ranges
from edge_agent.worker.search.policy import plan, structure
from edge_agent.worker.search.space import SearchSpace

Outputs = NDArray[Any]
FLIPPED = (0.001, 0.01, 0.05)
ZERO_POINTS = (2, 16)
REGIMES = (0.5, 0.1)
ORT_WINDOWS = 100
"""The peer keeps every activation of every window."""
_ONE_EACH = ("classes", "binary", "anomaly")
IN_FEW = ", in few recordings"
"""How names end where whole recordings are wrong."""
SHARES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15)


def candidate_files(
    backend: Backend, prepared: Path, ranges: Ranges, folder: Path, calibration: Sequence[Feeds]
) -> Iterator[tuple[str, Path]]:
    """(name, file) of what every recipe makes, and of the sabotaged ones; those that cannot be built are left out."""
    layers = backend.layers(prepared)
    space = SearchSpace(
        recipe=Recipe(),
        present={layer.operator for layer in layers},
        weighted={layer.operator for layer in layers if layer.weights is not None},
        core=backend.core_operators(),
        products=backend.product_operators(),
        schemes=backend.schemes,
    )
    specs = plan(space)
    first = next((spec for spec in specs if spec.method == "static"), None)
    for spec in specs:
        if (
            first is not None
            and spec.calibration
            and spec.calibration != first.calibration
            and structure(spec) != structure(first)
        ):
            continue  # other ranges are tried with the first structure
        if (path := _built(backend, prepared, ranges.of(spec.calibration), spec, folder)) is not None:
            yield _named(spec), path
    if first is None:
        return
    for factor in REGIMES:
        other = {name: Range(one.low * factor, one.high * factor) for name, one in ranges.of(first.calibration).items()}
        if (path := _built(backend, prepared, other, first, folder)) is not None:
            yield f"ranges of a regime {factor:g} times as large", path
    if backend.SUFFIX != ".onnx":
        return
    yield from _of_onnxruntime(prepared, folder, calibration)
    for share in FLIPPED:
        yield f"{share:.1%} of weights flipped", _flipped(prepared, share, folder)
    if (path := _built(backend, prepared, ranges.of(first.calibration), first, folder)) is not None:
        for steps in ZERO_POINTS:
            yield f"zero points off by {steps}", _moved(path, steps, folder)


def sabotaged_outputs(
    judge: Judge, wanted: Outputs, rounding: Outputs, groups: NDArray[np.intp] | None, seed: int = 0
) -> Iterator[tuple[str, Outputs]]:
    """(name, outputs) of which it is known how many rows disagree.

    Args:
        judge: of the output.
        wanted: float's.
        rounding: int8's that all agree, so that the other rows differ as int8 does; where there is none, float's own.
        groups: the recording of each row.
        seed: of the places.
    """
    random = np.random.default_rng(seed)
    yield "float itself", wanted
    said = np.array([-1 if (one := class_given(judge, row)) is None else one for row in wanted])
    known, counts = np.unique(said[said >= 0], return_counts=True)
    if len(known) > 1:
        rarest = known[np.argmin(counts)]
        places = np.flatnonzero(said == rarest)
        yield f"class {rarest} lost ({len(places)} of {len(wanted)} rows)", _as_another(judge, wanted, rounding, places)
    for share in SHARES:
        places = random.permutation(len(wanted))[: round(share * len(wanted))]
        yield f"{share:.1%} of rows as another", _as_another(judge, wanted, rounding, places)
        if groups is not None and share:
            order = np.concatenate([np.flatnonzero(groups == name) for name in random.permutation(np.unique(groups))])
            whole = _as_another(judge, wanted, rounding, order[: len(places)])
            yield f"{share:.1%} of rows{IN_FEW}", whole


def class_given(judge: Judge, output: NDArray[Any]) -> int | None:
    """The class that float gives a row; None where the kind gives none, or several."""
    given = judge.kept_classes(output, output) if judge.meaning.kind in _ONE_EACH else {}
    return next(iter(given)) if len(given) == 1 else None


def _as_another(judge: Judge, wanted: Outputs, rounding: Outputs, places: NDArray[np.intp]) -> Outputs:
    """Each row of ``places`` takes float's next row that says something else."""
    changed = np.array(rounding)
    for place in places:
        for step in range(1, len(wanted)):
            other = wanted[(place + step) % len(wanted)]
            if not judge.agrees(wanted[place], other):
                changed[place] = other
                break
    return changed


def _of_onnxruntime(prepared: Path, folder: Path, calibration: Sequence[Feeds]) -> Iterator[tuple[str, Path]]:
    """What onnxruntime's own quantizer makes, with its defaults and the ends of every range."""

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
        def __init__(self) -> None:
            self._left = iter(calibration[:ORT_WINDOWS])

        def get_next(self) -> Feeds | None:
            return next(self._left, None)

    for per_channel in (False, True):
        path = folder / f"ort-{per_channel}.onnx"
        try:
            quantize_static(prepared, path, Reader(), per_channel=per_channel)
        except Exception as error:  # noqa: BLE001  # a peer may raise anything
            print(f"onnxruntime's quantizer: {error}", file=sys.stderr)
            continue
        yield f"onnxruntime minmax{' per channel' if per_channel else ''}", path


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
