"""What inspection says of TensorFlow Lite files, and how it refuses the others, before any runtime has seen them."""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as generated
from support import tflite_models as models

from edge_agent.backends import TensorSpec
from edge_agent.backends import tflite as backend
from edge_agent.backends.tflite import flatbuffer, schema
from edge_agent.errors import ModelError


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        backend.inspect(path)
    assert caught.value.message
    return caught.value.code


def test_describes_a_model(tmp_path: Path) -> None:
    path = models.save(models.conv_net(), tmp_path / "m.tflite")

    info = backend.inspect(path)

    assert info.inputs == (TensorSpec("x", "float32", (1, 16, 16, 3)),)
    assert info.outputs == (TensorSpec("y", "float32", (1, 5)),)
    assert info.operators["CONV_2D"] == 2
    assert info.operators["SOFTMAX"] == 1
    assert (info.format, info.version, info.size_bytes) == ("tflite", "schema 3", path.stat().st_size)
    assert info.notes == ()


@pytest.mark.parametrize("build", [models.unsigned_net, models.old_net])
def test_names_come_from_tensors_where_there_is_no_signature(tmp_path: Path, build: Callable[[], bytes]) -> None:
    info = backend.inspect(models.save(build(), tmp_path / "m.tflite"))

    assert [spec.name for spec in (*info.inputs, *info.outputs)] == ["x", "y"]


def test_the_signature_names_inputs_and_outputs_in_the_models_order(tmp_path: Path) -> None:
    info = backend.inspect(models.save(models.two_inputs(), tmp_path / "m.tflite"))

    assert [spec.name for spec in info.inputs] == ["image", "facts"]
    assert [spec.name for spec in info.outputs] == ["y", "features"]


def test_operators_of_an_old_file_are_not_taken_for_add(tmp_path: Path) -> None:
    old = backend.inspect(models.save(models.old_net(), tmp_path / "old.tflite"))
    new = backend.inspect(models.save(models.unsigned_net(), tmp_path / "new.tflite"))

    assert old.operators == new.operators


def test_a_size_that_may_change_is_none(tmp_path: Path) -> None:
    info = backend.inspect(models.save(models.batch_net(), tmp_path / "m.tflite"))

    assert info.inputs[0].shape == (None, 16, 16, 3)
    assert info.outputs[0].shape == (None, 5)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (models.hybrid_net, "hybrid, not float: 1 weight tensors"),
        (models.half_net, "2 weight tensors are stored in 16-bit float"),
        (models.branching_net, "2 graphs inside others"),
    ],
)
def test_says_what_a_person_should_know(tmp_path: Path, build: Callable[[], bytes], told: str) -> None:
    (note,) = backend.inspect(models.save(build(), tmp_path / "m.tflite")).notes

    assert told in note


def test_an_lstm_is_accepted_with_its_state_inside(tmp_path: Path) -> None:
    info = backend.inspect(models.save(models.lstm_net(), tmp_path / "m.tflite"))

    assert info.operators == {"UNIDIRECTIONAL_SEQUENCE_LSTM": 1, "FULLY_CONNECTED": 1}


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (models.int8_net, "already_quantized"),
        (models.custom_net, "custom_operator"),
        (models.flex_net, "custom_operator"),
        (models.stateful_net, "model_unsupported"),
        (models.half_activations_net, "model_unsupported"),
    ],
)
def test_refuses_what_it_cannot_quantize(tmp_path: Path, build: Callable[[], bytes], code: str) -> None:
    assert refusal(models.save(build(), tmp_path / "m.tflite")) == code


def test_a_flex_operator_is_explained(tmp_path: Path) -> None:
    path = models.save(models.flex_net(), tmp_path / "m.tflite")

    with pytest.raises(ModelError, match="Erf is an operator of TensorFlow"):
        backend.inspect(path)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 40, 0.5, 0.9, -4])
def test_a_file_cut_short_is_unreadable(tmp_path: Path, keep: float) -> None:
    whole = models.conv_net()
    size = int(len(whole) * keep) if 0 < keep < 1 else int(keep)

    assert refusal(models.save(whole[:size], tmp_path / "m.tflite")) == "model_unreadable"


