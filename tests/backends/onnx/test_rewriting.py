"""Rewriting to int8 from given ranges, the known ways in which that goes wrong, and the check of what came out."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support import onnx_models as models

from edge_agent import backends
from edge_agent.backends import CandidateSpec, Range
from edge_agent.backends.onnx.arithmetic import saturates
from edge_agent.errors import ModelError, StageError

BACKEND = backends.load("onnx")
CORE = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "Clip")


class Bench:
    """A model on its way to int8: prepared, its ranges over 40 rows, and what int8 then does on 40 others."""

    def __init__(self, built: Any, folder: Path) -> None:
        self.folder = folder
        self.original = models.save(built, folder / "m.onnx")
        self.prepared = folder / "prepared.onnx"
        self.quantized = folder / "int8.onnx"
        BACKEND.prepare(self.original, self.prepared)
        self.ranges: dict[str, Range] = {}
        tap = BACKEND.tap(self.prepared)
        for feeds in models.rows(built, 40):
            for name, array in tap.run(feeds):
                known = self.ranges.get(name, Range(0.0, 0.0))
                self.ranges[name] = Range(min(known.low, float(array.min())), max(known.high, float(array.max())))
        self.heldout = models.rows(built, 40, seed=1, spread=0.8)

    def rewrite(self, **spec: Any) -> dict[str, int]:
        spec = {"types": "u8u8" if saturates() else "u8s8"} | spec
        BACKEND.rewrite(self.prepared, self.ranges, CandidateSpec("static", **spec), self.quantized)
        return BACKEND.check(self.original, self.quantized)

    def sqnr_db(self, output: int = 0) -> float:
        reference, target = BACKEND.open(self.original), BACKEND.open(self.quantized)
        before = np.stack([reference.run(feeds)[output] for feeds in self.heldout])
        after = np.stack([target.run(feeds)[output] for feeds in self.heldout])
        return float(10 * np.log10((before**2).sum() / ((before - after) ** 2).sum()))

    def model(self) -> Any:
        return onnx.load(self.quantized)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("operators", [(), CORE])
@pytest.mark.parametrize(
    "build",
    [
        models.conv_net,
        models.mlp,
        models.batch_norm_net,
        models.old_net,
        models.two_inputs,
        models.embedding_net,
        models.stateful_net,
    ],
)
def test_int8_stays_close_to_float(
    tmp_path: Path, build: Callable[[], Any], operators: tuple[str, ...], *, per_channel: bool
) -> None:
    bench = Bench(build(), tmp_path)

    counts = bench.rewrite(operators=operators, per_channel=per_channel)

    assert bench.sqnr_db() > 25
    assert counts["int8_weights"] >= sum(layer.weights is not None for layer in BACKEND.layers(bench.prepared))
    assert counts["int8_nodes"] >= 1
    assert counts["qdq_nodes"] > counts["int8_nodes"]


def weight_sqnr_db(bench: Bench, name: str) -> float:
    """The worst channel's, channels being on axis 0."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in bench.model().graph.initializer}
    stored, scale = constants[f"{name}_quantized"].astype(np.float64), constants[f"{name}_scale"].reshape(-1, 1)
    weights = next(
        layer.weights for layer in BACKEND.layers(bench.prepared) if name in layer.inputs and layer.weights is not None
    )
    errors = weights.reshape(len(weights), -1) - stored.reshape(len(weights), -1) * scale
    powers = (weights.reshape(len(weights), -1) ** 2).sum(axis=1)
    return float((10 * np.log10(powers / (errors**2).sum(axis=1))).min())


def test_per_channel_saves_small_channels(tmp_path: Path) -> None:
    bench = Bench(models.separable_net(), tmp_path)

    bench.rewrite(per_channel=False)
    per_tensor = weight_sqnr_db(bench, "w2")
    bench.rewrite(per_channel=True)

    assert per_tensor < 20
    assert weight_sqnr_db(bench, "w2") > 35


