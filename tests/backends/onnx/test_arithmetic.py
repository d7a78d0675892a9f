"""Integers against this very processor: what it saturates is known, and what is tried instead is exact."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from support import onnx_models as models

from edge_agent.backends import CandidateSpec, Range, Scheme
from edge_agent.backends import onnx as backend
from edge_agent.backends.onnx.arithmetic import saturates, worth_trying

RANDOM = np.random.default_rng(3)


def extreme(operator: str) -> tuple[Any, list[NDArray[np.float32]]]:
    """A layer that sums many products of its largest weights and its largest inputs."""
    signs = RANDOM.choice(np.float32([-1, 1, 1]), (64, 8))
    if operator == "MatMul":
        node, shape, w = helper.make_node("MatMul", ["x", "w"], ["y"], "layer"), [4, 64], signs
    elif operator == "Conv":
        node, shape = helper.make_node("Conv", ["x", "w"], ["y"], "layer"), [1, 64, 6, 6]
        w = signs.T.reshape(8, 64, 1, 1).copy()
    elif operator == "one channel":
        node, shape = helper.make_node("Conv", ["x", "w"], ["y"], "layer"), [1, 1, 12, 12]
        w = signs[:, :1].T.reshape(1, 1, 8, 8).repeat(4, axis=0)
    else:
        node = helper.make_node("Conv", ["x", "w"], ["y"], "layer", group=64)
        shape, w = [1, 64, 6, 6], np.tile(np.float32([[1, 1, -1], [1, 1, 1], [1, 1, 1]]), (64, 1, 1, 1))
    output = helper.make_tensor_value_info("y", models.FLOAT, None)
    built = models.model([node], [models.value("x", shape)], [output], {"w": w})
    return built, [RANDOM.choice(np.float32([0, 1, 1]), shape) for _ in range(4)]


def worst_error(folder: Path, operator: str, spec: CandidateSpec) -> float:
    """The largest error of the int8 layer, as a fraction of its largest output."""
    built, rows = extreme(operator)
    original, prepared, quantized = models.save(built, folder / "m.onnx"), folder / "p.onnx", folder / "q.onnx"
    backend.prepare(original, prepared)
    session = backend.open(prepared)
    outputs = [session.run({"x": row})[0] for row in rows]
    peak = max(float(np.abs(output).max()) for output in outputs)
    backend.rewrite(prepared, {"x": Range(0, 1), "y": Range(-peak, peak)}, spec, quantized)
    backend.check(original, quantized)
    target = backend.open(quantized)
    errors = [np.abs(target.run({"x": row})[0] - wanted).max() for row, wanted in zip(rows, outputs, strict=True)]
    return float(max(errors) / peak)


@pytest.mark.parametrize("scheme", [scheme for scheme in worth_trying("static") if scheme.types != "u8s8"])
@pytest.mark.parametrize("operator", ["MatMul", "Conv", "one channel", "depthwise"])
def test_what_is_tried_beside_the_usual_is_exact_here(tmp_path: Path, operator: str, scheme: Scheme) -> None:
    spec = CandidateSpec("static", "minmax", types=scheme.types, per_channel=scheme.per_channel)

    assert worst_error(tmp_path, operator, spec) < 0.02


@pytest.mark.parametrize("operator", ["MatMul", "Conv"])
def test_the_usual_types_err_where_it_is_said_that_they_saturate(tmp_path: Path, operator: str) -> None:
    spec = CandidateSpec("static", "minmax", types="u8s8")

    assert (worst_error(tmp_path, operator, spec) > 0.1) == saturates() == backend.saturates(spec)
    assert not backend.saturates(CandidateSpec("static", "minmax", types="u8u8"))
    assert not backend.saturates(CandidateSpec("uniform"))


def test_activations_quantized_as_they_come_have_an_exact_way_too(tmp_path: Path) -> None:
    errors = [
        worst_error(tmp_path, "MatMul", CandidateSpec("dynamic", types=types, per_channel=per_channel))
        for types, per_channel in worth_trying("dynamic")
    ]

    assert min(errors) < 0.02


def test_depthwise_weights_stay_signed_where_others_are_not(tmp_path: Path) -> None:
    for operator, wanted in (("depthwise", onnx.TensorProto.INT8), ("Conv", onnx.TensorProto.UINT8)):
        worst_error(tmp_path, operator, CandidateSpec("static", "minmax", types="u8u8"))
        stored = {tensor.name: tensor.data_type for tensor in onnx.load(tmp_path / "q.onnx").graph.initializer}
        assert stored["w_quantized"] == wanted
