"""Switches against the real thing: the int8 model that the runtime runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import tflite_models as models
from support.tflite_rig import Rig

from edge_agent.backends import CandidateSpec
from edge_agent.backends import tflite as backend
from edge_agent.errors import StageError

STATIC = CandidateSpec("static", "minmax", types="s8s8")
NETS = [
    models.conv_net,
    models.mlp,
    models.activations_net,
    models.two_inputs,
    models.attention_net,
    models.upsampling_net,
    models.batch_net,
]


def simulated(rig: Rig, floats: tuple[str, ...] = (), spec: CandidateSpec = STATIC) -> list[NDArray[Any]]:
    """What the switches say for these layers left float."""
    switches = backend.switches(rig.prepared, rig.ranges, spec)
    rounded = {place for place, wanted in switches.needed_by.items() if set(wanted) - set(floats)}
    return [switches.run(row, rounded)[0] for row in rig.rows]


def int8(rig: Rig, floats: tuple[str, ...] = (), spec: CandidateSpec = STATIC) -> list[NDArray[Any]]:
    return rig.outputs(rig.rewrite(replace(spec, float_layers=floats)))


@pytest.mark.parametrize("build", [*NETS, models.lstm_net, models.branching_net])
def test_with_every_switch_off_it_is_float(tmp_path: Path, build: Callable[[], bytes]) -> None:
    rig = Rig(tmp_path, build)
    every = tuple(layer.name for layer in backend.layers(rig.prepared))

    assert rig.noise(simulated(rig, every)) < 1e-10


@pytest.mark.parametrize("spec", [STATIC, replace(STATIC, per_channel=False), replace(STATIC, operators=("CONV_2D",))])
@pytest.mark.parametrize("floats", [(), ("deep",), ("stem", "sum"), ("logits", "y")])
def test_it_errs_like_the_int8_model_with_these_layers_float(
    tmp_path: Path, floats: tuple[str, ...], spec: CandidateSpec
) -> None:
    rig = Rig(tmp_path, models.conv_net, count=32)
    real = int8(rig, floats, spec)

    assert rig.noise(real) > 1e-7
    assert rig.noise(simulated(rig, floats, spec)) == pytest.approx(rig.noise(real), rel=0.3)


@pytest.mark.parametrize("build", [*NETS, models.lstm_net, models.branching_net])
def test_it_errs_like_the_int8_model(tmp_path: Path, build: Callable[[], bytes]) -> None:
    rig = Rig(tmp_path, build, count=48)

    assert rig.noise(simulated(rig)) == pytest.approx(rig.noise(int8(rig)), rel=0.4)


def test_a_broken_layer_is_told_by_its_weights(tmp_path: Path) -> None:
    def fragile() -> bytes:
        net = models.Net()
        x = net.input("x", (1, 12))
        w = models.weights(64, 12)
        w[0] = 0
        w[0, 0] = 4000.0  # one weight of a unit that the next layer ignores: a grid for all of them is lost
        hidden = net.dense(
            x, "hidden", net.constant("w1", w), net.constant("b1", models.weights(64, scale=0.1)), (1, 64), act=0
        )
        low = net.node("TANH", [hidden], "tanh", (1, 64))
        v = models.weights(5, 64)
        v[:, 0] = 0
        return net.build(net.dense(low, "y", net.constant("w2", v), net.constant("b2", models.weights(5)), (1, 5)))

    rig = Rig(tmp_path, fragile)
    spec = replace(STATIC, per_channel=False)

    assert rig.noise(int8(rig, (), spec)) > 0.1
    assert rig.noise(simulated(rig, (), spec)) > 0.1
    assert rig.noise(simulated(rig, ("y", "tanh"), spec)) > 0.1
    assert rig.noise(simulated(rig, ("hidden", "tanh"), spec)) < 0.001


def test_places_are_told_once_with_all_that_want_them(tmp_path: Path) -> None:
    needed_by = backend.switches(Rig(tmp_path, models.conv_net).prepared, Rig(tmp_path, models.conv_net).ranges, STATIC)

    places = {place: set(wanted) for place, wanted in needed_by.needed_by.items()}
    assert places["x"] == {"stem"}
    assert places["stem"] == {"stem", "deep", "side"}
    assert places["sum"] == {"sum", "pool"}
    assert places["pool"] == {"pool", "flat", "logits"}
    assert "flat" not in places
    assert places["w2"] == {"deep"}


def test_one_place_alone_can_be_rounded(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)
    switches = backend.switches(rig.prepared, rig.ranges, STATIC)

    noise = {place: rig.noise(switches.run(row, {place})[0] for row in rig.rows) for place in switches.needed_by}

    assert all(0 < one < 1e-2 for one in noise.values())
    together = rig.noise(switches.run(row, set(noise))[0] for row in rig.rows)
    assert sum(noise.values()) == pytest.approx(together, rel=0.5)


def test_a_prescribed_grid_is_the_runtimes(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)
    switches = backend.switches(rig.prepared, rig.ranges, STATIC)

    (y,) = switches.run(rig.rows[0], {"y"})

    np.testing.assert_allclose(y * 256, np.rint(y * 256), atol=1e-4)


def test_a_tensor_without_a_range_is_an_error(tmp_path: Path) -> None:
    rig = Rig(tmp_path, models.conv_net)

    with pytest.raises(StageError, match="has no range"):
        backend.switches(rig.prepared, {}, STATIC)
