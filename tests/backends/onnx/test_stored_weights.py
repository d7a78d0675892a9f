"""Quantized already is a model whose weights are integers, and none that has integers for other reasons."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from support import onnx_models as models

from edge_agent import backends
from edge_agent.backends import CandidateSpec
from edge_agent.errors import ModelError

BACKEND = backends.load("onnx")
BOOL, INT64 = TensorProto.BOOL, TensorProto.INT64
BYTES = np.arange(16 * 16).reshape(16, 16) % 2


def net(*nodes: Any, kind: int = models.FLOAT, **constants: Any) -> Any:
    """``x`` [1, 16, 16] → ``nodes`` → ``h`` → matmul → ``y``."""
    constants |= {"w": models.weights(16, 16)}
    last = helper.make_node("MatMul", ["h", "w"], ["y"], "matmul")
    inputs = [models.value("x", [1, 16, 16], kind)]
    return models.model([*nodes, last], inputs, [models.value("y", [1, 16, 16])], constants)


def mask_cast_to_bool() -> Any:
    return net(
        helper.make_node("Cast", ["attn.bias"], ["mask"], "cast", to=BOOL),
        helper.make_node("Where", ["mask", "x", "low"], ["h"], "where"),
        **{"attn.bias": BYTES.astype(np.uint8)},
        low=np.float32(-1e4).reshape(()),
    )


def mask_computed_with() -> Any:
    """``x + (1 - mask) * -10000``."""
    return net(
        helper.make_node("Cast", ["mask"], ["m"], "cast", to=models.FLOAT),
        helper.make_node("Sub", ["one", "m"], ["hidden"], "sub"),
        helper.make_node("Mul", ["hidden", "low"], ["added"], "mul"),
        helper.make_node("Add", ["x", "added"], ["h"], "add"),
        mask=BYTES.astype(np.int8),
        one=np.float32(1).reshape(()),
        low=np.float32(-1e4).reshape(()),
    )


def indices() -> Any:
    return net(
        helper.make_node("Cast", ["order"], ["i"], "cast", to=INT64),
        helper.make_node("Gather", ["x", "i"], ["h"], "gather", axis=1),
        order=np.zeros(80, np.uint8),
    )


def picture_on_a_grid() -> Any:
    """Bytes of a picture made floats by DequantizeLinear: of what is given, not of weights."""
    nodes = [helper.make_node("DequantizeLinear", ["x", "s", "z"], ["h"], "bytes")]
    return net(*nodes, kind=TensorProto.UINT8, s=np.float32(1 / 255).reshape(()), z=np.uint8(0).reshape(()))


def dequantized_weights() -> Any:
    nodes = [
        helper.make_node("DequantizeLinear", ["w8", "s"], ["wf"], "dq"),
        helper.make_node("MatMul", ["x", "wf"], ["h"], "first"),
    ]
    return net(*nodes, w8=BYTES.astype(np.int8), s=np.float32(0.1).reshape(()))


def scaled_by_hand() -> Any:
    nodes = [
        helper.make_node("Cast", ["w8"], ["wf"], "cast", to=models.FLOAT),
        helper.make_node("Sub", ["wf", "z"], ["ws"], "sub"),
        helper.make_node("Mul", ["ws", "s"], ["wm"], "mul"),
        helper.make_node("Transpose", ["wm"], ["wt"], "turn", perm=[1, 0]),
        helper.make_node("MatMul", ["x", "wt"], ["h"], "first"),
    ]
    scale, zero = (np.float32(one).reshape(()) for one in (0.1, 3))
    return net(*nodes, w8=BYTES.astype(np.uint8), s=scale, z=zero)


@pytest.mark.parametrize("build", [mask_cast_to_bool, mask_computed_with, indices, picture_on_a_grid])
@pytest.mark.parametrize("method", ["uniform", "dynamic"])
def test_integers_that_are_no_weights_are_part_of_a_float_model(
    tmp_path: Path, build: Callable[[], Any], method: Any
) -> None:
    path, prepared, out = (tmp_path / name for name in ("m.onnx", "prepared.onnx", "int8.onnx"))
    models.save(build(), path)

    BACKEND.inspect(path)
    BACKEND.prepare(path, prepared)
    BACKEND.rewrite(prepared, {}, CandidateSpec(method), out)

    assert BACKEND.check(path, out)["int8_weights"] == 1


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (dequantized_weights, ("'w8'", "DequantizeLinear 'dq'")),
        (scaled_by_hand, ("'w8'", "MatMul 'first'")),
        (models.byte_weights_net, ("'w8'", "MatMul 'matmul'")),
        (models.quantized_net, ("QuantizeLinear 'q'",)),
    ],
)
def test_weights_that_are_integers_are_named(tmp_path: Path, build: Callable[[], Any], names: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match="already_quantized") as refused:
        BACKEND.inspect(models.save(build(), tmp_path / "m.onnx"))

    assert all(name in refused.value.message for name in names)
