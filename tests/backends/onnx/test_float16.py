"""The float16 model of onnxruntime's converter: what it keeps, what fails, and what would overflow."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import conv_net, embedding_net, model, rows, save, stateful_net, value, weights

from edge_agent.backends import CandidateSpec
from edge_agent.backends import onnx as backend
from edge_agent.errors import ModelError

FLOAT16 = CandidateSpec("float16")


def prepared(built: Any, folder: Path) -> Path:
    backend.prepare(save(built, folder / "m.onnx"), folder / "prepared.onnx")
    return folder / "prepared.onnx"


def rewritten(built: Any, folder: Path) -> Path:
    out = folder / "float16.onnx"
    backend.rewrite(prepared(built, folder), {}, FLOAT16, out)
    assert backend.check(folder / "m.onnx", out)["float16_weights"] > 0
    return out


def blocked_net() -> Any:
    """``x`` [1, 64] → a product, the larger of that and a constant, a product → ``y`` [1, 4]."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], "first"),
        helper.make_node("Max", ["a", "least"], ["b"], "max"),
        helper.make_node("MatMul", ["b", "w2"], ["y"], "second"),
    ]
    constants = {"w1": weights(64, 32), "least": weights(1, 32), "w2": weights(32, 4)}
    return model(nodes, [value("x", [1, 64])], [value("y", [1, 4])], constants)


def branching_net() -> Any:
    """``conv_net`` with an If behind it, whose branches each have a constant of the same name."""

    def branch(output: str, operator: str) -> Any:
        scale = numpy_helper.from_array(np.arange(1, 5, dtype=np.float32), "scale")
        nodes = [helper.make_node(operator, ["logits", "scale"], [output], output)]
        return helper.make_graph(nodes, output, [], [value(output, ["n", 4])], [scale])

    branches = {"then_branch": branch("t", "Mul"), "else_branch": branch("e", "Add")}
    built = conv_net()
    built.graph.node.extend([
        helper.make_node("ReduceMean", ["logits"], ["mean"], "mean", keepdims=0),
        helper.make_node("Greater", ["mean", "zero"], ["positive"], "positive"),
        helper.make_node("If", ["positive"], ["y"], "if", **branches),
    ])  # fmt: skip
    built.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    built.graph.output[0].name = "y"
    return built


@pytest.mark.parametrize("built", [conv_net, embedding_net, stateful_net, blocked_net])
def test_a_float16_file_is_half_as_large_and_does_what_float_does(built: Any, tmp_path: Path) -> None:
    path = rewritten(built(), tmp_path)
    float_model, float16 = (backend.open(one) for one in (tmp_path / "m.onnx", path))

    for row in rows(built(), 8):
        for wanted, got in zip(float_model.run(row), float16.run(row), strict=True):
            assert got.dtype == wanted.dtype
            np.testing.assert_allclose(got, wanted, rtol=0, atol=0.01 * float(np.abs(wanted).max()))
    weights_of = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}.values()
    assert not any(tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) > 32 for tensor in weights_of)


def test_what_the_converter_takes_for_unable_stays_float_in_a_valid_order(tmp_path: Path) -> None:
    path = rewritten(blocked_net(), tmp_path)

    onnx.checker.check_model(path)  # wants nodes in an order in which they can run
    nodes = {node.name: node for node in onnx.load(path).graph.node}
    before = {node.output[0]: node for node in nodes.values()}
    assert before[nodes["max"].input[0]].op_type == "Cast"


def test_a_model_on_which_the_converter_fails_is_no_float16_candidate(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        backend.rewrite(prepared(branching_net(), tmp_path), {}, FLOAT16, tmp_path / "out.onnx")

    assert caught.value.code == "rewrite_invalid"
    assert caught.value.message == "onnxruntime's float16 converter fails: AssertionError"


def test_peaks_are_those_of_every_float_tensor(tmp_path: Path) -> None:
    built = conv_net()
    peaks = backend.float16_peaks(prepared(built, tmp_path))
    assert peaks is not None
    (row,) = rows(built, 1)

    found = peaks.run(row)

    tap = backend.tap(tmp_path / "prepared.onnx")
    seen = {name: float(np.abs(values).max()) for name, values in tap.run(row)}
    assert {name: found[name] for name in seen} == pytest.approx(seen)
    assert found["x"] == float(np.abs(row["x"]).max())


def test_this_runtime_computes_beyond_float16_where_the_processor_has_none_so_peaks_are_asked(tmp_path: Path) -> None:
    """The candidate's own outputs say nothing of an overflow: only float's activations do."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], "first"),
        helper.make_node("Pow", ["a", "two"], ["power"], "power"),
        helper.make_node("MatMul", ["power", "w2"], ["y"], "second"),
    ]
    constants = {"w1": 200 * weights(64, 32), "two": np.array(2, np.float32), "w2": 1e-5 * weights(32, 4)}
    built = model(nodes, [value("x", [1, 64])], [value("y", [1, 4])], constants)
    peaks = backend.float16_peaks(prepared(built, tmp_path))
    assert peaks is not None

    found = peaks.run(rows(built, 1)[0])

    assert found["power"] > 65504 > found["a"]
