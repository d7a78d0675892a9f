"""What inspection says of good files, and how it refuses the others, before any runtime has seen them."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from support import onnx_models as models

from edge_agent import backends
from edge_agent.backends import ModelInfo, TensorSpec
from edge_agent.backends.onnx.operators import FAMILIAR
from edge_agent.errors import ModelError

BACKEND = backends.load("onnx")


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        BACKEND.inspect(path)
    assert caught.value.message
    return caught.value.code


def test_describes_a_model(tmp_path: Path) -> None:
    path = models.save(models.conv_net(), tmp_path / "m.onnx")

    info = BACKEND.inspect(path)

    assert info.inputs == (TensorSpec("x", "float32", (None, 3, 16, 16)),)
    assert info.outputs == (TensorSpec("logits", "float32", (None, 4)),)
    assert info.operators == {"Conv": 2, "Relu": 2, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}
    assert (info.version, info.size_bytes) == ("opset 17", path.stat().st_size)


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    info = BACKEND.inspect(models.save(models.old_net(), tmp_path / "m.onnx"))

    assert [spec.name for spec in info.inputs] == ["x"]


def test_names_integer_and_several_inputs(tmp_path: Path) -> None:
    ids = BACKEND.inspect(models.save(models.embedding_net(), tmp_path / "a.onnx"))
    two = BACKEND.inspect(models.save(models.two_inputs(), tmp_path / "b.onnx"))

    assert ids.inputs == (TensorSpec("ids", "int64", (1, 7)),)
    assert [spec.name for spec in two.inputs] == ["image", "facts"]
    assert [spec.name for spec in two.outputs] == ["y", "features"]


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (models.quantized_net, "already_quantized"),
        (models.byte_weights_net, "already_quantized"),
        (models.custom_net, "custom_operator"),
        (models.half_net, "model_unsupported"),
    ],
)
def test_refuses_what_it_cannot_quantize(tmp_path: Path, build: Callable[[], Any], code: str) -> None:
    path = models.save(build(), tmp_path / "m.onnx")

    assert refusal(path) == code


def test_refuses_quantized_operators_inside_a_subgraph(tmp_path: Path) -> None:
    inner = models.quantized_net().graph
    branch = helper.make_graph(inner.node, "b", [], inner.output, inner.initializer)  # which reads the outer x
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    condition = models.value("c", [], TensorProto.BOOL)
    built = models.model([node], [models.value("x", [1, 8]), condition], [models.value("y", [1, 4])], {})

    assert refusal(models.save(built, tmp_path / "m.onnx")) == "already_quantized"


def test_an_unknown_operator_of_the_standard_domain_is_custom(tmp_path: Path) -> None:
    built = models.mlp()
    built.graph.node[2].op_type = "Relux"

    assert refusal(models.save(built, tmp_path / "m.onnx")) == "custom_operator"


def test_an_operator_that_the_model_defines_itself_is_not_custom(tmp_path: Path) -> None:
    built = models.custom_net()
    body = [helper.make_node("Relu", ["i"], ["o"])]
    built.functions.append(
        helper.make_function("com.example", "Wavelet", ["i"], ["o"], body, [helper.make_opsetid("", models.OPSET)])
    )

    info = BACKEND.inspect(models.save(built, tmp_path / "m.onnx"))

    assert info.operators == {"Wavelet": 1, "MatMul": 1, "Relu": 1}


def test_refuses_external_data_even_where_it_could_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = models.save_with_external_data(tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)  # from here onnxruntime would load it without a word

    assert refusal(path) == "external_data"


def test_refuses_external_data_in_a_constant_node(tmp_path: Path) -> None:
    built = models.mlp()
    tensor = numpy_helper.from_array(models.weights(12, 32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    built.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))

    assert refusal(models.save(built, tmp_path / "m.onnx")) == "external_data"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_refuses_a_truncated_file(tmp_path: Path, share: float) -> None:
    data = models.conv_net().SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(data[: int(len(data) * share)])

    assert refusal(path) == "model_unreadable"


@pytest.mark.parametrize("data", [b"", b"\x00", b"PK\x03\x04" + bytes(100), b"TFL3" * 50, b"{}", b"\xff" * 64])
def test_refuses_what_is_no_model(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)

    assert refusal(path) == "model_unreadable"


def test_refuses_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.onnx") == "model_unreadable"
    assert refusal(tmp_path) == "model_unreadable"


@settings(deadline=None, max_examples=200)
@given(position=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.integers(0, 40))
def test_any_damage_ends_in_a_description_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, cut: int
) -> None:
    data = bytearray(models.mlp().SerializeToString())
    data[position % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(data[: len(data) - cut])

    try:
        info = BACKEND.inspect(path)
    except ModelError:
        return

    assert isinstance(info, ModelInfo)


def test_refuses_inputs_that_are_no_numeric_tensors(tmp_path: Path) -> None:
    words = models.mlp()
    words.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    shapeless = models.mlp()
    shapeless.graph.input[0].type.tensor_type.ClearField("shape")
    sequence = models.mlp()
    sequence.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None))

    for built in (words, shapeless, sequence):
        assert refusal(models.save(built, tmp_path / "m.onnx")) == "model_unsupported"


def test_memory_stays_far_below_the_file(tmp_path: Path) -> None:
    big = models.model(
        [
            helper.make_node("Constant", [], ["w2"], value=numpy_helper.from_array(np.zeros((2048, 1024), np.float32))),
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("MatMul", ["h", "w2"], ["y"]),
        ],
        [models.value("x", [1, 2048])],
        [models.value("y", [1, 1024])],
        {"w": np.zeros((2048, 2048), np.float32)},
    )
    path = models.save(big, tmp_path / "m.onnx")
    BACKEND.inspect(path)
    tracemalloc.start()

    BACKEND.inspect(path)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 24e6
    assert peak < 1e6


def test_inspection_needs_no_runtime(tmp_path: Path) -> None:
    path = models.save(models.mlp(), tmp_path / "m.onnx")
    code = (
        "import sys, pathlib; from edge_agent import backends;"
        "backends.load('onnx').inspect(pathlib.Path(sys.argv[1]));"
        "assert 'onnx' in sys.modules and 'onnxruntime' not in sys.modules"
    )

    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_a_loop_that_would_run_for_ever_is_only_described(tmp_path: Path) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Concat", ["a", "a"], ["b"], axis=0),
        ],
        "body",
        [models.value("i", [], TensorProto.INT64), models.value("go", [], TensorProto.BOOL), models.value("a", ["k"])],
        [models.value("go_on", [], TensorProto.BOOL), models.value("b", ["k2"])],
    )
    loop = helper.make_node("Loop", ["times", "", "x"], ["y"], body=body)
    built = models.model(
        [loop], [models.value("x", [1])], [models.value("y", ["k"])], {"times": np.array(2**40, np.int64)}
    )

    assert BACKEND.inspect(models.save(built, tmp_path / "m.onnx")).operators["Loop"] == 1
    assert onnx.load(tmp_path / "m.onnx").graph.node[0].op_type == "Loop"


def test_operators_taken_for_standard_ones_are() -> None:
    assert all(onnx.defs.has(name) for name in FAMILIAR)


def classic(operator: str, *others: Any, **attributes: Any) -> Any:
    """``x`` [1, 4] → a model of classic machine learning, as converters write it: without the standard opset."""
    node = helper.make_node(operator, ["x"], ["y"], "classic", domain="ai.onnx.ml", **attributes)
    built = models.model([node, *others], [models.value("x", [1, 4])], [models.value("y", [1, 1])], {})
    if not others:
        del built.opset_import[:]
    built.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return built


STUMP = {
    "n_targets": 1,
    "nodes_featureids": [0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_treeids": [0, 0, 0],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
    "target_ids": [0, 0],
    "target_nodeids": [1, 2],
    "target_treeids": [0, 0],
    "target_weights": [1.0, 2.0],
}


@pytest.mark.parametrize(
    ("built", "says"),
    [
        (classic("TreeEnsembleRegressor", **STUMP), "nothing to quantize in a tree ensemble"),
        (classic("LinearRegressor", coefficients=[1.0] * 4), "nothing to quantize in LinearRegressor"),
    ],
)
def test_classic_machine_learning_is_named_for_what_it_is(tmp_path: Path, built: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says) as refused:
        BACKEND.inspect(models.save(built, tmp_path / "m.onnx"))

    assert (refused.value.code, "'classic'" in refused.value.message) == ("model_unsupported", True)


def test_what_the_runtime_ships_is_named_too() -> None:
    with pytest.raises(ModelError, match="nothing to quantize in LinearClassifier"):
        BACKEND.inspect(Path(onnxruntime.__file__).parent / "datasets" / "logreg_iris.onnx")


def test_layers_behind_a_scaler_of_classic_machine_learning_are_quantized(tmp_path: Path) -> None:
    head = helper.make_node("MatMul", ["s", "w"], ["y"], "head")
    scaler = helper.make_node("Scaler", ["x"], ["s"], "scale", domain="ai.onnx.ml", offset=[0.0] * 4, scale=[1.0] * 4)
    inputs, outputs = [models.value("x", [1, 4])], [models.value("y", [1, 3])]
    built = models.model([scaler, head], inputs, outputs, {"w": models.weights(4, 3)})
    built.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))

    assert BACKEND.inspect(models.save(built, tmp_path / "m.onnx")).operators == {"Scaler": 1, "MatMul": 1}


def test_an_operator_that_is_in_no_list_but_in_the_runtime_is_no_custom_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.backends.onnx.inspection._SERVED_DOMAINS", ("",))
    node = helper.make_node("Normalizer", ["h"], ["y"], "norm", domain="ai.onnx.ml", norm="L2")
    first = helper.make_node("MatMul", ["x", "w"], ["h"], "first")
    built = models.model(
        [first, node], [models.value("x", [1, 4])], [models.value("y", [1, 3])], {"w": models.weights(4, 3)}
    )
    built.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))

    assert BACKEND.inspect(models.save(built, tmp_path / "m.onnx")).operators["Normalizer"] == 1


def test_an_operator_that_nobody_has_is_named_with_its_node(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"custom_operator.*com\.example\.Wavelet of node") as refused:
        BACKEND.inspect(models.save(models.custom_net(), tmp_path / "m.onnx"))

    assert "export with standard operators" in refused.value.message