def test_every_weight_has_the_axis_of_its_output_channels(tmp_path: Path) -> None:
    bench = Bench(models.conv_net(), tmp_path)

    bench.rewrite()

    scales = {tensor.name: tuple(tensor.dims) for tensor in bench.model().graph.initializer}
    assert (scales["w1_scale"], scales["w2_scale"], scales["w3_scale"]) == ((8,), (16,), (4,))


def test_our_range_of_a_graph_output_is_the_one_that_is_used(tmp_path: Path) -> None:
    bench = Bench(models.conv_net(), tmp_path)
    bench.ranges["logits"] = Range(-51.0, 0.0)

    bench.rewrite()

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in bench.model().graph.initializer}
    assert constants["logits_scale"] == pytest.approx(51 / 255)
    assert constants["logits_zero_point"] == np.iinfo(constants["logits_zero_point"].dtype).max
    assert all(BACKEND.open(bench.quantized).run(feeds)[0].max() <= 0 for feeds in bench.heldout)


def test_a_missing_range_is_an_error_and_no_placeholder(tmp_path: Path) -> None:
    bench = Bench(models.conv_net(), tmp_path)
    for name in bench.ranges:
        less = {key: value for key, value in bench.ranges.items() if key != name}

        with pytest.raises(StageError, match=f"'{name}'.*no range"):
            BACKEND.rewrite(bench.prepared, less, CandidateSpec("static"), bench.quantized)

    assert not bench.quantized.exists()


@pytest.mark.parametrize(
    "bad", [Range(float("nan"), 1.0), Range(0.0, float("inf")), Range(1.0, 2.0), Range(-2.0, -1.0)]
)
def test_an_impossible_range_is_an_error(tmp_path: Path, bad: Range) -> None:
    bench = Bench(models.mlp(), tmp_path)
    bench.ranges["x"] = bad

    with pytest.raises(StageError, match="impossible range"):
        bench.rewrite()


def test_a_tensor_that_was_always_zero_gets_a_usable_scale(tmp_path: Path) -> None:
    bench = Bench(models.conv_net(), tmp_path)
    bench.ranges["x"] = Range(0.0, 0.0)

    assert bench.rewrite()["int8_weights"] == 3


def test_float_layers_stay_float(tmp_path: Path) -> None:
    bench = Bench(models.conv_net(), tmp_path)
    whole = bench.rewrite()

    counts = bench.rewrite(float_layers=("conv2",))

    assert counts["int8_weights"] == whole["int8_weights"] - 1
    assert "w2" in {tensor.name for tensor in bench.model().graph.initializer}
    (conv2,) = [node for node in bench.model().graph.node if node.name == "conv2"]
    assert conv2.input[1] == "w2"


def test_a_node_without_a_name_can_stay_float_by_the_name_that_layers_gives(tmp_path: Path) -> None:
    bench = Bench(models.mlp(), tmp_path)
    first = next(layer for layer in BACKEND.layers(bench.prepared) if layer.weights is not None)
    whole = bench.rewrite(operators=CORE)

    assert bench.rewrite(operators=CORE, float_layers=(first.name,))["int8_weights"] == whole["int8_weights"] - 1


def test_nothing_left_to_quantize_is_no_int8_model(tmp_path: Path) -> None:
    bench = Bench(models.conv_net(), tmp_path)

    with pytest.raises(ModelError, match=r"rewrite_invalid.*no layer would be int8.*left float"):
        bench.rewrite(float_layers=tuple(layer.name for layer in BACKEND.layers(bench.prepared)))


def test_an_unprepared_old_model_is_not_rewritten_into_one_that_does_not_load(tmp_path: Path) -> None:
    bench = Bench(models.old_net(), tmp_path)

    with pytest.raises(StageError, match="prepared"):
        BACKEND.rewrite(bench.original, bench.ranges, CandidateSpec("static"), bench.quantized)


def graph(node: Any, shape: list[int], **constants: Any) -> Any:
    """One weighted node between ``x`` and ``y``; the shape of ``y`` is left to inference."""
    output = helper.make_tensor_value_info("y", models.FLOAT, None)
    return models.model([node], [models.value("x", shape)], [output], constants)


