"""Models whose large weights stay in their file: the same values, less memory, and no reference that lies."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import batch_norm_net, conv_net, model, save, separable_net, value, weights

from edge_agent.backends.onnx.mapped_weights import read_mapped, referring
from edge_agent.backends.onnx.session import create_session, run_session
from edge_agent.errors import ModelError

SIDE = 64


def matrix(values: TensorProto) -> Any:
    """``x`` [1, 64] times a constant of 16 KiB."""
    built = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "product")], [value("x", [1, SIDE])], [value("y", [1, SIDE])], {}
    )
    built.graph.initializer.append(values)
    return built


def typed() -> TensorProto:
    """Weights in ``float_data``, as older exporters write them."""
    flat = weights(SIDE, SIDE).ravel().tolist()
    return helper.make_tensor("w", TensorProto.FLOAT, [SIDE, SIDE], flat)


def with_explicit_location() -> TensorProto:
    tensor = numpy_helper.from_array(weights(SIDE, SIDE), "w")
    tensor.data_location = TensorProto.DEFAULT
    return tensor


BUILT = {
    "convolutions": conv_net(),
    "separable": separable_net(),
    "batch norm": batch_norm_net(),
    "raw": matrix(numpy_helper.from_array(weights(SIDE, SIDE), "w")),
    "typed": matrix(typed()),
    "explicit location": matrix(with_explicit_location()),
}


@pytest.mark.parametrize("built", BUILT.values(), ids=BUILT)
def test_the_runtime_computes_the_same_from_weights_by_reference(tmp_path: Path, built: Any) -> None:
    path = save(built, tmp_path / "model.onnx")
    name = built.graph.input[0].name
    shape = [size.dim_value or 1 for size in built.graph.input[0].type.tensor_type.shape.dim]
    feeds = {name: np.random.default_rng(1).normal(size=shape).astype(np.float32)}

    copied = run_session(create_session(path), None, feeds)
    referred = run_session(create_session(referring(path), weights=tmp_path), None, feeds)

    for one, other in zip(copied, referred, strict=True):
        np.testing.assert_array_equal(one, other)


def test_further_tensors_become_outputs(tmp_path: Path) -> None:
    path = save(conv_net(), tmp_path / "model.onnx")

    session = create_session(referring(path, ["r1"]), weights=tmp_path)

    assert [output.name for output in session.get_outputs()] == ["logits", "r1"]


@pytest.mark.parametrize("built", BUILT.values(), ids=BUILT)
def test_views_of_the_file_are_the_weights(tmp_path: Path, built: Any) -> None:
    path = save(built, tmp_path / "model.onnx")

    found, views = read_mapped(path)

    wanted = {tensor.name: numpy_helper.to_array(tensor) for tensor in built.graph.initializer}
    for tensor in found.graph.initializer:
        values = views[tensor.name] if tensor.name in views else numpy_helper.to_array(tensor)
        np.testing.assert_array_equal(values, wanted[tensor.name])
    assert views.keys() == {name for name, array in wanted.items() if array.nbytes > 1024}
    assert not any(array.flags.writeable for array in views.values())


def test_large_weights_are_not_in_the_bytes_and_others_are(tmp_path: Path) -> None:
    built = matrix(numpy_helper.from_array(weights(SIDE, SIDE), "w"))
    built.graph.initializer.append(numpy_helper.from_array(np.arange(4096, dtype=np.int64), "indices"))

    content = referring(save(built, tmp_path / "model.onnx"))

    assert weights(SIDE, SIDE).tobytes() not in content
    assert np.arange(4096, dtype=np.int64).tobytes() in content


def test_a_reference_that_does_not_fit_its_shape_is_refused(tmp_path: Path) -> None:
    path = save(matrix(numpy_helper.from_array(weights(SIDE, SIDE), "w")), tmp_path / "model.onnx")
    content = onnx.ModelProto.FromString(referring(path))
    content.graph.initializer[0].dims[0] = 10 * SIDE

    with pytest.raises(ModelError) as caught:
        create_session(content.SerializeToString(), weights=tmp_path)

    assert caught.value.code in ("model_unreadable", "model_unsupported")
