"""The int8 TensorFlow Lite model: that it is what was asked for, on our grids, and computes what float does."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from support import tflite_models as models
from support.tflite_rig import RUNTIMES, Rig, needs_tflite_runtime, read, tensor

from edge_agent.backends import CandidateSpec, Method, Range
from edge_agent.backends import tflite as backend
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.graph import PreparedGraph
from edge_agent.backends.tflite.writing import load_objects
from edge_agent.errors import ModelError, StageError

STATIC = CandidateSpec("static", "minmax", types="s8s8")
NETS = [
    models.conv_net,
    models.batch_net,
    models.mlp,
    models.dead_channel_net,
    models.activations_net,
    models.two_inputs,
    models.attention_net,
    models.upsampling_net,
    models.embedding_net,
    models.hybrid_net,
    models.half_net,
    models.branching_net,
    models.lstm_net,
]


@RUNTIMES
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("build", NETS)
def test_static_int8_computes_what_float_does(
    tmp_path: Path, build: Callable[[], bytes], *, per_channel: bool, runtime: str
) -> None:
    assert Rig(tmp_path, build).sqnr_db(replace(STATIC, per_channel=per_channel), runtime) > 30


@RUNTIMES
@pytest.mark.parametrize("method", ["dynamic", "uniform"])
@pytest.mark.parametrize("build", [models.conv_net, models.mlp, models.attention_net, models.embedding_net])
def test_weights_alone_can_be_int8(tmp_path: Path, build: Callable[[], bytes], method: str, runtime: str) -> None:
    spec = CandidateSpec(method, per_channel=False)  # type: ignore[arg-type]

    assert Rig(tmp_path, build).sqnr_db(spec, runtime) > 30


@needs_tflite_runtime
def test_a_scale_per_channel_under_float_activations_is_refused_where_it_would_be_ignored(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.mlp)
    backend.rewrite(rig.prepared, {}, CandidateSpec("dynamic"), rig.out)

    with pytest.raises(ModelError, match="version '12'"):
        backend.open(rig.out, runtime="tflite-runtime")


@RUNTIMES
@pytest.mark.parametrize("per_channel", [True, False])
def test_the_largest_integers_are_added_up_exactly(tmp_path: Path, runtime: str, *, per_channel: bool) -> None:
    net = models.Net()
    matrix = np.full((8, 256), 1.0, np.float32) * np.where(np.arange(8) % 2, 1, -1)[:, None].astype(np.float32)
    y = net.dense(net.input("x", (1, 256)), "y", net.constant("w", matrix), -1, (1, 8))
    original = models.save(net.build(y), tmp_path / "m.tflite")
    backend.prepare(original, tmp_path / "p.tflite")
    ranges = {"x": Range(-1.0, 1.0), "y": Range(-256.0, 256.0)}
    spec = replace(STATIC, per_channel=per_channel)
    backend.rewrite(tmp_path / "p.tflite", ranges, spec, tmp_path / "q.tflite")
    session = backend.open(tmp_path / "q.tflite", runtime=runtime)

    for end in (-1.0, 1.0):
        (sums,) = session.run({"x": np.full((1, 256), end, np.float32)})
        np.testing.assert_allclose(sums[0], matrix.sum(axis=1) * end, atol=3.0)
    assert not backend.saturates(spec)


def test_what_is_worth_trying_can_be_written(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)
    methods: tuple[Method, ...] = ("static", "dynamic", "uniform")

    for method in methods:
        for scheme in backend.schemes(method):
            spec = CandidateSpec(method, per_channel=scheme.per_channel, types=scheme.types)
            assert rig.sqnr_db(spec) > 30


def test_our_ranges_are_the_grids_in_the_file(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)
    ours = {"x": Range(-7.5, 3.25), "stem": Range(0.0, 11.0), "deep": Range(-0.1, 6.5), "logits": Range(-20.0, 5.0)}
    rig.ranges |= ours

    model = read(rig.rewrite(STATIC))

    for name, found in ours.items():
        grid = tensor(model, f"{name}_quantized" if name == "x" else name)
        assert grid.type == schema.INT8
        scale = (found.high - found.low) / 255
        np.testing.assert_allclose(grid.scales, [scale], rtol=1e-6)
        np.testing.assert_array_equal(grid.zero_points, [np.rint(-128 - found.low / scale)])
    np.testing.assert_allclose(tensor(model, "y/int8").scales, [1 / 256])  # what softmax prescribes


def test_weights_lie_on_symmetric_grids_of_their_channels(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)
    exact = next(layer.weights for layer in backend.layers(rig.prepared) if layer.name == "deep")
    assert exact is not None

    by_channel = tensor(read(rig.rewrite(STATIC)), "w2")
    at_once = tensor(read(rig.rewrite(replace(STATIC, per_channel=False))), "w2")

    np.testing.assert_allclose(by_channel.scales, np.abs(exact).max(axis=(0, 1, 2)) / 127, rtol=1e-6)
    np.testing.assert_allclose(at_once.scales, [np.abs(exact).max() / 127], rtol=1e-6)
    assert not by_channel.zero_points.any()
    assert by_channel.axis == 3


def test_a_missing_range_is_an_error(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)
    del rig.ranges["sum"]

    with pytest.raises(StageError, match="'sum' of layer 'sum' has no range"):
        backend.rewrite(rig.prepared, rig.ranges, STATIC, rig.out)


@pytest.mark.parametrize("found", [Range(1.0, 2.0), Range(-np.inf, 1.0), Range(0.0, np.nan)])
def test_an_impossible_range_is_an_error(tmp_path: Path, found: Range) -> None:
    rig = Rig(tmp_path, models.conv_net)
    rig.ranges["sum"] = found

    with pytest.raises(StageError, match="impossible"):
        backend.rewrite(rig.prepared, rig.ranges, STATIC, rig.out)


def test_layers_left_float_are_float(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)

    model = read(rig.rewrite(replace(STATIC, float_layers=("deep", "logits"))))

    assert [tensor(model, name).type for name in ("w1", "w2", "w3", "w4")] == [9, 0, 9, 0]
    assert [tensor(model, name).type for name in ("b1", "b2", "b3", "b4")] == [2, 0, 2, 0]


def test_only_the_operators_asked_for_are_int8(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)

    backend.rewrite(rig.prepared, rig.ranges, replace(STATIC, operators=("CONV_2D",)), rig.out)

    model = read(rig.out)
    assert [tensor(model, name).type for name in ("w1", "w2", "w3", "w4")] == [9, 0, 9, 0]
    assert backend.check(rig.original, rig.out) == {"int8_weights": 2, "int8_nodes": 2, "qdq_nodes": 3}


def test_core_is_less_than_all(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)
    counts = {}
    for operators in ((), backend.core_operators(), backend.product_operators()):
        backend.rewrite(rig.prepared, rig.ranges, replace(STATIC, operators=operators), rig.out)
        counts[operators] = backend.check(rig.original, rig.out)["int8_nodes"]

    assert list(counts.values()) == [8, 4, 1]


def test_inputs_and_outputs_stay_float_and_keep_names_order_and_free_sizes(tmp_path: Path) -> None:
    for build in (models.two_inputs, models.batch_net, models.unsigned_net):
        rig = Rig(tmp_path, build)
        before, after = read(rig.original), read(rig.rewrite(STATIC))

        assert (after.input_names, after.output_names) == (before.input_names, before.output_names)
        for was, now in zip(before.main.outputs, after.main.outputs, strict=True):
            assert before.main.tensors[was].dims == after.main.tensors[now].dims
            assert after.main.tensors[now].type == schema.FLOAT32


@RUNTIMES
def test_inputs_and_outputs_become_int8_when_asked(tmp_path: Path, runtime: str) -> None:
    rig = Rig(tmp_path, models.two_inputs)

    assert rig.sqnr_db(replace(STATIC, io="int8"), runtime) > 30  # fed and read as real values all the same

    model = read(rig.out)
    assert {model.main.tensors[index].type for index in (*model.main.inputs, *model.main.outputs)} == {schema.INT8}
    assert not [one for one in model.main.operators if one.name == "DEQUANTIZE"]


def test_an_input_that_nothing_in_int8_reads_cannot_become_int8(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.lstm_net)

    with pytest.raises(ModelError, match="'x' cannot be int8") as caught:
        backend.rewrite(rig.prepared, rig.ranges, replace(STATIC, io="int8"), rig.out)
    assert caught.value.code == "rewrite_invalid"


def test_the_bias_of_a_channel_without_weights_survives(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.dead_channel_net)

    outputs = rig.outputs(rig.rewrite(STATIC))

    np.testing.assert_allclose([output[0, 1] for output in outputs], 0.5, atol=0.02)


def test_weights_of_a_matrix_product_have_one_scale(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.attention_net)

    assert len(tensor(read(rig.rewrite(STATIC)), "w").scales) == 1


def test_a_dynamic_depthwise_layer_always_has_a_scale_per_channel(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)

    model = read(rig.rewrite(CandidateSpec("dynamic", per_channel=False)))

    assert [len(tensor(model, name).scales) for name in ("w1", "w2", "w3", "w4")] == [1, 8, 1, 1]


def test_an_output_that_is_also_read_inside_is_read_as_integers(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.two_inputs)

    model = read(rig.rewrite(STATIC))

    dense = next(one for one in model.main.operators if one.name == "FULLY_CONNECTED")
    assert model.main.tensors[dense.inputs[0]].type == schema.INT8
    assert model.output_names == ("y", "features")


@pytest.mark.parametrize(
    ("build", "kept"),
    [(models.lstm_net, "lstm"), (models.branching_net, "y"), (models.activations_net, "leaky")],
)
def test_what_the_quantizer_does_not_know_stays_float(tmp_path: Path, build: Callable[[], bytes], kept: str) -> None:
    model = read(Rig(tmp_path, build).rewrite(STATIC))

    assert tensor(model, kept).type == schema.FLOAT32
    for graph in model.graphs[1:]:
        assert {one.type for one in graph.tensors} == {schema.FLOAT32}


def test_squeezing_is_no_reason_to_become_float(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.upsampling_net)
    backend.rewrite(rig.prepared, rig.ranges, STATIC, rig.out)

    assert backend.check(rig.original, rig.out)["qdq_nodes"] == 2


def test_a_model_larger_than_the_quantizer_keeps_inside_is_kept_inside(tmp_path: Path) -> None:
    def large() -> bytes:
        net = models.Net()
        hidden = net.dense(
            net.input("x", (1, 512)), "h", net.constant("w", models.weights(1024, 512)), -1, (1, 1024), act=models.RELU
        )
        return net.build(net.dense(hidden, "y", net.constant("v", models.weights(4, 1024)), -1, (1, 4)))

    rig = Rig(tmp_path, large, count=4)

    assert rig.sqnr_db(STATIC) > 30
    assert 0.25 < rig.out.stat().st_size / rig.original.stat().st_size < 0.27


@pytest.mark.parametrize("method", ["static", "dynamic", "uniform"])
def test_the_same_candidate_is_the_same_file(tmp_path: Path, method: str) -> None:
    rig = Rig(tmp_path, models.conv_net)
    spec = CandidateSpec(method, "minmax" if method == "static" else "")  # type: ignore[arg-type]

    first = rig.rewrite(spec).read_bytes()

    assert rig.rewrite(spec).read_bytes() == first


@pytest.mark.parametrize("method", ["static", "dynamic", "uniform"])
def test_with_every_layer_float_there_is_nothing_to_write(tmp_path: Path, method: str) -> None:
    rig = Rig(tmp_path, models.mlp)
    every = tuple(layer.name for layer in backend.layers(rig.prepared))
    spec = CandidateSpec(method, float_layers=every)  # type: ignore[arg-type]

    with pytest.raises(ModelError, match=r"no layer would be int8.*left float") as caught:
        backend.rewrite(rig.prepared, rig.ranges, spec, rig.out)
    assert caught.value.code == "rewrite_invalid"


def test_what_the_quantizer_fails_on_is_no_other_candidates_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed_bias() -> bytes:
        net = models.Net()
        x, bias = net.input("x", (1, 4)), net.input("bias", (3,))
        return net.build(net.dense(x, "y", net.constant("w", models.weights(3, 4)), bias, (1, 3)))

    monkeypatch.setattr(PreparedGraph, "adds_activation", lambda *_: False)  # which it is spared
    rig = Rig(tmp_path, computed_bias)

    with pytest.raises(ModelError, match="litert-quantizer fails at node 'y'") as caught:
        backend.rewrite(rig.prepared, rig.ranges, STATIC, rig.out)
    assert caught.value.code == "rewrite_invalid"


def test_a_node_of_an_inner_graph_is_told_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, models.looping_net)
    body = load_objects(rig.prepared).subgraphs[2]
    after = next(index for index, tensor in enumerate(body.tensors) if tensor.name == b"after")

    def fail(_made: object, _found: object, **_: object) -> None:
        op = next(one for one in body.operators if list(one.outputs) == [after])
        raise IndexError(len(op.outputs))

    monkeypatch.setattr(import_module("litert_quantizer.model_modifier").ModelModifier, "modify_model", fail)

    with pytest.raises(ModelError, match="litert-quantizer fails at node 'after': IndexError") as caught:
        backend.rewrite(rig.prepared, {}, CandidateSpec("uniform"), rig.out)
    assert caught.value.code == "rewrite_invalid"


def test_only_rewriting_imports_the_quantizer(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)
    rig.rewrite(STATIC)
    code = f"""
import sys
from pathlib import Path
from edge_agent.backends import tflite
original, prepared, int8 = (Path(name) for name in {[str(rig.original), str(rig.prepared), str(rig.out)]!r})
tflite.inspect(original), tflite.prepare(original, prepared), tflite.layers(prepared), tflite.tap(prepared)
tflite.check(original, int8)
print(*sys.modules)
"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not [name for name in loaded if name.startswith(("litert_quantizer", "scipy", "onnx"))]
