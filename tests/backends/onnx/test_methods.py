"""The two methods that need no ranges: uniform (int8 weights only) and dynamic (activations quantized as they come)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import onnx_models as models

from edge_agent import backends
from edge_agent.backends import CandidateSpec
from edge_agent.backends.onnx.arithmetic import saturates
from edge_agent.backends.onnx.uniform import block_grid, block_size
from edge_agent.errors import ModelError

BACKEND = backends.load("onnx")
BYTES = (TensorProto.INT8, TensorProto.UINT8)
GRAPHS = (
    models.conv_net,
    models.separable_net,
    models.mlp,
    models.batch_norm_net,
    models.old_net,
    models.two_inputs,
    models.embedding_net,
    models.stateful_net,
)


class Rewritten:
    """A model in one method's form."""

    def __init__(self, built: Any, folder: Path, method: Any, **spec: Any) -> None:
        self.original = models.save(built, folder / "m.onnx")
        self.prepared, self.quantized = folder / "prepared.onnx", folder / "int8.onnx"
        BACKEND.prepare(self.original, self.prepared)
        spec = {"types": "u8u8" if saturates() else "u8s8"} | spec
        BACKEND.rewrite(self.prepared, {}, CandidateSpec(method, **spec), self.quantized)
        self.counts = BACKEND.check(self.original, self.quantized)
        self.graph = onnx.load(self.quantized).graph
        self.operators = [node.op_type for node in self.graph.node]
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self._rows = models.rows(built, 40, seed=1)

    def sqnr_db(self) -> float:
        reference, target = BACKEND.open(self.original), BACKEND.open(self.quantized)
        before = np.stack([reference.run(feeds)[0] for feeds in self._rows])
        after = np.stack([target.run(feeds)[0] for feeds in self._rows])
        return float(10 * np.log10((before**2).sum() / ((before - after) ** 2).sum()))

    def float_elements(self) -> int:
        """Elements of float constants that are larger than a bias or a scale of theirs."""
        return sum(
            int(np.prod(tensor.dims))
            for tensor in self.constants.values()
            if tensor.data_type == TensorProto.FLOAT and sum(dim > 1 for dim in tensor.dims) > 1
        )


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("method", ["uniform", "dynamic"])
@pytest.mark.parametrize("build", GRAPHS)
def test_it_stays_close_to_float_without_any_data(
    tmp_path: Path, build: Callable[[], Any], method: str, *, per_channel: bool
) -> None:
    rewritten = Rewritten(build(), tmp_path, method, per_channel=per_channel)

    weighted = sum(layer.weights is not None for layer in BACKEND.layers(rewritten.prepared))

    assert rewritten.sqnr_db() > (25 if per_channel else 18)
    assert rewritten.counts["int8_weights"] == rewritten.counts["int8_nodes"] == weighted
    stored = [tensor for tensor in rewritten.constants.values() if tensor.data_type in BYTES and tensor.dims]
    assert len(stored) == weighted


def graph(nodes: list[Any], shape: list[int], **constants: Any) -> Any:
    """A graph between ``x`` and ``y``; the shape of ``y`` is left to inference."""
    output = helper.make_tensor_value_info("y", models.FLOAT, None)
    return models.model(nodes, [models.value("x", shape)], [output], constants)


def gemm(bias: Any, **attributes: Any) -> Any:
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "gemm", **attributes)
    return graph([node], [5, 6], w=models.weights(6, 7), b=bias)


def matmul(*inputs: str, x: list[int], w: tuple[int, ...]) -> Any:
    return graph([helper.make_node("MatMul", inputs, ["y"])], x, w=models.weights(*w, scale=1.0))


def shared_weights() -> Any:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], "a", transB=1),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("Gemm", ["r", "w", "c"], ["y"], "z"),
    ]
    constants = {"w": models.weights(7, 6), "b": models.weights(7), "c": models.weights(6)}
    return models.model(nodes, [models.value("x", [5, 6])], [models.value("y", [5, 6])], constants)


def conv(operator: str, **attributes: Any) -> Any:
    node = helper.make_node(operator, ["x", "w", "b"], ["y"], "conv", **attributes)
    shape = (6, 2, 3, 3) if operator == "Conv" else (4, 3, 3, 3)
    return graph([node], [1, 4, 9, 9], w=models.weights(*shape), b=models.weights(6))


def zero_channel() -> Any:
    w = models.weights(8, 4, 3, 3)
    w[3] = 0
    return graph([helper.make_node("Conv", ["x", "w"], ["y"], "conv")], [1, 4, 6, 6], w=w)


EVERY = ("uniform", "dynamic")


