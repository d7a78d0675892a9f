"""Preparing: one standard shape of file that computes what the original computes; and what a tap then sees."""

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as generated
from support import tflite_models as models
from support.tflite_rig import RUNTIMES

from edge_agent.backends import tflite as backend
from edge_agent.backends.tflite import runtimes
from edge_agent.backends.tflite.reading import read_model
from edge_agent.errors import ModelError, StageError

GOOD = [
    models.conv_net,
    models.unsigned_net,
    models.old_net,
    models.batch_net,
    models.mlp,
    models.two_inputs,
    models.activations_net,
    models.attention_net,
    models.upsampling_net,
    models.embedding_net,
    models.half_net,
    models.branching_net,
    models.lstm_net,
]


def prepared(build: Callable[[], bytes], folder: Path) -> tuple[Path, Path]:
    original = models.save(build(), folder / "m.tflite")
    backend.prepare(original, folder / "prepared.tflite")
    return original, folder / "prepared.tflite"


@RUNTIMES
@pytest.mark.parametrize("build", GOOD)
def test_prepared_equals_original(tmp_path: Path, build: Callable[[], bytes], runtime: str) -> None:
    original, ready = prepared(build, tmp_path)
    reference, target = backend.open(original, runtime=runtime), backend.open(ready, runtime=runtime)

    for feeds in models.rows(original, 4):
        for before, after in zip(reference.run(feeds), target.run(feeds), strict=True):
            np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("build", [*GOOD, models.hybrid_net])
def test_prepared_is_what_the_others_rely_on(tmp_path: Path, build: Callable[[], bytes]) -> None:
    original, ready = prepared(build, tmp_path)

    model, before, after = read_model(ready), backend.inspect(original), backend.inspect(ready)

    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    assert not [note for note in after.notes if "weight" in note]
    assert model.signature is not None
    names = [tensor.name for graph in model.graphs for tensor in graph.tensors]
    assert all(names)
    assert len(set(names)) == len(names)
    assert [model.main.tensors[index].name for index in model.main.inputs] == [spec.name for spec in before.inputs]
    assert not [tensor for tensor in model.main.tensors if len(tensor.scales)]
    assert all(tensor.data.start % 16 == 0 for tensor in model.main.tensors if tensor.constant)


@pytest.mark.parametrize("build", [models.old_net, models.hybrid_net])
def test_the_same_file_gives_the_same_file(tmp_path: Path, build: Callable[[], bytes]) -> None:
    _, ready = prepared(build, tmp_path)
    first = ready.read_bytes()
    backend.prepare(tmp_path / "m.tflite", ready)
    again = ready.read_bytes()
    backend.prepare(ready, tmp_path / "twice.tflite")

    assert again == first
    assert (tmp_path / "twice.tflite").read_bytes() == first


def test_an_old_file_names_its_operators_afterwards(tmp_path: Path) -> None:
    _, ready = prepared(models.old_net, tmp_path)

    codes = generated.ModelT.InitFromObj(generated.Model.GetRootAs(ready.read_bytes(), 0)).operatorCodes

    assert {code.builtinCode for code in codes} >= {generated.BuiltinOperator.CONV_2D}
    assert all(code.deprecatedBuiltinCode == min(code.builtinCode, 127) for code in codes)


def test_hybrid_weights_become_the_floats_they_stand_for(tmp_path: Path) -> None:
    original, ready = prepared(models.hybrid_net, tmp_path)
    stored = next(tensor for tensor in read_model(original).main.tensors if tensor.name == "w1")
    integers = read_model(original).value(stored).astype(np.float32)

    weights = backend.layers(ready)[0].weights

    assert weights is not None
    np.testing.assert_array_equal(weights, integers * stored.scales)


def test_half_weights_become_constants_without_an_operator(tmp_path: Path) -> None:
    _, ready = prepared(models.half_net, tmp_path)

    assert backend.inspect(ready).operators == {"FULLY_CONNECTED": 1}
    np.testing.assert_array_equal(backend.layers(ready)[0].weights, models.weights(5, 12).astype(np.float16))


def test_weights_left_unread_are_left_out(tmp_path: Path) -> None:
    original, ready = prepared(models.half_net, tmp_path)

    floats = 4 * (5 * 12 + 5)
    assert sum(len(tensor.data) for tensor in read_model(ready).main.tensors if tensor.constant) <= 2 * floats
    assert len(ready.read_bytes()) < len(original.read_bytes()) + 2 * floats


def test_a_model_that_would_not_gain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing in") as caught:
        prepared(models.plain_net, tmp_path)
    assert caught.value.code == "model_unsupported"


def test_layers_carry_their_weights_and_the_axis_of_their_outputs(tmp_path: Path) -> None:
    _, ready = prepared(models.conv_net, tmp_path)

    layers = {layer.name: layer for layer in backend.layers(ready)}

    assert list(layers) == ["stem", "deep", "side", "sum", "pool", "flat", "logits", "y"]
    assert [layers[name].weight_axis for name in ("stem", "deep", "logits")] == [0, 3, 0]
    assert layers["stem"].weights is not None
    assert layers["stem"].weights.dtype == np.float32
    assert layers["sum"].weights is None
    assert layers["sum"].inputs == ("deep", "side")