def zero_channel() -> Any:
    w = models.weights(8, 4, 3, 3)
    w[3], w[5] = 0, w[5] * 1e-6
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], "conv")
    return graph(node, [1, 4, 6, 6], w=w * 0.01, b=models.weights(8, scale=0.01))


def shared_weights() -> Any:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], "a", transB=1),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("Gemm", ["r", "w", "c"], ["y"], "z"),
    ]
    constants = {"w": models.weights(7, 6), "b": models.weights(7), "c": models.weights(6)}
    return models.model(nodes, [models.value("x", [5, 6])], [models.value("y", [5, 6])], constants)


def gemm(bias: Any, **attributes: Any) -> Any:
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "gemm", **attributes)
    return graph(node, [5, 6], w=models.weights(6, 7), b=bias)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    "built",
    [
        pytest.param(gemm(models.weights(7), alpha=0.5, beta=3.0), id="gemm-factors"),
        pytest.param(gemm(models.weights(1, 7)), id="gemm-row-bias"),
        pytest.param(gemm(np.float32([[0.5]])), id="gemm-scalar-bias"),
        pytest.param(gemm(models.weights(5, 1)), id="gemm-column-bias"),
        pytest.param(shared_weights(), id="weights-read-along-two-axes"),
        pytest.param(zero_channel(), id="zero-channel"),
        pytest.param(
            graph(helper.make_node("MatMul", ["x", "w"], ["y"]), [2, 5, 6], w=models.weights(2, 6, 7)),
            id="matmul-rank-3",
        ),
        pytest.param(
            graph(helper.make_node("MatMul", ["w", "x"], ["y"]), [6, 5], w=models.weights(7, 6)), id="matmul-left"
        ),
        pytest.param(
            graph(helper.make_node("MatMul", ["x", "w"], ["y"]), [5, 6], w=models.weights(6, scale=1.0)),
            id="matmul-vector",
        ),
        pytest.param(
            graph(
                helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], "ct", group=2),
                [1, 4, 6, 6],
                w=models.weights(4, 3, 3, 3),
                b=models.weights(6),
            ),
            id="conv-transpose-groups",
        ),
    ],
)
def test_graphs_that_break_the_quantizers_defaults(tmp_path: Path, built: Any, *, per_channel: bool) -> None:
    bench = Bench(built, tmp_path)

    bench.rewrite(per_channel=per_channel)

    assert bench.sqnr_db() > 25


def test_layers_that_share_a_bias_each_get_one(tmp_path: Path) -> None:
    names = ["x", "b2", "h", "b3", "y"]  # what onnxruntime's quantizer would call its copies is there already
    nodes = [
        helper.make_node("Conv", [names[i], f"w{i}", "b"], [names[i + 1]], f"conv{i}", kernel_shape=[3], pads=[1, 1])
        for i in range(4)
    ]
    constants = {f"w{i}": models.weights(4, 4, 3, seed=i) for i in range(4)} | {"b": models.weights(4)}
    built = models.model(nodes, [models.value("x", [1, 4, 16])], [models.value("y", [1, 4, 16])], constants)
    bench = Bench(built, tmp_path)

    bench.rewrite()

    assert bench.sqnr_db() > 25


def test_no_stored_placeholder_scale_for_a_channel_of_zeros(tmp_path: Path) -> None:
    bench = Bench(zero_channel(), tmp_path)

    bench.rewrite()

    scales = {tensor.name: numpy_helper.to_array(tensor) for tensor in bench.model().graph.initializer}["w_scale"]
    assert scales[3] == pytest.approx(np.delete(scales, 3).max(), rel=1e-3)


def test_keeps_metadata_and_adds_none(tmp_path: Path) -> None:
    built = models.conv_net()
    helper.set_model_props(built, {"classes": "a,b,c,d"})
    bench = Bench(built, tmp_path)

    bench.rewrite()

    assert {entry.key: entry.value for entry in bench.model().metadata_props} == {"classes": "a,b,c,d"}


def test_writes_nowhere_but_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(models.conv_net(), tmp_path)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a temporary file: the worker may write only its job's directory")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    bench.rewrite()

    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", "prepared.onnx", "int8.onnx"}


