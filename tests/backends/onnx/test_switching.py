"""Switches against the real thing: the int8 model that onnxruntime runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from support.fragile import BROKEN, write_fragile
from support.onnx_models import conv_net, model, save, value, weights
from support.trained import windows, write_classifier

from edge_agent.backends import CandidateSpec, Range
from edge_agent.backends import onnx as backend
from edge_agent.backends.onnx.arithmetic import saturates
from edge_agent.calibration.observer import Observer
from edge_agent.errors import StageError

STATIC = CandidateSpec("static", "minmax", types="u8u8" if saturates() else "u8s8")
"""In integers that this processor adds up exactly: switches know of roundings only."""


def calibrated(prepared: Path, rows: list[NDArray[np.float32]]) -> dict[str, Range]:
    tap = backend.tap(prepared)
    observer = Observer(tap.names)
    for row in rows:
        for name, found in tap.run({"x": row}):
            observer.add(name, found)
    return observer.ranges(observer.histograms, ["minmax"], symmetric=False)["minmax"]


class Rig:
    """A prepared model, its ranges and a few rows."""

    def __init__(self, folder: Path, path: Path, rows: list[NDArray[np.float32]]) -> None:
        self.prepared, self.rows, self.folder = folder / "prepared.onnx", rows, folder
        backend.prepare(path, self.prepared)
        self.ranges = calibrated(self.prepared, rows)
        self.reference = self.outputs(self.prepared)

    def outputs(self, path: Path) -> NDArray[np.float32]:
        session = backend.open(path)
        return np.stack([session.run({"x": row})[0] for row in self.rows])

    def int8(self, spec: CandidateSpec = STATIC) -> NDArray[np.float32]:
        path = self.folder / "int8.onnx"
        backend.rewrite(self.prepared, self.ranges, spec, path)
        return self.outputs(path)

    def simulated(self, floats: tuple[str, ...] = (), spec: CandidateSpec = STATIC) -> NDArray[np.float32]:
        """What the switches say for these layers left float."""
        switches = backend.switches(self.prepared, self.ranges, spec)
        rounded = {place for place, wanted in switches.needed_by.items() if set(wanted) - set(floats)}
        return np.stack([switches.run({"x": row}, rounded)[0] for row in self.rows])

    def noise(self, outputs: NDArray[np.float32]) -> float:
        return float(np.sum((outputs - self.reference) ** 2) / np.sum(self.reference**2))


@pytest.fixture
def net(tmp_path: Path) -> Rig:
    rows = list(np.random.default_rng(1).normal(size=(12, 1, 3, 16, 16)).astype(np.float32))
    return Rig(tmp_path, save(conv_net(), tmp_path / "m.onnx"), rows)


@pytest.fixture
def fragile(tmp_path: Path) -> Rig:
    return Rig(tmp_path, write_fragile(tmp_path / "m.onnx"), list(windows(24, seed=3)[0][:, None]))


def test_with_every_switch_off_it_is_float(net: Rig) -> None:
    every = tuple(layer.name for layer in backend.layers(net.prepared))

    assert net.noise(net.simulated(every)) < 1e-10


@pytest.mark.parametrize("floats", [(), ("conv2",), ("gemm",), ("conv1", "conv2")])
@pytest.mark.parametrize("spec", [STATIC, CandidateSpec("static", "minmax", per_channel=False, types="u8u8")])
def test_it_errs_like_the_int8_model_with_these_layers_float(
    net: Rig, floats: tuple[str, ...], spec: CandidateSpec
) -> None:
    int8 = net.int8(replace(spec, float_layers=floats))

    simulated = net.simulated(floats, spec)

    assert net.noise(int8) > 1e-7
    assert net.noise(simulated) == pytest.approx(net.noise(int8), rel=0.3)


DYNAMIC = CandidateSpec("dynamic", types="u8u8" if saturates() else "u8s8")


@pytest.mark.parametrize("floats", [(), ("dense1",), ("dense2",)])
def test_roundings_of_activations_as_they_come_are_told_like_the_int8_model(
    tmp_path: Path, floats: tuple[str, ...]
) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], "dense1"),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("MatMul", ["r", "w2"], ["b"], "dense2"),
        helper.make_node("Mul", ["b", "x"], ["y"], "gate"),
    ]
    built = model(
        nodes, [value("x", [3, 16])], [value("y", [3, 16])], {"w1": weights(16, 64), "w2": weights(64, 16, seed=1)}
    )
    rows = list(np.random.default_rng(1).normal(size=(24, 3, 16)).astype(np.float32))
    rig = Rig(tmp_path, save(built, tmp_path / "m.onnx"), rows)

    needed_by = backend.switches(rig.prepared, {}, DYNAMIC).needed_by
    int8 = rig.int8(replace(DYNAMIC, float_layers=floats))

    assert set(needed_by) == {"x", "r", "w1", "w2"}
    assert rig.noise(int8) > 1e-7
    assert rig.noise(rig.simulated(floats, DYNAMIC)) == pytest.approx(rig.noise(int8), rel=0.3)
    assert rig.noise(rig.simulated(("dense1", "dense2"), DYNAMIC)) < 1e-10  # the gate reads what was not rounded


def test_a_folded_activation_and_a_pooling_have_no_rounding_of_their_own(net: Rig) -> None:
    needed_by = backend.switches(net.prepared, net.ranges, STATIC).needed_by

    assert "c1" not in needed_by
    assert needed_by["r1"] == ("conv1", "conv2")
    assert "f" not in needed_by
    assert set(needed_by["p"]) == {"pool", "gemm"}


def test_the_broken_layer_is_told_by_its_weights(fragile: Rig) -> None:
    assert fragile.noise(fragile.int8()) > 0.1

    assert fragile.noise(fragile.simulated()) == pytest.approx(fragile.noise(fragile.int8()), rel=0.1)
    assert fragile.noise(fragile.simulated((BROKEN,))) < 0.001
    assert fragile.noise(fragile.simulated(("conv", "hidden"))) > 0.1


def test_float_is_the_same_function_with_the_dead_unit(fragile: Rig, tmp_path: Path) -> None:
    labels = windows(24, seed=3)[1]
    whole = fragile.outputs(write_classifier(tmp_path / "whole.onnx"))

    assert np.mean(fragile.reference[:, 0].argmax(axis=1) == labels) == pytest.approx(
        np.mean(whole[:, 0].argmax(axis=1) == labels), abs=0.1
    )


def test_a_model_input_that_two_layers_read_is_switched_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w1"], ["a"], "left"),
        helper.make_node("Gemm", ["x", "w2"], ["b"], "right"),
        helper.make_node("Add", ["a", "b"], ["y"], "sum"),
    ]
    built = model(nodes, [value("x", [1, 4])], [value("y", [1, 3])], {"w1": weights(4, 3), "w2": weights(4, 3, seed=1)})
    rows = list(np.random.default_rng(1).normal(size=(8, 1, 4)).astype(np.float32))
    rig = Rig(tmp_path, save(built, tmp_path / "m.onnx"), rows)

    needed_by = backend.switches(rig.prepared, rig.ranges, STATIC).needed_by

    assert set(needed_by["x"]) == {"left", "right"}
    assert rig.noise(rig.simulated()) == pytest.approx(rig.noise(rig.int8()), rel=0.5)
    assert rig.noise(rig.simulated(("left", "right", "sum"))) < 1e-10


def test_an_activation_of_what_is_given_as_well_stays_float(tmp_path: Path) -> None:
    """The quantizer would give what it reads its own range, and so cut an output of the model."""
    nodes = [helper.make_node("Gemm", ["x", "w"], ["c"], "gemm"), helper.make_node("Relu", ["c"], ["y"], "relu")]
    outputs = [value("c", [1, 3]), value("y", [1, 3])]
    built = model(nodes, [value("x", [1, 64])], outputs, {"w": weights(64, 3)})
    rows = list(np.random.default_rng(1).normal(size=(40, 1, 64)).astype(np.float32))
    rig = Rig(tmp_path, save(built, tmp_path / "m.onnx"), rows)

    needed_by = backend.switches(rig.prepared, rig.ranges, STATIC).needed_by

    assert set(needed_by) == {"x", "w", "c"}
    assert rig.noise(rig.simulated()) == pytest.approx(rig.noise(rig.int8()), rel=0.05)
    assert rig.noise(rig.int8()) < 1e-3


def test_a_tensor_without_a_range_is_an_error(net: Rig) -> None:
    with pytest.raises(StageError, match="has no range"):
        backend.switches(net.prepared, {}, STATIC)
