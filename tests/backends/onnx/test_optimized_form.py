"""The optimised form of an ONNX model, on the real runtime."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from support import onnx_models as models

from edge_agent.backends import onnx as backend
from edge_agent.device.optimized_form import FORM_FILES, OPTIMIZED_FILE, WEIGHTS_FILE
from edge_agent.errors import ModelError

ROWS = np.random.default_rng(0).normal(size=(8, 1, 3, 16, 16)).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.save(models.conv_net(), tmp_path / "m.onnx")


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load_model(path, load_external_data=False).graph.node]


def test_a_form_answers_bit_for_bit_what_its_model_answers(model: Path, tmp_path: Path) -> None:
    form = backend.optimize(model, tmp_path)

    assert form == tmp_path / OPTIMIZED_FILE
    before, after = backend.open(model), backend.open(form)
    assert before.inputs == after.inputs
    assert before.outputs == after.outputs
    for row in ROWS:
        assert before.run({"x": row})[0].tobytes() == after.run({"x": row})[0].tobytes()


def test_the_runtime_has_folded_the_form_already(model: Path, tmp_path: Path) -> None:
    form = backend.optimize(model, tmp_path)

    assert form is not None
    assert operators(model).count("Relu") == 2
    assert "Relu" not in operators(form)


def test_large_weights_lie_beside_the_graph_and_small_ones_in_it(model: Path, tmp_path: Path) -> None:
    backend.optimize(model, tmp_path)

    graph = onnx.load_model(tmp_path / OPTIMIZED_FILE, load_external_data=False).graph
    beside = {one.name for one in graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL}
    assert 0 < len(beside) < len(graph.initializer)
    assert {path.name for path in tmp_path.glob("optimized*")} == set(FORM_FILES)


def test_a_form_whose_weights_are_gone_is_refused(model: Path, tmp_path: Path) -> None:
    form = backend.optimize(model, tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()

    assert form is not None
    with pytest.raises(ModelError):
        backend.open(form)


def test_what_is_no_model_has_no_form(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")

    with pytest.raises(ModelError, match="model_unreadable"):
        backend.optimize(tmp_path / "m.onnx", tmp_path)
    assert not (tmp_path / OPTIMIZED_FILE).exists()
