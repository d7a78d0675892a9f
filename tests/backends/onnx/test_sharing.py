"""A weight that several layers read is written once by every method, whatever stands between it and its readers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import onnx_models as models

from edge_agent import backends
from edge_agent.backends import CandidateSpec, Method, Range
from edge_agent.backends.onnx import rewriting
from edge_agent.backends.onnx.sharing import Twin, Twins, share_constants
from edge_agent.errors import ModelError

BACKEND = backends.load("onnx")
METHODS: tuple[Method, ...] = ("uniform", "dynamic", "static")
ROWS, WIDTH = 160, 96


def unrolled(steps: int = 8, width: int = 128) -> Any:
    """A recurrent cell as exporters unroll it: ``h = tanh(W x_t + R h)``, its weights read at each step."""
    names = [f"x{step}" for step in range(steps)]
    nodes = [helper.make_node("Split", ["x", "sizes"], names, "split", axis=1)]
    hidden = "start"
    for step, name in enumerate(names):
        nodes += [
            helper.make_node("Gemm", [name, "w", "b"], [f"i{step}"], f"in{step}", transB=1),
            helper.make_node("Gemm", [hidden, "r", "b"], [f"r{step}"], f"rec{step}", transB=1),
            helper.make_node("Add", [f"i{step}", f"r{step}"], [f"s{step}"], f"add{step}"),
            helper.make_node("Tanh", [f"s{step}"], [f"h{step}"], f"tanh{step}"),
        ]
        hidden = f"h{step}"
    nodes.append(helper.make_node("Gemm", [hidden, "o", "c"], ["y"], "head", transB=1))
    constants = {
        "w": models.weights(width, 32),
        "r": models.weights(width, width, scale=0.05),
        "b": models.weights(width, scale=0.1),
        "o": models.weights(4, width),
        "c": models.weights(4, scale=0.1),
        "start": np.full((1, width), 0.1, np.float32),
        "sizes": np.full(steps, 32, np.int64),
    }
    return models.model(nodes, [models.value("x", [1, 32 * steps])], [models.value("y", [1, 4])], constants)


def tied(between: str, width: int = WIDTH) -> Any:
    """A language model in small: the table that reads the ids also gives the scores, by way of ``between``."""
    table = models.weights(ROWS, width, scale=1.0)
    constants = {"table": table, "w": models.weights(width, width)}
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], "embed"),
        helper.make_node("MatMul", ["e", "w"], ["h"], "mix"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
    ]
    match between:
        case "transpose":
            nodes.append(helper.make_node("Transpose", ["table"], ["turned"], "turn", perm=[1, 0]))
        case "identity":
            nodes.append(helper.make_node("Identity", ["table"], ["same"], "same"))
            nodes.append(helper.make_node("Transpose", ["same"], ["turned"], "turn", perm=[1, 0]))
        case "copy":
            constants["turned"] = np.ascontiguousarray(table.T)
    nodes.append(helper.make_node("MatMul", ["r", "turned"], ["y"], "head"))
    ids = models.value("ids", [1, 7], models.INT64)
    return models.model(nodes, [ids], [models.value("y", [1, 7, ROWS])], constants)


def autoencoder() -> Any:
    """What encodes, turned, decodes."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "encode"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("Transpose", ["w"], ["turned"], "turn", perm=[1, 0]),
        helper.make_node("MatMul", ["r", "turned"], ["y"], "decode"),
    ]
    constants = {"w": models.weights(128, 96, scale=0.1)}
    return models.model(nodes, [models.value("x", [1, 128])], [models.value("y", [1, 128])], constants)


