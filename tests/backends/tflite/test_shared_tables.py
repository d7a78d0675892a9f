"""A weight that several operators read is written once by every method, also where one of them reads rows of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import tflite_models as models
from support.tflite_rig import RUNTIMES, Rig

from edge_agent.backends import CandidateSpec
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.reading import read_model

ROWS, WIDTH, IDS = 160, 96, 4
SPECS = [
    CandidateSpec("static", "minmax", types="s8s8"),
    CandidateSpec("dynamic", types="s8s8"),
    CandidateSpec("uniform", types="s8s8"),
]


def tied(reader: str, *, batched: bool = False) -> bytes:
    """A language model in small: one table reads the ids and gives the scores ``y``."""
    net = models.Net()
    shape = (1, IDS) if batched else (IDS,)
    ids = net.input("ids", shape, "int32")
    table = net.constant("table", models.weights(ROWS, WIDTH, scale=1.0))
    if reader == "GATHER":
        rows = net.node("GATHER", [table, ids], "e", (*shape, WIDTH), "GatherOptions", axis=0, batchDims=0)
    else:
        rows = net.node("EMBEDDING_LOOKUP", [ids, table], "e", (*shape, WIDTH))
    if batched:
        rows = net.reshape(rows, "flat", (IDS, WIDTH))
    mix = net.constant("w", models.weights(WIDTH, WIDTH)), net.constant("b", models.weights(WIDTH, scale=0.1))
    hidden = net.dense(rows, "h", *mix, (IDS, WIDTH), act=models.RELU)
    return net.build(net.dense(hidden, "y", table, net.constant("c", models.weights(ROWS, scale=0.1)), (IDS, ROWS)))


def unrolled() -> bytes:
    """Six layers of one matrix, the last by a tensor of its own over the same bytes."""
    net = models.Net()
    x = net.input("x", (1, 96))
    w, b = net.constant("w", models.weights(96, 96)), net.constant("b", models.weights(96, scale=0.1))
    for step in range(5):
        x = net.dense(x, f"h{step}", w, b, (1, 96), act=models.RELU)
    again = net.tensor("again", (96, 96))
    net.graph.tensors[again].buffer = net.graph.tensors[w].buffer
    return net.build(net.dense(x, "y", again, b, (1, 96)))


@RUNTIMES
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    ("build", "weights"),
    [
        pytest.param(lambda: tied("GATHER"), 2, id="gather"),
        pytest.param(lambda: tied("GATHER", batched=True), 2, id="gather-batched"),
        pytest.param(lambda: tied("EMBEDDING_LOOKUP"), 2, id="lookup"),
        pytest.param(unrolled, 1, id="unrolled"),
    ],
)
def test_each_weight_is_written_once(
    tmp_path: Path, build: Callable[[], bytes], weights: int, spec: CandidateSpec, runtime: str
) -> None:
    rig = Rig(tmp_path, build)
    per_channel = runtime == "ai-edge-litert"  # the other has no scales per channel under float activations

    assert rig.sqnr_db(replace(spec, per_channel=per_channel), runtime) > 25

    integers, floats = stored(rig.out)
    assert (len(integers), floats) == (weights, set())


@pytest.mark.parametrize("spec", SPECS)
def test_a_table_stays_float_with_the_layer_that_shares_it(tmp_path: Path, spec: CandidateSpec) -> None:
    rig = Rig(tmp_path, lambda: tied("GATHER"))

    rig.rewrite(replace(spec, float_layers=("y",)))

    integers, floats = stored(rig.out)
    assert (len(integers), len(floats)) == (1, 1)


def stored(path: Path) -> tuple[set[range], set[range]]:
    """Where the matrices of a file lie: those of integers of a byte, and those of floats."""
    tensors = [one for one in read_model(path).main.tensors if one.constant and np.prod(one.shape) > 1000]
    kinds = (schema.INT8, schema.FLOAT32)
    integers, floats = ({one.data for one in tensors if one.type == kind} for kind in kinds)
    return integers, floats