@pytest.mark.parametrize(
    "content",
    [b"\x00" * 64, b"\x08\x00\x00\x00TFL3" + b"\xff" * 64, b"\x08\x00\x00\x00TFL3", b"PK\x03\x04" + b"\x00" * 30],
)
def test_other_bytes_are_unreadable(tmp_path: Path, content: bytes) -> None:
    assert refusal(models.save(content, tmp_path / "m.tflite")) == "model_unreadable"


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.tflite") == "model_unreadable"


def test_a_constant_with_too_few_bytes_is_unreadable(tmp_path: Path) -> None:
    net = models.Net()
    x = net.input("x", (1, 4))
    w = net.constant("w", models.weights(3, 4))
    net.graph.tensors[w].shape = [3, 5]

    built = net.build(net.dense(x, "y", w, -1, (1, 3)))

    assert refusal(models.save(built, tmp_path / "m.tflite")) == "model_unreadable"


def test_an_operator_that_reads_what_comes_later_is_unreadable(tmp_path: Path) -> None:
    net = models.Net()
    x = net.input("x", (1, 4))
    y = net.node("TANH", [net.node("ABS", [x], "a", (1, 4), "AbsOptions")], "y", (1, 4))
    net.graph.operators.reverse()

    assert refusal(models.save(net.build(y), tmp_path / "m.tflite")) == "model_unreadable"


def bomb(count: int) -> bytes:
    """``count`` graphs that are the same table, whose ``count`` tensors are the same table: parts may share bytes."""
    out = bytearray(b"\0\0\0\0TFL3")
    vtables = [len(out), len(out) + 12, len(out) + 20]
    out += struct.pack("<5H2x", 10, 12, 4, 0, 8) + struct.pack("<3H2x", 6, 8, 4) + struct.pack("<2H", 4, 4)
    root = len(out)
    graphs = root + 12
    graph = graphs + 4 + 4 * count
    tensors = graph + 8
    tensor = tensors + 4 + 4 * count
    struct.pack_into("<I", out, 0, root)
    out += struct.pack("<iII", root - vtables[0], 3, graphs - (root + 8))
    for start, end in ((graphs, graph), (tensors, tensor)):
        if start == tensors:
            out += struct.pack("<iI", graph - vtables[1], tensors - (graph + 4))
        out += struct.pack(f"<{count + 1}I", count, *(end - (start + 4 + 4 * number) for number in range(count)))
    return bytes(out + struct.pack("<i", tensor - vtables[2]))


def test_parts_that_share_bytes_end_soon_and_in_little_memory(tmp_path: Path) -> None:
    path = models.save(bomb(60_000), tmp_path / "m.tflite")
    before = peak_bytes()

    with pytest.raises(ModelError, match="more parts than it has room for"):
        backend.inspect(path)

    assert peak_bytes() - before < 100 * 2**20


def peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def test_the_work_on_one_file_is_bounded() -> None:
    data = flatbuffer.File(b"\x00" * 100)
    data.spend(100)

    with pytest.raises(flatbuffer.Malformed, match="more parts"):
        data.spend(1)


def test_no_runtime_and_no_generated_schema_is_needed(tmp_path: Path) -> None:
    path = models.save(models.conv_net(), tmp_path / "m.tflite")
    code = (
        "import sys; from pathlib import Path; from edge_agent.backends import tflite;"
        f"tflite.inspect(Path({str(path)!r})); print(*sys.modules)"
    )

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    heavy = ("ai_edge_litert", "tflite_runtime", "flatbuffers", "litert_quantizer")
    assert not [name for name in loaded if name.startswith(heavy)]


def test_our_numbers_are_the_schemas() -> None:
    codes = {name: code for name, code in vars(generated.BuiltinOperator).items() if not name.startswith("_")}
    types = {name: code for name, code in vars(generated.TensorType).items() if not name.startswith("_")}

    assert {name: schema.OPERATORS.index(name) for name in schema.OPERATORS} == codes
    for name in ("FLOAT32", "FLOAT16", "INT32", "UINT8", "STRING", "BOOL", "INT8", "RESOURCE", "VARIANT", "INT4"):
        assert getattr(schema, name) == types[name]
    assert all(types[name.upper()] == code for code, name in schema.NUMPY.items())
