"""The float16 model of onnxruntime's converter: what it keeps, what fails, and what would overflow."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import conv_net, embedding_net, model, rows, save, stateful_net, value, weights

from edge_agent.backends import CandidateSpec
from edge_agent.backends import onnx as backend
from edge_agent.backends.onnx.float16 import _sorted, converter
from edge_agent.errors import ModelError

FLOAT16 = CandidateSpec("float16")


def prepared(built: Any, folder: Path) -> Path:
    backend.prepare(save(built, folder / "m.onnx"), folder / "prepared.onnx")
    return folder / "prepared.onnx"


def rewritten(built: Any, folder: Path) -> Path:
    out = folder / "float16.onnx"
    backend.rewrite(prepared(built, folder), {}, FLOAT16, out)
    assert backend.check(folder / "m.onnx", out, float16=True)["float16_weights"] > 0
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


def attention_net(lowest: float, *, opset: int, large: bool = False, scale: float = 1.0) -> Any:
    """``x`` [1, 40, 8] and ``m`` [1, 40], of which 0 hides a position → attention among the positions → ``y``.

    ``lowest`` is what is added to what is hidden; ``large``: and a constant matrix of it, too, which hides the future.
    """
    hidden = np.triu(np.full((40, 40), lowest, np.float32), 1) if large else np.zeros((1, 1), np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "query"], ["q"], "queries"),
        helper.make_node("Transpose", ["x"], ["k"], "keys", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "k"], ["scores"], "scores"),
        helper.make_node("Sub", ["one", "m"], ["no"], "no"),
        helper.make_node("Mul", ["no", "lowest"], ["low"], "low"),
        helper.make_node("Unsqueeze", ["low", "axis"], ["rows"], "rows"),
        helper.make_node("Add", ["rows", "future"], ["mask"], "mask"),
        helper.make_node("Add", ["scores", "mask"], ["masked"], "masked"),
        helper.make_node("Softmax", ["masked"], ["p"], "softmax", axis=-1),
        helper.make_node("MatMul", ["p", "x"], ["mixed"], "mix"),
        helper.make_node("MatMul", ["mixed", "w"], ["y"], "last"),
    ]
    numbers = {"one": np.array(1, np.float32), "lowest": np.array(lowest, np.float32), "axis": np.array([1])}
    constants = {**numbers, "future": hidden, "query": scale * weights(8, 8), "w": weights(8, 4)}
    inputs = [value("x", [1, 40, 8]), value("m", [1, 40])]
    return model(nodes, inputs, [value("y", [1, 40, 4])], constants, opset=opset)


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


def largest_peak(built: Any, folder: Path, *, seen: int = 20) -> float:
    """Of all tensors of an attention net, for a row of which ``seen`` positions are not hidden."""
    peaks = backend.float16_peaks(prepared(built, folder))
    assert peaks is not None
    x = np.random.default_rng(0).normal(size=(1, 40, 8)).astype(np.float32)
    shown = (np.arange(40) < seen).astype(np.float32)[None]
    return max(peaks.run({"x": x, "m": shown}).values())


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("large", [False, True])
def test_a_mask_of_the_lowest_float_is_no_overflow(tmp_path: Path, opset: int, *, large: bool) -> None:
    lowest = float(np.finfo(np.float32).min)

    assert largest_peak(attention_net(lowest, opset=opset, large=large, scale=40), tmp_path) <= 65504


def test_scores_beyond_float16_are_an_overflow_behind_a_mask_too(tmp_path: Path) -> None:
    lowest = float(np.finfo(np.float32).min)

    assert largest_peak(attention_net(lowest, opset=17, scale=1e5), tmp_path) > 65520


def test_a_row_of_which_all_is_hidden_has_no_number_in_range(tmp_path: Path) -> None:
    """In 16 bits all of it is minus infinity where scores are below -16, and a Softmax of that is NaN."""
    lowest = float(np.finfo(np.float32).min)
    built = attention_net(lowest, opset=17, large=True, scale=-40)

    assert largest_peak(built, tmp_path, seen=0) > 65520


def test_a_large_constant_counts_where_it_multiplies(tmp_path: Path) -> None:
    """The converter makes it 65,504, and what it gives is no smaller for that."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], "first"),
        helper.make_node("Mul", ["a", "huge"], ["large"], "large"),
        helper.make_node("MatMul", ["large", "w2"], ["y"], "second"),
    ]
    constants = {"w1": 20 * weights(64, 32), "huge": np.array(1e6, np.float32), "w2": 1e-6 * weights(32, 4)}
    built = model(nodes, [value("x", [1, 64])], [value("y", [1, 4])], constants)
    peaks = backend.float16_peaks(prepared(built, tmp_path))
    assert peaks is not None

    found = peaks.run(rows(built, 1)[0])

    assert found["large"] == pytest.approx(65504 * found["a"])
    assert found["large"] > 65520


def test_many_nodes_are_put_in_order_in_a_moment(tmp_path: Path) -> None:
    """The converter appends every Cast behind the last node, so nearly each node waits for one."""
    count, nodes, last = 1500, [helper.make_node("MatMul", ["x", "w1"], ["a0"], "first")], "a0"
    for number in range(1, count):
        nodes.append(helper.make_node("Max", [last, "least"], [f"a{number}"], f"max{number}"))
        last = f"a{number}"
    nodes.append(helper.make_node("MatMul", [last, "w2"], ["y"], "second"))
    constants = {"w1": weights(64, 32), "least": weights(1, 32), "w2": weights(32, 4)}
    built = model(nodes, [value("x", [1, 64])], [value("y", [1, 4])], constants)
    converted = converter().convert_float_to_float16(built, keep_io_types=True, disable_shape_infer=True)
    begun = time.monotonic()

    order = _sorted(converted.graph.node)

    assert time.monotonic() - begun < 2
    assert len(order) == len(converted.graph.node)


_IN_LITTLE_MEMORY = """
import re, resource, sys
from pathlib import Path
from edge_agent.backends import CandidateSpec, onnx
from edge_agent.backends.onnx.float16 import converter
converter()
taken = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) << 10
most = taken + (int(sys.argv[3]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    onnx.rewrite(Path(sys.argv[1]), {}, CandidateSpec("float16"), Path(sys.argv[2]))
except MemoryError:
    print("MemoryError")
"""


@pytest.mark.children(covered=False)
@pytest.mark.parametrize("more_mib", [10, 20, 40])
def test_memory_that_does_not_do_is_told_as_such_wherever_it_ends(tmp_path: Path, more_mib: int) -> None:
    """While 16 MiB are read (as bytes, then parsed), and while they are converted or written."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], "first"),
        helper.make_node("MatMul", ["a", "w2"], ["y"], "second"),
    ]
    constants = {"w1": weights(64, 1 << 15), "w2": weights(1 << 15, 64)}
    path = prepared(model(nodes, [value("x", [1, 64])], [value("y", [1, 64])], constants), tmp_path)

    command = [sys.executable, "-c", _IN_LITTLE_MEMORY, path, tmp_path / "out.onnx", str(more_mib)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "MemoryError\n"
