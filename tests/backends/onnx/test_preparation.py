"""Preparing: one standard shape of graph that computes what the original computes; and what a tap then sees."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import onnx_models as models

from edge_agent import backends
from edge_agent.errors import ContractError, ModelError, StageError

BACKEND = backends.load("onnx")
GOOD = [
    models.conv_net,
    models.separable_net,
    models.mlp,
    models.batch_norm_net,
    models.old_net,
    models.two_inputs,
    models.embedding_net,
    models.stateful_net,
]


def prepared(built: Any, folder: Path) -> tuple[Path, Path]:
    original = models.save(built, folder / "m.onnx")
    BACKEND.prepare(original, folder / "prepared.onnx")
    return original, folder / "prepared.onnx"


@pytest.mark.parametrize("build", GOOD)
def test_prepared_equals_original(tmp_path: Path, build: Callable[[], Any]) -> None:
    built = build()
    original, ready = prepared(built, tmp_path)
    reference, target = BACKEND.open(original), BACKEND.open(ready)

    for feeds in models.rows(built, 4):
        for before, after in zip(reference.run(feeds), target.run(feeds), strict=True):
            np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("build", GOOD)
def test_prepared_is_what_the_others_rely_on(tmp_path: Path, build: Callable[[], Any]) -> None:
    original, ready = prepared(build(), tmp_path)

    model = onnx.load(ready)

    onnx.checker.check_model(model, full_check=True)
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    assert [(entry.domain, entry.version >= 13) for entry in model.opset_import] == [("", True)]
    assert not {"Constant", "Identity"} & {node.op_type for node in model.graph.node}
    typed = {value.name for value in (*model.graph.value_info, *model.graph.output)}
    assert {name for node in model.graph.node for name in node.output} <= typed
    before, after = BACKEND.inspect(original), BACKEND.inspect(ready)
    assert (before.inputs, before.outputs) == (after.inputs, after.outputs)


def test_is_a_function_of_the_file(tmp_path: Path) -> None:
    original, ready = prepared(models.separable_net(), tmp_path)
    BACKEND.prepare(original, tmp_path / "again.onnx")

    assert (tmp_path / "again.onnx").read_bytes() == ready.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", "prepared.onnx", "again.onnx"}


def test_folds_batch_norm_into_the_convolution_before_it(tmp_path: Path) -> None:
    _, ready = prepared(models.batch_norm_net(), tmp_path)

    assert [node.op_type for node in onnx.load(ready).graph.node] == ["Conv", "Relu"]


def test_keeps_the_operators_own_metadata_and_names(tmp_path: Path) -> None:
    built = models.conv_net()
    helper.set_model_props(built, {"classes": "a,b,c,d"})

    _, ready = prepared(built, tmp_path)

    model = onnx.load(ready)
    assert {entry.key: entry.value for entry in model.metadata_props} == {"classes": "a,b,c,d"}
    assert {"conv1", "relu1", "conv2", "relu2", "gemm"} <= {node.name for node in model.graph.node}


def test_a_made_node_name_does_not_collide_with_a_given_one(tmp_path: Path) -> None:
    built = models.two_inputs()
    built.graph.node[0].name = ""
    built.graph.node[1].name = "Conv_c"

    _, ready = prepared(built, tmp_path)

    names = [node.name for node in onnx.load(ready).graph.node]
    assert {"Conv_c", "Conv_c_2"} < set(names)


def test_types_what_only_the_runtime_can_infer(tmp_path: Path) -> None:
    built = models.mlp()
    built.graph.node[2].CopyFrom(helper.make_node("QuickGelu", ["h2"], ["h3"], "gelu", domain="com.microsoft"))
    built.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    _, ready = prepared(built, tmp_path)

    assert "h3" in BACKEND.tap(ready).names


def test_a_long_integer_constant_does_not_stop_type_inference(tmp_path: Path) -> None:
    built = models.embedding_net()
    picks = np.arange(300, dtype=np.int64) % 7
    built.graph.initializer.append(onnx.numpy_helper.from_array(picks, "picks"))
    built.graph.node.insert(0, helper.make_node("Gather", ["ids", "picks"], ["many"], "pick", axis=1))
    built.graph.node[1].input[1] = "many"

    _, ready = prepared(built, tmp_path)

    assert list(BACKEND.tap(ready).names) == ["e", "m", "y"]


def test_a_constant_that_would_fill_disk_and_memory_is_not_unfolded(tmp_path: Path) -> None:
    built = models.embedding_net()
    table = next(tensor for tensor in built.graph.initializer if tensor.name == "table")
    table.CopyFrom(onnx.numpy_helper.from_array(np.array([2**20, 16], np.int64), "huge"))
    built.graph.node.insert(0, helper.make_node("ConstantOfShape", ["huge"], ["table"], "bomb"))

    _, ready = prepared(built, tmp_path)

    assert ready.stat().st_size < 1e5


def test_refuses_a_model_that_int8_could_not_help(tmp_path: Path) -> None:
    built = models.model(
        [helper.make_node("Softmax", ["x"], ["y"], "softmax")],
        [models.value("x", [1, 4])],
        [models.value("y", [1, 4])],
        {},
    )

    with pytest.raises(ModelError, match=r"model_unsupported.*Conv"):
        prepared(built, tmp_path)


def test_refuses_an_opset_that_cannot_be_raised(tmp_path: Path) -> None:
    built = models.mlp()
    built.opset_import[0].version = 8
    built.graph.node[2].CopyFrom(helper.make_node("MeanVarianceNormalization", ["h2"], ["h3"], axes=[1]))

    with pytest.raises(ModelError) as caught:
        prepared(built, tmp_path)

    assert caught.value.code == "model_unsupported"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_an_opset_from_the_future_is_unsupported(tmp_path: Path) -> None:
    built = models.mlp()
    built.opset_import[0].version = 900

    with pytest.raises(ModelError) as caught:
        BACKEND.open(models.save(built, tmp_path / "m.onnx"))

    assert caught.value.code == "model_unsupported"


def test_the_runtimes_own_refusals_are_model_errors(tmp_path: Path) -> None:
    custom = models.save(models.custom_net(), tmp_path / "custom.onnx")
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"\x08\x08garbage")

    for path, code in (
        (custom, "custom_operator"),
        (garbage, "model_unreadable"),
        (tmp_path / "no", "model_unreadable"),
    ):
        with pytest.raises(ModelError) as caught:
            BACKEND.open(path)
        assert caught.value.code == code


def test_feeds_that_do_not_fit_are_contract_errors(tmp_path: Path) -> None:
    session = BACKEND.open(models.save(models.two_inputs(), tmp_path / "m.onnx"))
    good = models.rows(models.two_inputs(), 1)[0]

    for feeds, code in (
        ({**good, "facts": np.zeros((1, 7), np.float32)}, "shape_mismatch"),
        ({**good, "facts": np.zeros((1, 6), np.float64)}, "dtype_mismatch"),
        ({"image": good["image"]}, "input_missing"),
    ):
        with pytest.raises(ContractError) as caught:
            session.run(feeds)
        assert caught.value.code == code


def test_values_on_which_the_model_fails_are_not_called_a_wrong_shape(tmp_path: Path) -> None:
    session = BACKEND.open(models.save(models.embedding_net(), tmp_path / "m.onnx"))

    with pytest.raises(ModelError, match="fails on these values; check data and model") as caught:
        session.run({"ids": np.full((1, 7), 99)})
    assert caught.value.code == "model_unsupported"


def test_tap_names_every_float_tensor_around_quantizable_nodes(tmp_path: Path) -> None:
    _, ready = prepared(models.conv_net(), tmp_path)

    assert list(BACKEND.tap(ready).names) == ["x", "c1", "r1", "c2", "r2", "p", "f", "logits"]


def test_tap_gives_the_values_the_model_computes(tmp_path: Path) -> None:
    built = models.two_inputs()
    original, ready = prepared(built, tmp_path)
    session, tap = BACKEND.open(original), BACKEND.tap(ready)

    for feeds in models.rows(built, 3):
        seen = dict(tap.run(feeds))
        y, features = session.run(feeds)

        assert sorted(seen) == sorted(tap.names)
        np.testing.assert_array_equal(seen["image"], feeds["image"])
        np.testing.assert_allclose(seen["y"], y, rtol=1e-5)
        np.testing.assert_allclose(seen["features"], features, rtol=1e-5)
        np.testing.assert_allclose(seen["p"], seen["c"].mean(axis=(2, 3), keepdims=True), rtol=1e-4, atol=1e-6)


def test_taps_of_groups_add_up_to_the_whole(tmp_path: Path) -> None:
    built = models.conv_net()
    _, ready = prepared(built, tmp_path)
    feeds = models.rows(built, 1)[0]
    whole = BACKEND.tap(ready)
    everything = dict(whole.run(feeds))

    groups = [whole.names[:1], whole.names[1:4], whole.names[4:]]
    parts = {name: array for group in groups for name, array in BACKEND.tap(ready, group).run(feeds)}

    assert list(parts) == list(everything)
    for name, array in parts.items():
        np.testing.assert_allclose(array, everything[name], rtol=1e-5, atol=1e-6)


def test_tap_refuses_a_tensor_that_is_not_there(tmp_path: Path) -> None:
    _, ready = prepared(models.conv_net(), tmp_path)

    with pytest.raises(StageError, match="'nothing'"):
        BACKEND.tap(ready, ["nothing"])


def test_layers_carry_their_weights_and_output_axis(tmp_path: Path) -> None:
    built = models.separable_net()
    _, ready = prepared(built, tmp_path)

    layers = {layer.name: layer for layer in BACKEND.layers(ready)}

    assert [layer.operator for layer in layers.values()] == ["Conv", "Clip", "Conv", "Clip", "Conv"]
    depthwise = layers["depthwise"]
    assert depthwise.weights is not None
    assert (depthwise.weights.shape, depthwise.weight_axis) == ((8, 1, 3), 0)
    assert (depthwise.inputs[0], depthwise.outputs) == ("a1", ("c2",))
    assert layers["clip1"].weights is None


@pytest.mark.parametrize(
    ("node", "shape", "axis"),
    [
        (helper.make_node("Gemm", ["x", "w"], ["y"], transB=1), (7, 6), 0),
        (helper.make_node("Gemm", ["x", "w"], ["y"]), (6, 7), 1),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (6, 7), 1),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (1, 6, 7), 2),
    ],
)
def test_output_axis_by_operator(tmp_path: Path, node: Any, shape: tuple[int, ...], axis: int) -> None:
    w = models.weights(*shape)
    built = models.model([node], [models.value("x", [5, 6])], [models.value("y", ["a"] * max(2, len(shape)))], {"w": w})

    _, ready = prepared(built, tmp_path)

    (layer,) = BACKEND.layers(ready)
    assert layer.weight_axis == axis
    np.testing.assert_array_equal(layer.weights, w)


def test_what_is_made_of_a_prepared_model_loads_where_the_runtime_fuses_once_more(tmp_path: Path) -> None:
    """The runtime calls what it makes of MatMul and Add by names that it does not look up."""
    weights, bias = np.eye(8, dtype=np.float32), np.ones(8, np.float32)

    def layer(number: int, given: str) -> list[Any]:
        return [
            helper.make_node("MatMul", [given, "w"], [f"product{number}"], f"product{number}"),
            helper.make_node("Add", [f"product{number}", "b"], [f"y{number}"], f"add{number}"),
        ]

    graph = helper.make_graph(
        layer(1, "x"), "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8])],
        [helper.make_tensor_value_info("y1", TensorProto.FLOAT, [1, 4, 8])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )  # fmt: skip
    original, prepared = tmp_path / "m.onnx", tmp_path / "p.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), original)
    BACKEND.prepare(original, prepared)

    model = onnx.load(prepared)
    model.graph.node.extend(layer(2, "y1"))
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    model.graph.initializer.append(numpy_helper.from_array(bias, "b"))
    unique = {tensor.name: tensor for tensor in model.graph.initializer}
    del model.graph.initializer[:]
    model.graph.initializer.extend(unique.values())
    model.graph.output.append(helper.make_tensor_value_info("y2", TensorProto.FLOAT, [1, 4, 8]))
    onnx.save(model, prepared)

    (_, twice) = BACKEND.open(prepared).run({"x": np.zeros((1, 4, 8), np.float32)})
    assert np.array_equal(twice, np.full((1, 4, 8), 2, np.float32))


def test_a_tensor_of_unknown_rank_is_not_taken_for_a_scalar(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["folded"], "reshape"),
        helper.make_node("Transpose", ["folded"], ["turned"], "turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["turned", "w"], ["y"], "product"),
    ]
    built = models.model(
        nodes,
        [models.value("x", [1, 24]), models.value("shape", ["k"], onnx.TensorProto.INT64)],
        [models.value("y", [1, 4, 5])],
        {"w": models.weights(6, 5)},
    )

    original, ready = prepared(built, tmp_path)

    feeds = {"x": np.ones((1, 24), np.float32), "shape": np.array([1, 6, 4])}
    np.testing.assert_allclose(BACKEND.open(ready).run(feeds)[0], BACKEND.open(original).run(feeds)[0], rtol=1e-5)
    assert list(BACKEND.tap(ready).names) == ["x", "folded", "turned", "y"]


def test_a_rank_that_two_branches_disagree_on_is_none(tmp_path: Path) -> None:
    """How PyTorch exports ``squeeze``."""
    float32 = onnx.TensorProto.FLOAT
    flat, whole = (helper.make_tensor_value_info(name, float32, None) for name in ("flat", "whole"))
    squeeze = helper.make_graph([helper.make_node("Squeeze", ["x", "axis"], ["flat"], "squeeze")], "a", [], [flat])
    keep = helper.make_graph([helper.make_node("Identity", ["x"], ["whole"], "keep")], "b", [], [whole])
    nodes = [
        helper.make_node("If", ["yes"], ["folded"], "if", then_branch=squeeze, else_branch=keep),
        helper.make_node("Gemm", ["folded", "w", "b"], ["y"], "gemm"),
    ]
    built = models.model(
        nodes,
        [models.value("x", [1, 1, 6]), models.value("yes", [], onnx.TensorProto.BOOL)],
        [models.value("y", [1, 5])],
        {"w": models.weights(6, 5), "b": models.weights(5), "axis": np.array([0])},
    )

    original, ready = prepared(built, tmp_path)

    feeds = {"x": np.ones((1, 1, 6), np.float32), "yes": np.array(True)}
    np.testing.assert_allclose(BACKEND.open(ready).run(feeds)[0], BACKEND.open(original).run(feeds)[0], rtol=1e-5)
