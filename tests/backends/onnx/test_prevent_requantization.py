"""A layer left float stays float in the runtime, whatever is around it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.onnx_models import model, save, value, weights

from edge_agent.backends import CandidateSpec
from edge_agent.backends import onnx as backend
from edge_agent.backends.onnx.prevent_requantization import keep_float
from edge_agent.backends.onnx.session import create_session
from edge_agent.calibration.observer import Observer

FLOAT_MIDDLE = CandidateSpec("static", "minmax", float_layers=("middle",))


def convolutions(middle: str, *bias: str) -> Any:
    """Three layers in a row, activations between."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "first"),
        helper.make_node("Relu", ["c1"], ["r1"], "relu"),
        helper.make_node(middle, ["r1", "w2", *bias], ["c2"], "middle"),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("Conv", ["r2", "w3"], ["y"], "last"),
    ]
    constants = {"w1": weights(8, 3, 1, 1), "w2": weights(8, 8, 1, 1), "w3": weights(4, 8, 1, 1)}
    constants |= {name: weights(8, scale=0.1) for name in bias}
    return model(nodes, [value("x", [1, 3, 8, 8])], [value("y", [1, 4, 8, 8])], constants)


def gemms() -> Any:
    nodes = [
        helper.make_node("Gemm", ["x", "w1"], ["h1"], "first"),
        helper.make_node("Gemm", ["h1", "w2", "b2"], ["h2"], "middle"),
        helper.make_node("Gemm", ["h2", "w3"], ["y"], "last"),
    ]
    constants = {"w1": weights(6, 8), "w2": weights(8, 8), "b2": weights(8, scale=0.1), "w3": weights(8, 4)}
    return model(nodes, [value("x", [1, 6])], [value("y", [1, 4])], constants)


@pytest.mark.parametrize(
    "built",
    [convolutions("Conv", "b2"), convolutions("Conv"), convolutions("ConvTranspose", "b2"), gemms()],
    ids=["conv", "conv without bias", "transposed", "gemm"],
)
def test_the_runtime_reads_its_float_weights(tmp_path: Path, built: Any) -> None:
    prepared, quantized, optimized = (tmp_path / f"{name}.onnx" for name in ("prepared", "int8", "optimized"))
    backend.prepare(save(built, tmp_path / "m.onnx"), prepared)
    shape = [1, *(size or 1 for size in backend.inspect(prepared).inputs[0].shape[1:])]
    row = {"x": np.random.default_rng(1).normal(size=shape).astype(np.float32)}
    tap = backend.tap(prepared)
    observer = Observer(tap.names)
    for name, found in tap.run(row):
        observer.add(name, found)
    ranges = observer.ranges(observer.histograms, ["minmax"], symmetric=False)["minmax"]

    backend.rewrite(prepared, ranges, FLOAT_MIDDLE, quantized)
    backend.check(tmp_path / "m.onnx", quantized)
    create_session(quantized, optimized_path=optimized)

    graph = onnx.load(optimized).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    weights_of = {node.name: node.input[1] for node in graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm")}
    assert types.get(weights_of["middle"]) == TensorProto.FLOAT
    assert weights_of["first"] not in types, "int8 layers read dequantized weights at this level"


@pytest.mark.parametrize("bias", [(), ("b2",)])
def test_what_the_layer_computes_stays(tmp_path: Path, bias: tuple[str, ...]) -> None:
    path = save(convolutions("Conv", *bias), tmp_path / "m.onnx")
    row = {"x": np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    spelled = onnx.load(path)

    keep_float(spelled, ["first", "middle"])

    before, after = (backend.open(file).run(row)[0] for file in (path, save(spelled, tmp_path / "spelled.onnx")))
    assert [node.op_type for node in spelled.graph.node].count("DequantizeLinear") == 2
    assert after == pytest.approx(before, abs=1e-6)