def reshaped() -> Any:
    """Two layers of the same weights, of which one sees them in another shape."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "first"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("Reshape", ["w", "shape"], ["batched"], "shape"),
        helper.make_node("MatMul", ["r", "batched"], ["y"], "second"),
    ]
    constants = {"w": models.weights(96, 96), "shape": np.array([1, 96, 96], np.int64)}
    return models.model(nodes, [models.value("x", [1, 4, 96])], [models.value("y", [1, 4, 96])], constants)


CASES = [
    pytest.param(unrolled, 3, id="unrolled-cell"),
    *(pytest.param(lambda way=way: tied(way), 2, id=f"tied-by-{way}") for way in ("transpose", "identity", "copy")),
    pytest.param(lambda: tied("transpose", 90), 2, id="tied-of-odd-width"),
    pytest.param(autoencoder, 1, id="autoencoder"),
    pytest.param(reshaped, 1, id="reshape"),
]


def rewritten(built: Any, folder: Path, method: Method, **spec: Any) -> tuple[Path, Path]:
    """The float file and the int8 one."""
    original, prepared, out = (folder / name for name in ("m.onnx", "prepared.onnx", "int8.onnx"))
    BACKEND.prepare(models.save(built, original), prepared)
    ranges: dict[str, Range] = {}
    tap = BACKEND.tap(prepared)
    for feeds in models.rows(built, 30):
        for name, value in tap.run(feeds):
            known = ranges.get(name, Range(0.0, 0.0))
            ranges[name] = Range(min(known.low, float(value.min())), max(known.high, float(value.max())))
    ranges |= {name: ranges[other] for name, other in tap.same_range.items()}
    BACKEND.rewrite(prepared, ranges, CandidateSpec(method, "minmax" if method == "static" else "", **spec), out)
    BACKEND.check(original, out)
    return original, out


def stored(path: Path) -> tuple[list[str], list[str]]:
    """The matrices of an int8 file by name: those of integers of a byte, and those of floats."""
    large = [tensor for tensor in onnx.load(path).graph.initializer if np.prod(tensor.dims) >= 500]
    floats = [tensor.name for tensor in large if tensor.data_type == TensorProto.FLOAT and tensor.dims[-1] > 1]
    return [tensor.name for tensor in large if tensor.data_type in (TensorProto.INT8, TensorProto.UINT8)], floats


def sqnr_db(built: Any, original: Path, quantized: Path) -> float:
    before, after = BACKEND.open(original), BACKEND.open(quantized)
    rows = models.rows(built, 30)
    wanted = np.stack([before.run(feeds)[0] for feeds in rows])
    error = wanted - np.stack([after.run(feeds)[0] for feeds in rows])
    return float(10 * np.log10((wanted**2).sum() / (error**2).sum()))


@pytest.mark.parametrize("types", ["u8s8", "u8u8"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("build", "weights"), CASES)
def test_each_weight_is_written_once(
    tmp_path: Path, build: Callable[[], Any], weights: int, method: Method, types: str, *, per_channel: bool
) -> None:
    built = build()

    original, quantized = rewritten(built, tmp_path, method, per_channel=per_channel, types=types)

    integers, floats = stored(quantized)
    assert (len(integers), floats) == (weights, [])
    assert sqnr_db(built, original, quantized) > 20


@pytest.mark.parametrize("method", ["uniform", "dynamic"])
def test_an_unrolled_cell_is_a_third_of_its_float_file(tmp_path: Path, method: Method) -> None:
    original, quantized = rewritten(unrolled(16, 256), tmp_path, method)

    assert quantized.stat().st_size <= 0.35 * original.stat().st_size


@pytest.mark.parametrize("operators", [(), BACKEND.core_operators()])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_bias_that_steps_share_is_stored_once_and_runs_on_integers(
    tmp_path: Path, operators: tuple[str, ...], *, per_channel: bool
) -> None:
    built = unrolled(16, 256)

    original, quantized = rewritten(built, tmp_path, "static", operators=operators, per_channel=per_channel)

    assert quantized.stat().st_size <= 0.4 * original.stat().st_size
    assert sqnr_db(built, original, quantized) > 20
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "served.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(quantized, options, providers=["CPUExecutionProvider"])
    served = [node.op_type for node in onnx.load(tmp_path / "served.onnx").graph.node]
    assert served.count("QGemm") == 2 * 16  # the first step reads a constant
    assert "Div" not in served


def test_a_tensor_may_be_called_as_a_shared_bias_would_be(tmp_path: Path) -> None:
    built, called = unrolled(16, 256), {"o": "in0/bias", "h3": "in0/bias_2/0"}
    for node in built.graph.node:
        for names in (node.input, node.output):
            names[:] = [called.get(name, name) for name in names]
    for constant in built.graph.initializer:
        constant.name = called.get(constant.name, constant.name)

    original, quantized = rewritten(built, tmp_path, "static", float_layers=("head",))

    assert sqnr_db(built, original, quantized) > 20


def test_the_same_bias_comes_of_it_as_the_quantizer_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = unrolled(8, 256)
    _, shared = rewritten(built, tmp_path, "static")
    wanted = [BACKEND.open(shared).run(feeds)[0] for feeds in models.rows(built, 30)]
    monkeypatch.setattr(rewriting, "share_biases", lambda *_: None)

    _, apart = rewritten(built, tmp_path, "static")

    got = [BACKEND.open(apart).run(feeds)[0] for feeds in models.rows(built, 30)]
    np.testing.assert_array_equal(np.stack(got), np.stack(wanted))


def test_a_scale_that_is_multiplied_at_load_is_checked(tmp_path: Path) -> None:
    original, quantized = rewritten(unrolled(16, 256), tmp_path, "static")
    model = onnx.load(quantized)
    name = next(node for node in model.graph.node if node.op_type == "Mul").input[0]
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    scale.CopyFrom(numpy_helper.from_array(np.array(1e-44, np.float32), name))
    onnx.save(model, quantized)

    with pytest.raises(ModelError, match=r"rewrite_invalid.*scale that is not finite and positive"):
        BACKEND.check(original, quantized)


@pytest.mark.parametrize("method", METHODS)
def test_a_shared_weight_that_stays_float_is_written_once_too(tmp_path: Path, method: Method) -> None:
    """The head stays float, so the table that it shares does: int8 rows of it would be a second copy."""
    original, quantized = rewritten(tied("transpose"), tmp_path, method, float_layers=("head",))

    integers, floats = stored(quantized)
    if method == "static":  # whose table is on the grid of an activation
        assert len(floats) == 1
    else:
        assert (len(integers), len(floats)) == (1, 1)
        assert quantized.stat().st_size < original.stat().st_size


def test_a_table_that_nobody_multiplies_by_is_read_as_before(tmp_path: Path) -> None:
    built = models.embedding_net()

    _, quantized = rewritten(built, tmp_path, "dynamic")

    assert "table" in {tensor.name for tensor in onnx.load(quantized).graph.initializer}


def test_twins_are_told_by_their_values() -> None:
    matrix = models.weights(12, 8)
    arrays = {
        "first": matrix,
        "same": matrix.copy(),
        "turned": np.ascontiguousarray(matrix.T),
        "batched": matrix.reshape(1, 12, 8),
        "other": matrix + 1,
        "integers": np.arange(96, dtype=np.int32).reshape(12, 8),
    }
    twins = Twins({name: numpy_helper.from_array(array, name) for name, array in arrays.items()})

    assert {name: twins.of(name) for name in arrays} == {
        "first": Twin("first", turned=False),
        "same": Twin("first", turned=False),
        "turned": Twin("first", turned=True),
        "batched": Twin("first", turned=False),
        "other": Twin("other", turned=False),
        "integers": Twin("integers", turned=False),
    }
    assert twins.common_axes([("first", 0), ("turned", 1), ("batched", 1)]) == {"first": 0, "turned": 1, "batched": 1}
    assert twins.common_axes([("first", 0), ("turned", 0)]) == {"first": None, "turned": None}
    assert twins.axis_of("turned", "first", 0) == 1


def test_sharing_changes_no_value_and_no_end_of_the_model(tmp_path: Path) -> None:
    """A constant that is an output keeps its place, and a graph inside another reads the twin, too."""
    same, other = models.weights(16, 16), models.weights(16, 16, seed=1)
    inner = helper.make_graph([helper.make_node("MatMul", ["x", "b"], ["t"])], "then", [], [models.value("t", [1, 16])])
    outer = helper.make_graph([helper.make_node("MatMul", ["x", "c"], ["e"])], "else", [], [models.value("e", [1, 16])])
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=outer),
    ]
    outputs = [models.value("y", [1, 16]), models.value("h", [1, 16]), models.value("kept", [16, 16])]
    constants = {"a": same, "b": np.ascontiguousarray(same.T), "c": other, "kept": same, "yes": np.array(True)}
    built = models.model(nodes, [models.value("x", [1, 16])], outputs, constants)
    before = models.save(built, tmp_path / "before.onnx")
    wanted = BACKEND.open(before).run({"x": np.ones((1, 16), np.float32)})

    share_constants(built)

    got = BACKEND.open(models.save(built, tmp_path / "after.onnx")).run({"x": np.ones((1, 16), np.float32)})
    assert all(np.array_equal(one, two) for one, two in zip(wanted, got, strict=True))
    assert {tensor.name for tensor in built.graph.initializer} == {"a", "c", "kept", "yes"}
