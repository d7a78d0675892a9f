"""What a rewritten TensorFlow Lite file is refused for, whatever has written it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as fb
from support import tflite_models as models
from support.tflite_rig import Rig

from edge_agent.backends import CandidateSpec
from edge_agent.backends import tflite as backend
from edge_agent.errors import ModelError


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path, models.mlp)
    made.rewrite(CandidateSpec("static", "minmax"))
    return made


def tampered(path: Path, change: Callable[[Any], None]) -> None:
    model = fb.ModelT.InitFromObj(fb.Model.GetRootAs(path.read_bytes(), 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def of(model: Any, name: str) -> Any:
    return next(one for one in model.subgraphs[0].tensors if one.name == name.encode())


def refused(rig: Rig) -> str:
    with pytest.raises(ModelError) as caught:
        backend.check(rig.original, rig.out)
    assert caught.value.code == "rewrite_invalid"
    return caught.value.message


def test_counts_what_is_int8(rig: Rig) -> None:
    assert backend.check(rig.original, rig.out) == {"int8_weights": 2, "int8_nodes": 2, "qdq_nodes": 2}


@pytest.mark.parametrize("method", ["dynamic", "uniform"])
def test_counts_layers_whose_weights_alone_are_int8(rig: Rig, method: str) -> None:
    backend.rewrite(rig.prepared, {}, CandidateSpec(method), rig.out)  # type: ignore[arg-type]

    counts = backend.check(rig.original, rig.out)

    assert (counts["int8_weights"], counts["int8_nodes"]) == (2, 2)


def test_a_model_that_is_still_float_is_no_int8_model(rig: Rig) -> None:
    rig.out.write_bytes(rig.prepared.read_bytes())

    message = refused(rig)

    assert "nothing in the rewritten model is int8" in message
    assert "FULLY_CONNECTED 'net/hidden/MatMul'" in message


@pytest.mark.parametrize("scale", [0.0, -0.1, np.nan, np.inf])
def test_a_scale_that_is_none_is_told(rig: Rig, scale: float) -> None:
    tampered(rig.out, lambda model: setattr(of(model, "net/hidden/MatMul").quantization, "scale", [scale]))

    assert "'net/hidden/MatMul' has a scale that is not finite and positive" in refused(rig)


def test_a_zero_point_outside_of_int8_is_told(rig: Rig) -> None:
    tampered(rig.out, lambda model: setattr(of(model, "net/hidden/MatMul").quantization, "zeroPoint", [200]))

    assert "outside int8" in refused(rig)


def test_zero_points_that_are_missing_are_told(rig: Rig) -> None:
    tampered(rig.out, lambda model: setattr(of(model, "net/hidden/MatMul").quantization, "zeroPoint", []))

    assert "not have one zero point for each scale" in refused(rig)


def test_another_name_is_told(rig: Rig) -> None:
    def rename(model: Any) -> None:
        model.signatureDefs[0].outputs[0].name = b"other"

    tampered(rig.out, rename)

    assert "inputs and outputs are" in refused(rig)


def test_another_shape_is_told(rig: Rig) -> None:
    tampered(rig.out, lambda model: setattr(of(model, "serving_default_x:0"), "shape", [1, 13]))

    assert "does not have its original type and shape" in refused(rig)


def test_a_bias_on_another_grid_is_told(rig: Rig) -> None:
    def shift(model: Any) -> None:
        grid = of(model, "bias").quantization
        grid.scale = [2 * scale for scale in grid.scale]

    tampered(rig.out, shift)

    assert "bias on another grid" in refused(rig)


def test_a_bias_that_is_not_int32_is_told(rig: Rig) -> None:
    def widen(model: Any) -> None:
        bias = of(model, "bias")
        bias.type = fb.TensorType.FLOAT32

    tampered(rig.out, widen)

    assert "its bias is not int32" in refused(rig)


def test_a_custom_operator_is_told(rig: Rig) -> None:
    def exchange(model: Any) -> None:
        code = next(one for one in model.operatorCodes if one.builtinCode == fb.BuiltinOperator.DEQUANTIZE)
        code.builtinCode = code.deprecatedBuiltinCode = fb.BuiltinOperator.CUSTOM
        code.customCode = "Strange"

    tampered(rig.out, exchange)

    assert "operator 'Strange'" in refused(rig)


def test_a_file_cut_short_is_told(rig: Rig) -> None:
    rig.out.write_bytes(rig.out.read_bytes()[:-200])

    assert "cannot be read" in refused(rig)


def test_a_file_that_the_runtime_refuses_is_told(rig: Rig) -> None:
    tampered(rig.out, lambda model: setattr(model.operatorCodes[0], "version", 99))

    assert "does not load" in refused(rig)


def test_a_layer_without_weights_is_told(rig: Rig) -> None:
    def lose(model: Any) -> None:
        layer = next(one for one in model.subgraphs[0].operators if len(one.inputs) == 3)
        layer.inputs = list(layer.inputs)[:1]

    tampered(rig.out, lose)

    assert "lacks an input" in refused(rig)