def test_of_a_matrix_product_of_activations_only_the_weights_are_weights(tmp_path: Path) -> None:
    _, ready = prepared(models.attention_net, tmp_path)

    layers = backend.layers(ready)

    assert [layer.weights is not None for layer in layers if layer.operator == "BATCH_MATMUL"] == [True, False, False]
    assert layers[0].weight_axis == 2


@pytest.mark.parametrize("build", [models.lstm_net, models.branching_net])
def test_what_cannot_be_quantized_is_no_layer(tmp_path: Path, build: Callable[[], bytes]) -> None:
    _, ready = prepared(build, tmp_path)

    assert {layer.operator for layer in backend.layers(ready)} == {"FULLY_CONNECTED"}


def test_names_of_fused_operators_become_short(tmp_path: Path) -> None:
    _, ready = prepared(models.mlp, tmp_path)

    assert [layer.name for layer in backend.layers(ready)] == ["net/hidden/MatMul", "StatefulPartitionedCall:0"]


@pytest.mark.parametrize("build", [models.conv_net, models.two_inputs, models.activations_net, models.lstm_net])
def test_a_tap_sees_what_the_runtime_computes(tmp_path: Path, build: Callable[[], bytes]) -> None:
    _, ready = prepared(build, tmp_path)
    feeds = models.rows(ready, 1)[0]
    interpreter = runtimes.load_runtime()
    plain = import_module(interpreter.__module__).OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    reference = interpreter(
        model_path=str(ready),
        num_threads=1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=plain,
    )
    reference.allocate_tensors()
    model = read_model(ready)
    for name, index in zip(model.input_names, model.main.inputs, strict=True):
        reference.set_tensor(index, feeds[name])
    reference.invoke()
    places = {tensor.name: index for index, tensor in enumerate(model.main.tensors)}

    tap = backend.tap(ready)
    seen = dict(tap.run(feeds))

    assert sorted(seen) == sorted(tap.names)
    assert set(seen) >= {name for layer in backend.layers(ready) for name in layer.outputs}
    for name, value in seen.items():
        np.testing.assert_allclose(value, reference.get_tensor(places[name]), atol=1e-5)


def test_a_tap_of_a_group_gives_the_same_values(tmp_path: Path) -> None:
    _, ready = prepared(models.conv_net, tmp_path)
    feeds = models.rows(ready, 1)[0]
    whole = dict(backend.tap(ready).run(feeds))

    part = dict(backend.tap(ready, ["sum", "x", "y"]).run(feeds))

    assert list(part) == ["x", "sum", "y"]
    for name, value in part.items():
        np.testing.assert_allclose(value, whole[name], atol=1e-6)


def test_a_tap_of_rows_gives_each_its_own(tmp_path: Path) -> None:
    _, ready = prepared(models.conv_net, tmp_path)
    tap = backend.tap(ready, ["stem"])
    first, second = models.rows(ready, 2)

    kept = dict(tap.run(first))["stem"]
    other = dict(tap.run(second))["stem"]

    assert not np.array_equal(kept, other)
    np.testing.assert_array_equal(kept, dict(tap.run(first))["stem"])


def test_a_tap_of_an_unknown_tensor_is_an_error(tmp_path: Path) -> None:
    _, ready = prepared(models.conv_net, tmp_path)

    with pytest.raises(StageError, match="no such activation"):
        backend.tap(ready, ["nowhere"])


def deep_net() -> bytes:
    """``x`` [1, 128, 128, 8] → 16 convolutions, the activations of each half a megabyte → ``y``."""
    net = models.Net()
    shape = (1, 128, 128, 8)
    last = net.input("x", shape)
    for number in range(16):
        w, b = net.constant(f"w{number}", models.weights(8, 1, 1, 8)), net.constant(f"b{number}", models.weights(8))
        last = net.conv(last, f"c{number}", w, b, shape)
    return net.build(last)


def peak_of_tap(ready: Path, names: list[str] | None, rows: int) -> int:
    """Bytes that a process has held at most, tapping these tensors of so many rows."""
    code = f"""
from pathlib import Path
import numpy as np
from edge_agent.backends import tflite
tap = tflite.tap(Path({str(ready)!r}), {names!r})
row = np.ones((1, 128, 128, 8), np.float32)
for _ in range({rows}):
    for _, value in tap.run({{"x": row}}):
        value.max()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


def test_a_taps_memory_follows_what_is_asked_for_and_not_how_much_came_by(tmp_path: Path) -> None:
    _, ready = prepared(deep_net, tmp_path)

    few, many, one = peak_of_tap(ready, None, 3), peak_of_tap(ready, None, 60), peak_of_tap(ready, ["c7"], 3)

    assert many - few < 2**20
    assert few - one > 10 * 128 * 128 * 8 * 4
