"""The host's small readers against the libraries of the formats, which the device uses."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as fb
from hypothesis import given, settings
from hypothesis import strategies as st
from support import onnx_models, tflite_models
from support.device import DEMO_MODEL, TFLITE_MODEL

from edge_agent.backends.onnx import inspection as of_onnx
from edge_agent.backends.tflite import inspection as of_tflite
from edge_agent.model_file.signature import read_signature
from edge_agent.model_file.tensors import ModelTensors

ONNX = ("conv_net", "separable_net", "mlp", "batch_norm_net", "old_net", "two_inputs", "embedding_net", "stateful_net")
TFLITE = (
    *("conv_net", "old_net", "batch_net", "mlp", "two_inputs", "attention_net", "embedding_net", "hybrid_net"),
    *("branching_net", "lstm_net", "plain_net"),
)
OF_THE_LIBRARY = sorted((Path(onnx.__file__).parent / "backend/test/data").rglob("model.onnx"))[:400]


def as_pairs(found: ModelTensors) -> list[list[tuple[str, Any, str]]]:
    return [[(one.name, one.shape, one.dtype) for one in side] for side in (found.inputs, found.outputs)]


def check(path: Path, read_info: Callable[[Path], Any]) -> None:
    found, info = read_signature(path), read_info(path)

    assert found is not None
    assert as_pairs(found) == [
        [(spec.name, spec.shape, spec.dtype) for spec in side] for side in (info.inputs, info.outputs)
    ]


@pytest.mark.parametrize("name", ONNX)
def test_an_onnx_file_is_read_as_the_device_reads_it(tmp_path: Path, name: str) -> None:
    check(onnx_models.save(getattr(onnx_models, name)(), tmp_path / "m.onnx"), of_onnx.read_info)


@pytest.mark.parametrize("name", TFLITE)
def test_a_tflite_file_is_read_as_the_device_reads_it(tmp_path: Path, name: str) -> None:
    check(tflite_models.save(getattr(tflite_models, name)(), tmp_path / "m.tflite"), of_tflite.read_info)


def test_the_demos_models() -> None:
    check(DEMO_MODEL, of_onnx.read_info)
    check(TFLITE_MODEL, of_tflite.read_info)


@pytest.mark.parametrize("path", OF_THE_LIBRARY, ids=[path.parent.name for path in OF_THE_LIBRARY])
def test_models_of_the_library(path: Path) -> None:
    """Whatever kinds of values there are: names and sizes are the library's, or nothing is said."""
    graph = onnx.load(path).graph
    weights = {tensor.name for tensor in graph.initializer}
    wanted = [
        [
            (
                value.name,
                tuple(
                    dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
                    for dim in value.type.tensor_type.shape.dim
                )
                if value.type.tensor_type.HasField("shape")
                else None,
            )
            for value in side
            if value.name not in weights
        ]
        for side in (graph.input, graph.output)
    ]
    found = read_signature(path)

    if found is None:
        assert not all(wanted)
    else:
        assert [[(name, shape) for name, shape, _ in side] for side in as_pairs(found)] == wanted


@pytest.mark.parametrize("name", ["absent.onnx", "m.pt", "empty.onnx", "text.onnx", "text.tflite"])
def test_what_cannot_be_understood_is_no_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.onnx").touch()
    for suffix in ("onnx", "tflite"):
        (tmp_path / f"text.{suffix}").write_text("<html>not found</html>" * 100)

    assert read_signature(tmp_path / name) is None


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 1 << 30), whole=st.sampled_from([DEMO_MODEL, TFLITE_MODEL]))
def test_a_damaged_file_is_no_error(tmp_path_factory: pytest.TempPathFactory, seed: int, whole: Path) -> None:
    chance, data = random.Random(seed), bytearray(whole.read_bytes())  # noqa: S311  # no secret
    edges = (0, 400), (len(data) - 4000, len(data))
    for _ in range(chance.randint(1, 20)):
        data[chance.randrange(*chance.choice(edges))] = chance.randrange(256)
    path = tmp_path_factory.mktemp("damaged") / whole.name
    path.write_bytes(data[: chance.choice((len(data), chance.randrange(1, len(data))))])

    read_signature(path)


@pytest.mark.parametrize("shared", ["indices", "shape", "name"])
def test_a_long_vector_that_many_tables_share_is_not_read_for_each(tmp_path: Path, shared: str) -> None:
    """Half a megabyte that would be read for many minutes."""
    small = tflite_models.save(many_tables(shared, 10), tmp_path / "small.tflite")
    path = tflite_models.save(many_tables(shared), tmp_path / "m.tflite")
    assert read_signature(small) is not None
    began = time.monotonic()

    assert path.stat().st_size < 2_000_000
    assert read_signature(path) is None
    assert time.monotonic() - began < 20


def many_tables(shared: str, count: int = 60_000) -> bytes:
    """A model of many operators, or of an input that is named many times, all with one long vector."""
    builder = flatbuffers.Builder(1 << 20)
    long_one = builder.CreateNumpyVector(np.zeros(count, np.int32))
    text = builder.CreateString("x" * count)
    fb.TensorStart(builder)
    if shared != "name":
        fb.TensorAddShape(builder, long_one)
    fb.TensorAddName(builder, text)
    tensor = fb.TensorEnd(builder)
    nodes = [operator(builder, long_one) for _ in range(count if shared == "indices" else 1)]
    ends = long_one if shared != "indices" else builder.CreateNumpyVector(np.zeros(1, np.int32))
    tensors, operators = vector(builder, [tensor]), vector(builder, nodes)
    fb.OperatorCodeStart(builder)
    codes = vector(builder, [fb.OperatorCodeEnd(builder)])
    fb.SubGraphStart(builder)
    fb.SubGraphAddTensors(builder, tensors)
    fb.SubGraphAddInputs(builder, ends)
    fb.SubGraphAddOutputs(builder, ends)
    fb.SubGraphAddOperators(builder, operators)
    graphs = vector(builder, [fb.SubGraphEnd(builder)])
    fb.ModelStart(builder)
    fb.ModelAddVersion(builder, 3)
    fb.ModelAddOperatorCodes(builder, codes)
    fb.ModelAddSubgraphs(builder, graphs)
    builder.Finish(fb.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def operator(builder: flatbuffers.Builder, indices: int) -> int:
    fb.OperatorStart(builder)
    fb.OperatorAddInputs(builder, indices)
    return int(fb.OperatorEnd(builder))


def vector(builder: flatbuffers.Builder, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())
