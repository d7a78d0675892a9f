"""The operators at a model's ends, read without a library: those that the models were built with."""

from pathlib import Path

import pytest
from onnx import helper
from support import onnx_models, tflite_models
from support.demo import MODEL, TFLITE_MODEL
from support.onnx_models import model, value

from edge_agent.model_file.signature import read_signature


def ends(path: Path) -> tuple[list[str], list[str]]:
    found = read_signature(path)
    assert found is not None
    return [one.operator for one in found.inputs], [one.operator for one in found.outputs]


def test_the_demos_models() -> None:
    assert ends(MODEL) == (["Conv"], ["Gemm"])
    assert ends(TFLITE_MODEL)[1] == ["Gemm"]


def test_what_only_moves_values_is_passed_over(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Sub", ["t", "mean"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"]),
        helper.make_node("Identity", ["p"], ["y"]),
    ]
    constants = {"mean": onnx_models.weights(1)}
    built = model(nodes, [value("x", [1, 2, 3])], [value("y", [1, 3, 2])], constants)

    assert ends(onnx_models.save(built, tmp_path / "m.onnx")) == (["Sub"], ["Softmax"])


def test_an_input_that_nothing_computes_with(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    built = model(nodes, [value("x", [1, 2])], [value("y", [1, 2])], {})

    assert ends(onnx_models.save(built, tmp_path / "m.onnx")) == ([""], [""])


@pytest.mark.parametrize("name", ["conv_net", "mlp", "attention_net"])
def test_a_tflite_file_of_ours_ends_in_an_operator_that_has_a_name(tmp_path: Path, name: str) -> None:
    path = tflite_models.save(getattr(tflite_models, name)(), tmp_path / "m.tflite")

    _, (last, *_) = ends(path)

    assert last
    assert last != "Reshape"