@pytest.mark.parametrize(
    ("built", "methods"),
    [
        pytest.param(gemm(models.weights(7), alpha=-0.5, beta=3.0), EVERY, id="gemm-factors"),
        pytest.param(gemm(models.weights(1, 7)), EVERY, id="gemm-row-bias"),
        pytest.param(gemm(np.float32([[0.5]])), EVERY, id="gemm-scalar-bias"),
        pytest.param(gemm(models.weights(5, 1)), EVERY, id="gemm-column-bias"),
        pytest.param(shared_weights(), EVERY, id="weights-read-along-two-axes"),
        pytest.param(zero_channel(), EVERY, id="zero-channel"),
        pytest.param(matmul("x", "w", x=[2, 5, 6], w=(6, 7)), EVERY, id="matmul-batch"),
        pytest.param(matmul("x", "w", x=[2, 5, 6], w=(2, 6, 7)), EVERY, id="matmul-rank-3"),
        pytest.param(matmul("x", "w", x=[3, 200], w=(200, 7)), EVERY, id="matmul-last-block-padded"),
        pytest.param(matmul("w", "x", x=[6, 5], w=(7, 6)), ("uniform",), id="matmul-left"),
        pytest.param(matmul("x", "w", x=[5, 6], w=(6,)), ("uniform",), id="matmul-vector"),
        pytest.param(conv("Conv", group=2, strides=[2, 2], pads=[1, 1, 0, 0], dilations=[2, 2]), EVERY, id="conv"),
        pytest.param(conv("Conv", group=2, auto_pad="SAME_UPPER"), EVERY, id="conv-auto-pad"),
        pytest.param(conv("ConvTranspose", group=2), ("uniform",), id="conv-transpose-groups"),
    ],
)
def test_every_shape_of_layer(tmp_path: Path, built: Any, methods: tuple[str, ...]) -> None:
    for method in EVERY:
        if method in methods:
            rewritten = Rewritten(built, tmp_path, method)

            assert rewritten.sqnr_db() > 28
            assert rewritten.float_elements() == 0 or method == "uniform"
        else:
            with pytest.raises(ModelError, match=r"rewrite_invalid.*no layer would be int8"):
                Rewritten(built, tmp_path, method)


def test_products_are_in_the_runtimes_block_form_and_the_rest_in_constants_that_it_folds(tmp_path: Path) -> None:
    rewritten = Rewritten(models.conv_net(), tmp_path, "uniform")

    assert rewritten.operators.count("MatMulNBits") == 1
    assert rewritten.operators.count("Conv") == 2
    assert not {"Gemm", "DequantizeLinear", "QuantizeLinear"} & set(rewritten.operators)
    assert all(name not in rewritten.constants for name in ("w1", "w2", "w3"))


def test_dynamic_with_products_only_leaves_convolutions_float(tmp_path: Path) -> None:
    rewritten = Rewritten(models.conv_net(), tmp_path, "dynamic", operators=BACKEND.product_operators())

    assert rewritten.operators.count("MatMulInteger") == rewritten.counts["int8_weights"] == 1
    assert rewritten.operators.count("Conv") == 2
    assert {"w1", "w2"} <= set(rewritten.constants)


@pytest.mark.parametrize("operator", ["LSTM", "GRU"])
def test_recurrent_weights_are_stored_in_int8_too(tmp_path: Path, operator: str) -> None:
    gates = {"LSTM": 4, "GRU": 3}[operator]
    nodes = [
        helper.make_node(operator, ["x", "w", "r", "b"], ["", "h"], "cell", hidden_size=16),
        helper.make_node("Gemm", ["flat", "v"], ["y"], "head"),
    ]
    nodes.insert(1, helper.make_node("Reshape", ["h", "shape"], ["flat"], "reshape"))
    constants = {
        "w": models.weights(1, gates * 16, 12, scale=0.3),
        "r": models.weights(1, gates * 16, 16, scale=0.3),
        "b": models.weights(1, gates * 32, scale=0.1),
        "v": models.weights(16, 3),
        "shape": np.array([1, 16]),
    }
    built = models.model(nodes, [models.value("x", [5, 1, 12])], [models.value("y", [1, 3])], constants)

    rewritten = Rewritten(built, tmp_path, "uniform")

    assert rewritten.counts["int8_weights"] == 3
    assert not {"w", "r", "v"} & set(rewritten.constants)
    assert rewritten.sqnr_db() > 30


@pytest.mark.parametrize("method", EVERY)
def test_float_layers_stay_float(tmp_path: Path, method: str) -> None:
    rewritten = Rewritten(models.conv_net(), tmp_path, method, float_layers=("conv2", "gemm"))

    assert rewritten.counts["int8_weights"] == 1
    assert {"w2", "w3"} <= set(rewritten.constants)