def test_only_rewriting_pays_for_the_quantizer(tmp_path: Path) -> None:
    models.save(models.conv_net(), tmp_path / "m.onnx")
    code = (
        "import sys, pathlib; from edge_agent import backends;"
        "b = backends.load('onnx'); p = pathlib.Path(sys.argv[1]);"
        "b.open(p / 'm.onnx'); assert 'onnx' not in sys.modules;"
        "b.prepare(p / 'm.onnx', p / 'p.onnx'); b.tap(p / 'p.onnx'); b.layers(p / 'p.onnx');"
        "assert not any(name.startswith('onnxruntime.quantization') for name in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def damaged(bench: Bench, change: Callable[[Any], None]) -> str:
    bench.rewrite()
    model = bench.model()
    change(model)
    onnx.save_model(model, bench.quantized)
    with pytest.raises(ModelError) as caught:
        BACKEND.check(bench.original, bench.quantized)
    assert caught.value.code == "rewrite_invalid"
    return caught.value.message


def set_scale(value: float) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        scale = next(tensor for tensor in model.graph.initializer if tensor.name == "x_scale")
        scale.CopyFrom(numpy_helper.from_array(np.array(value, np.float32), "x_scale"))

    return change


def rename_output(model: Any) -> None:
    model.graph.output[0].name = "logits_2"
    model.graph.node.append(helper.make_node("Identity", ["logits"], ["logits_2"]))


def drop_zero_point(model: Any) -> None:
    node = next(node for node in model.graph.node if node.op_type == "DequantizeLinear" and len(node.input) == 3)
    del node.input[2]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_check_finds_a_scale_that_is_not_finite_and_positive(tmp_path: Path, value: float) -> None:
    assert "scale" in damaged(Bench(models.conv_net(), tmp_path), set_scale(value))


def test_a_constant_of_16_bits_hides_no_bad_scale(tmp_path: Path) -> None:
    def change(model: Any) -> None:
        set_scale(0.0)(model)
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(4, np.float16), "half"))

    assert "scale" in damaged(Bench(models.conv_net(), tmp_path), change)


def test_check_finds_a_changed_interface(tmp_path: Path) -> None:
    assert "logits_2" in damaged(Bench(models.conv_net(), tmp_path), rename_output)


def test_check_finds_a_model_that_does_not_load(tmp_path: Path) -> None:
    assert "does not load" in damaged(
        Bench(models.conv_net(), tmp_path), lambda model: model.graph.ClearField("initializer")
    )


def test_check_finds_a_missing_zero_point(tmp_path: Path) -> None:
    assert "zero point" in damaged(Bench(models.conv_net(), tmp_path), drop_zero_point)


def test_check_finds_a_model_that_is_still_float(tmp_path: Path) -> None:
    bench = Bench(models.conv_net(), tmp_path)

    with pytest.raises(ModelError, match="nothing"):
        BACKEND.check(bench.original, bench.prepared)


@pytest.mark.parametrize("bounds", [(0.5, 6.0), (-6.0, -1.0), (0.0, 6.0)])
def test_a_clip_that_no_grid_can_stand_for_stays(tmp_path: Path, bounds: tuple[float, float]) -> None:
    """A grid always has a zero, and the quantizer removes a Clip in favour of the grid behind it."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c"], "conv1", pads=[1] * 4),
        helper.make_node("Clip", ["c", "low", "high"], ["r"], "clip"),
        helper.make_node("Conv", ["r", "w2"], ["y"], "conv2"),
    ]
    shape = [1, 8, 12, 12]
    weights = {"w1": models.weights(8, 8, 3, 3), "w2": models.weights(8, 8, 1, 1, seed=1)}
    ends = dict(zip(("low", "high"), (np.array(bound, np.float32) for bound in bounds), strict=True))
    bench = Bench(models.model(nodes, [models.value("x", shape)], [models.value("y", shape)], weights | ends), tmp_path)

    bench.rewrite()

    assert bench.sqnr_db() > 30
    assert any(node.op_type == "Clip" for node in bench.model().graph.node) == (bounds[0] != 0)
