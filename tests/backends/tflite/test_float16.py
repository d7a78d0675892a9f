"""The .tflite model with 16-bit weights: which are stored so, and that it does what float does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import tflite_models
from support.har_tflite import har_net
from support.tflite_models import Net, rows, save
from support.tflite_rig import RUNTIMES

from edge_agent.backends import CandidateSpec
from edge_agent.backends import tflite as backend
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.reading import read_model
from edge_agent.errors import ModelError

FLOAT16 = CandidateSpec("float16")
BUILT = (
    har_net,
    tflite_models.conv_net,
    tflite_models.attention_net,
    tflite_models.embedding_net,
    tflite_models.branching_net,
    tflite_models.looping_net,
)


def tied_net() -> bytes:
    """``ids`` [1, 3] → rows of a table [64, 8] → a product by that very table → ``y`` [3, 64]."""
    net = Net()
    ids = net.input("ids", (3,), "int32")
    table = net.constant("table", tflite_models.weights(64, 8))
    read = net.node("GATHER", [table, ids], "rows", (3, 8), "GatherOptions")
    y = net.node("FULLY_CONNECTED", [read, table, -1], "y", (3, 64), "FullyConnectedOptions")
    return net.sign({"ids": ids}, {"y": y}).build(y)


def rewritten(built: bytes, folder: Path, runtime: str = "") -> tuple[Path, Path]:
    """The model as it is, and with 16-bit weights."""
    original, made = save(built, folder / "m.tflite"), folder / "float16.tflite"
    backend.prepare(original, folder / "prepared.tflite")
    backend.rewrite(folder / "prepared.tflite", {}, FLOAT16, made)
    counted = backend.check(original, made, runtime=runtime, float16=True)
    assert counted["float16_weights"] > 0
    assert not counted["int8_weights"] + counted["int8_nodes"]
    return original, made


@RUNTIMES
@pytest.mark.parametrize("built", BUILT)
def test_weights_in_16_bits_do_what_float_does(built: Callable[[], bytes], tmp_path: Path, runtime: str) -> None:
    original, made = rewritten(built(), tmp_path, runtime)
    float_model, float16 = (backend.open(path, runtime=runtime) for path in (original, made))

    for row in rows(original, 8):
        for wanted, got in zip(float_model.run(row), float16.run(row), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=0.01 * max(float(np.abs(wanted).max()), 1e-3))


def test_every_large_weight_is_stored_in_16_bits_and_the_file_is_half_as_large(tmp_path: Path) -> None:
    original, made = rewritten(har_net(), tmp_path)

    held = [tensor for tensor in read_model(made).main.tensors if tensor.constant and len(tensor.data) >= 512]
    assert {tensor.type for tensor in held if len(tensor.shape) > 1} == {schema.FLOAT16}
    assert made.stat().st_size < 0.52 * original.stat().st_size


def test_a_table_that_a_layer_multiplies_by_is_stored_once(tmp_path: Path) -> None:
    _, made = rewritten(tied_net(), tmp_path)

    halves = [one for one in read_model(made).main.tensors if one.constant and one.type == schema.FLOAT16]
    assert len({(one.data.start, one.data.stop) for one in halves}) == 1


def test_weights_beyond_16_bits_are_told_of_and_not_stored(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", (1, 16))
    layer = net.constant("w", np.full((8, 16), 1e5, np.float32)), net.constant("b", np.zeros(8, np.float32))
    y = net.dense(x, "y", *layer, (1, 8))
    original = save(net.sign({"x": x}, {"y": y}).build(y), tmp_path / "m.tflite")
    backend.prepare(original, tmp_path / "prepared.tflite")

    with pytest.raises(ModelError) as caught:
        backend.rewrite(tmp_path / "prepared.tflite", {}, FLOAT16, tmp_path / "out.tflite")

    assert (caught.value.code, "65,504" in caught.value.message) == ("rewrite_invalid", True)


def test_activations_stay_as_they_are(tmp_path: Path) -> None:
    assert backend.float16_peaks(tmp_path) is None