def test_an_activation_that_two_layers_read_is_quantized_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "q"], ["a"], "query"),
        helper.make_node("MatMul", ["x", "k"], ["b"], "key"),
        helper.make_node("Add", ["a", "b"], ["y"], "add"),
    ]
    built = graph(nodes, [3, 6], q=models.weights(6, 5), k=models.weights(6, 5))

    rewritten = Rewritten(built, tmp_path, "dynamic")

    assert rewritten.operators.count("DynamicQuantizeLinear") == 1
    assert rewritten.operators.count("MatMulInteger") == 2


def embedding(rows: int) -> Any:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], "embed"),
        helper.make_node("MatMul", ["e", "w"], ["y"], "head"),
    ]
    table = models.weights(rows, 16, scale=1.0) * np.geomspace(0.01, 1, rows, dtype=np.float32)[:, None]
    constants = {"table": table, "w": models.weights(16, 4)}
    return models.model(nodes, [models.value("ids", [1, 7], models.INT64)], [models.value("y", [1, 7, 4])], constants)


@pytest.mark.parametrize("method", EVERY)
def test_a_large_table_is_stored_by_rows_and_read_without_unpacking_it(tmp_path: Path, method: str) -> None:
    rewritten = Rewritten(embedding(1024), tmp_path, method)

    assert rewritten.counts["int8_weights"] == 2
    assert rewritten.quantized.stat().st_size < 0.4 * rewritten.original.stat().st_size
    assert rewritten.operators[:4] == ["Gather", "Cast", "Gather", "Mul"]
    assert rewritten.sqnr_db() > 30


@pytest.mark.parametrize("method", EVERY)
def test_a_small_table_and_one_that_is_named_stay(tmp_path: Path, method: str) -> None:
    small = Rewritten(embedding(20), tmp_path, method)
    named = Rewritten(embedding(1024), tmp_path, method, float_layers=("embed",))

    assert "table" in small.constants
    assert "table" in named.constants


def test_dynamic_survives_an_activation_of_zeros(tmp_path: Path) -> None:
    rewritten = Rewritten(models.mlp(), tmp_path, "dynamic")

    (output,) = BACKEND.open(rewritten.quantized).run({"x": np.zeros((1, 12), np.float32)})

    assert np.isfinite(output).all()


def test_blocks_hold_what_they_were_made_of() -> None:
    matrix = models.weights(200, 7, scale=1.0) * np.geomspace(0.01, 1, 200, dtype=np.float32)[:, None]

    integers, scales = block_grid(matrix, 64)

    back = ((integers.astype(np.float32) - 128) * scales[..., None]).reshape(7, -1)
    assert integers.shape == (7, 4, 64)
    assert np.abs(back[:, :200] - matrix.T).max() <= scales.max() / 2 * 1.001
    assert not back[:, 200:].any()


@pytest.mark.parametrize(("inputs", "size"), [(12, 32), (64, 64), (128, 128), (180, 64), (200, 32), (1000, 128)])
def test_the_block_wastes_least(inputs: int, size: int) -> None:
    assert block_size(inputs) == size


@pytest.mark.parametrize("method", EVERY)
def test_nothing_left_to_store_is_no_int8_model(tmp_path: Path, method: str) -> None:
    with pytest.raises(ModelError, match="rewrite_invalid"):
        Rewritten(models.conv_net(), tmp_path, method, float_layers=("conv1", "conv2", "gemm"))


@pytest.mark.parametrize(
    ("method", "scale"), [("uniform", "w1_scale"), ("uniform", "w3_scale"), ("dynamic", "w2_scale")]
)
@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_check_finds_a_scale_that_is_not_finite_and_positive(
    tmp_path: Path, method: str, scale: str, bad: float
) -> None:
    rewritten = Rewritten(models.conv_net(), tmp_path, method)
    model = onnx.load(rewritten.quantized)
    constant = next(tensor for tensor in model.graph.initializer if tensor.name == scale)
    values = numpy_helper.to_array(constant).copy()
    values.flat[0] = bad
    constant.CopyFrom(numpy_helper.from_array(values, scale))
    onnx.save(model, rewritten.quantized)

    with pytest.raises(ModelError, match=r"rewrite_invalid.*scale"):
        BACKEND.check(rewritten.original, rewritten.quantized)


@pytest.mark.parametrize("method", EVERY)
def test_the_result_is_known_as_quantized_already(tmp_path: Path, method: str) -> None:
    rewritten = Rewritten(models.conv_net(), tmp_path, method)

    with pytest.raises(ModelError, match="already_quantized"):
        BACKEND.inspect(rewritten.quantized)
