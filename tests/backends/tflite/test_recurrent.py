"""Recurrent layers, fused and as a loop: int8 weights where a method needs no ranges, float amid int8 elsewhere."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import tflite_models as models
from support.jobs import make_job, run_stages
from support.results import read_results
from support.tflite_rig import RUNTIMES, Rig

from edge_agent.backends import CandidateSpec, Method
from edge_agent.backends import tflite as backend
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.graph import called_graphs
from edge_agent.backends.tflite.operators import LSTM
from edge_agent.backends.tflite.reading import Graph, read_model
from edge_agent.errors import ModelError
from edge_agent.jobs.task import Stage
from edge_agent.wire.manifest import Gates, Recipe

WIDTH, CELLS, STEPS = 24, 64, 6


def lstm_net(*, head: bool = True, coupled: bool = False, projected: bool = False) -> bytes:
    """``x`` [1, 6, 24] → LSTM of 64 cells → maybe dense → ``y``.

    ``coupled``: without weights of an input gate, which is 1 less the forget gate.
    """
    net = models.Net()
    x = net.input("x", (1, STEPS, WIDTH))
    given = 16 if projected else CELLS
    gates = [net.constant(f"i{k}", models.weights(CELLS, WIDTH, seed=k)) for k in range(4)]
    back = [net.constant(f"r{k}", models.weights(CELLS, given, seed=k, scale=0.1)) for k in range(4)]
    biases = [net.constant(f"b{k}", models.weights(CELLS, seed=k, scale=0.1)) for k in range(4)]
    for part in (gates, back, biases):
        part[0] = -1 if coupled else part[0]
    state = [net.tensor("h", (1, given)), net.tensor("c", (1, CELLS))]
    for index in state:
        net.graph.tensors[index].isVariable = True
    projection = net.constant("p", models.weights(16, CELLS)) if projected else -1
    inputs = [x, *gates, *back, -1, -1, -1, *biases, projection, -1, *state, -1, -1, -1, -1]
    hidden = net.node(
        LSTM, inputs, "lstm", (1, STEPS, given), "UnidirectionalSequenceLSTMOptions",
        fusedActivationFunction=models.fb.ActivationFunctionType.TANH, timeMajor=False,
    )  # fmt: skip
    if not head:
        return net.build(hidden)
    last = net.constant("w", models.weights(40, given)), net.constant("b", models.weights(40, scale=0.1))
    return net.build(
        net.node("FULLY_CONNECTED", [hidden, *last], "y", (1, STEPS, 40), "FullyConnectedOptions", keepNumDims=True)
    )


def spec(method: Method, **more: Any) -> CandidateSpec:
    return CandidateSpec(method, "minmax" if method == "static" else "", types="s8s8", per_channel=False, **more)


def int8_weights(path: Path, operator: str = LSTM) -> int:
    """How many int8 constants operators of a type read, or read by way of a DEQUANTIZE."""

    def of(graph: Graph) -> int:
        made = {one.outputs[0]: one.inputs[0] for one in graph.operators if one.name == "DEQUANTIZE"}
        read = {made.get(index, index) for one in graph.operators if one.name == operator for index in one.inputs}
        found = (graph.tensors[index] for index in read if index >= 0)
        return sum(one.constant and one.type == schema.INT8 for one in found)

    return sum(of(graph) for graph in read_model(path).graphs)


@RUNTIMES
@pytest.mark.parametrize("method", ["dynamic", "uniform"])
@pytest.mark.parametrize(
    ("build", "weights"),
    [
        pytest.param(lstm_net, 8, id="with-head"),
        pytest.param(partial(lstm_net, head=False), 8, id="alone"),
        pytest.param(partial(lstm_net, coupled=True), 6, id="coupled-gates"),
        pytest.param(partial(lstm_net, projected=True), 9, id="projected"),
    ],
)
def test_an_lstm_has_int8_weights(
    tmp_path: Path, build: Callable[[], bytes], weights: int, method: Method, runtime: str
) -> None:
    rig = Rig(tmp_path, build)

    assert rig.sqnr_db(spec(method), runtime) > 30
    assert int8_weights(rig.out) == weights
    assert rig.out.stat().st_size < 0.45 * rig.original.stat().st_size


@RUNTIMES
@pytest.mark.parametrize("build", [lstm_net, partial(lstm_net, projected=True), models.looping_net])
def test_a_recurrent_layer_has_16_bit_weights(tmp_path: Path, build: Callable[[], bytes], runtime: str) -> None:
    rig = Rig(tmp_path, build)

    assert rig.sqnr_db(CandidateSpec("float16"), runtime) > 50
    assert rig.out.stat().st_size < 0.7 * rig.original.stat().st_size


@RUNTIMES
def test_it_stays_float_amid_static_int8_and_where_it_is_named(tmp_path: Path, runtime: str) -> None:
    rig = Rig(tmp_path, lstm_net)

    assert rig.sqnr_db(spec("static"), runtime) > 25
    assert int8_weights(rig.out) == 0
    assert rig.sqnr_db(spec("dynamic", float_layers=("lstm",)), runtime) > 25
    assert int8_weights(rig.out) == 0


@RUNTIMES
@pytest.mark.parametrize("method", ["dynamic", "uniform"])
@pytest.mark.parametrize(("build", "layers"), [(models.looping_net, 2), (models.branching_net, 2)])
def test_layers_of_graphs_that_are_called_have_int8_weights(
    tmp_path: Path, build: Callable[[], bytes], layers: int, method: Method, runtime: str
) -> None:
    rig = Rig(tmp_path, build)

    assert rig.sqnr_db(spec(method), runtime) > 30
    assert int8_weights(rig.out, "FULLY_CONNECTED") == layers


def test_what_other_signatures_run_is_left_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.two_signatures_net)

    assert called_graphs(read_model(rig.prepared)) == []


def test_a_layer_of_a_called_graph_that_is_named_stays_float(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.looping_net)

    rig.rewrite(spec("dynamic", float_layers=("kept",)))

    assert int8_weights(rig.out, "FULLY_CONNECTED") == 1


@pytest.mark.slow
@pytest.mark.parametrize("build", [partial(lstm_net, head=False), models.looping_net])
def test_a_model_of_nothing_else_is_searched_without_static_candidates(
    tmp_path: Path, build: Callable[[], bytes]
) -> None:
    job_dir = recurrent_job(tmp_path, build)

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert (outcome.code, outcome.message) == ("", "")
    assert {one["method"] for one in read_results(job_dir)["candidates"]} == {"dynamic", "uniform"}


@pytest.mark.parametrize(("build", "name"), [(partial(lstm_net, head=False), "lstm"), (models.looping_net, "WHILE")])
def test_a_static_recipe_is_refused_with_the_layers_name(tmp_path: Path, build: Callable[[], bytes], name: str) -> None:
    job_dir = recurrent_job(tmp_path, build, recipe=Recipe(method="static"))

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert outcome.code == "no_candidate"
    assert name in outcome.message


def recurrent_job(folder: Path, build: Callable[[], bytes], **task: Any) -> Path:
    model = models.save(build(), folder / "m.tflite")
    shape = [size or 1 for size in backend.inspect(model).inputs[0].shape]
    x = np.random.default_rng(0).normal(size=(200, *shape)).astype(np.float32)
    return make_job(folder, model, {"x": x}, gates=Gates(max_latency_ratio=0), **task)


def constant_net() -> bytes:
    """``x`` [1, 32] → dense → what is not below a constant → dense → ``y``."""
    net = models.Net()
    w, b = net.constant("w", models.weights(64, 32)), net.constant("b", models.weights(64, scale=0.1))
    hidden = net.dense(net.input("x", (1, 32)), "hidden", w, b, (1, 64))
    floor = net.constant("floor", np.where(np.arange(64) < 60, -np.inf, 0.0).astype(np.float32).reshape(1, 64))
    cut = net.node("MAXIMUM", [hidden, floor], "cut", (1, 64), "MaximumMinimumOptions")
    last = net.constant("v", models.weights(16, 64)), net.constant("c", models.weights(16, scale=0.1))
    return net.build(net.dense(cut, "y", *last, (1, 16)))


def test_what_reads_a_constant_that_is_not_finite_stays_float(tmp_path: Path) -> None:
    """Calibration sees nothing of it: the output is finite all the same."""
    rig = Rig(tmp_path, constant_net)
    assert "cut" not in {layer.name for layer in backend.layers(rig.prepared)}

    assert rig.sqnr_db(spec("static")) > 25
    assert int8_weights(rig.out, "FULLY_CONNECTED") == 2


@pytest.mark.parametrize("method", ["static", "dynamic", "uniform"])
def test_a_weight_that_is_not_finite_stays_float(tmp_path: Path, method: Method) -> None:
    def build() -> bytes:
        net = models.Net()
        broken = models.weights(16, 64)
        broken[3, 5] = np.inf
        x = net.input("x", (1, 32))
        w, b = net.constant("w", models.weights(64, 32)), net.constant("b", models.weights(64, scale=0.1))
        hidden = net.dense(x, "hidden", w, b, (1, 64), act=models.RELU6)
        wide = net.constant("v", broken), net.constant("c", models.weights(16, scale=0.1))
        tanh = net.node("TANH", [net.dense(hidden, "wide", *wide, (1, 16))], "tanh", (1, 16))
        return net.build(tanh)

    rig = Rig(tmp_path, build)
    rig.rewrite(spec(method, float_layers=("tanh",)))  # whose input calibration finds not finite

    assert int8_weights(rig.out, "FULLY_CONNECTED") == 1


@pytest.mark.parametrize("method", ["static", "dynamic"])
def test_a_layer_whose_bias_is_computed_stays_float_amid_int8(tmp_path: Path, method: Method) -> None:
    def build() -> bytes:
        net = models.Net()
        w, b = net.constant("w", models.weights(64, 32)), net.constant("b", models.weights(64, scale=0.1))
        hidden = net.dense(net.input("x", (1, 32)), "hidden", w, b, (1, 64))
        last = net.constant("v", models.weights(16, 64)), net.input("bias", (16,))
        return net.build(net.dense(hidden, "y", *last, (1, 16)))

    rig = Rig(tmp_path, build)

    assert rig.sqnr_db(spec(method)) > 25
    assert int8_weights(rig.out, "FULLY_CONNECTED") == 1


def test_nothing_but_a_computed_bias_is_said_so(tmp_path: Path) -> None:
    def build() -> bytes:
        net = models.Net()
        x, bias = net.input("x", (1, 4)), net.input("bias", (3,))
        return net.build(net.dense(x, "y", net.constant("w", models.weights(3, 4)), bias, (1, 3)))

    rig = Rig(tmp_path, build)

    with pytest.raises(ModelError, match=r"no layer would be int8.*FULLY_CONNECTED 'y'"):
        backend.rewrite(rig.prepared, rig.ranges, spec("static"), rig.out)
    assert rig.sqnr_db(CandidateSpec("uniform")) > 30
