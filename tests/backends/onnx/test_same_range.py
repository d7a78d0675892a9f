"""Tensors that calibration need not look at: what only an activation reads, and what an operator only moves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support import onnx_models as models
from support.onnx_models import value, weights

from edge_agent import backends
from edge_agent.backends import CandidateSpec, Range
from edge_agent.backends.onnx.graph import Graph

BACKEND = backends.load("onnx")


def convs(nodes: Sequence[Any], outputs: Sequence[str]) -> Any:
    """``x`` [1, 4, 8, 8] → conv → ``c``, and what ``nodes`` make of it; all of one shape."""
    conv = helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1] * 4)
    shape = [1, 4, 8, 8]
    built = models.model(
        [conv, *nodes],
        [value("x", shape)],
        [value(name, shape) for name in outputs],
        {"w": weights(4, 4, 3, 3)}
        | {name: np.array(number, np.float32) for name, number in {"zero": 0, "one": 1, "six": 6, "minus": -1}.items()},
    )
    return onnx.shape_inference.infer_shapes(built)


def relu(name: str = "c", output: str = "y") -> Any:
    return helper.make_node("Relu", [name], [output], f"relu-{output}")


@pytest.mark.parametrize(
    ("nodes", "outputs", "same"),
    [
        ([relu()], ["y"], {"c": "y"}),
        ([helper.make_node("Clip", ["c", "zero", "six"], ["y"], "clip")], ["y"], {"c": "y"}),
        ([helper.make_node("Clip", ["c", "", "six"], ["y"], "clip")], ["y"], {"c": "y"}),
        ([helper.make_node("Clip", ["c", "one", "six"], ["y"], "clip")], ["y"], {}),
        ([helper.make_node("Clip", ["c", "", "minus"], ["y"], "clip")], ["y"], {}),
        ([relu()], ["y", "c"], {}),
        ([relu(), helper.make_node("Add", ["c", "y"], ["z"], "add")], ["z"], {}),
        ([relu(output="r"), relu("r")], ["y"], {"c": "y", "r": "y"}),
        ([relu("x")], ["y"], {}),
        ([helper.make_node("Sigmoid", ["c"], ["y"], "sigmoid")], ["y"], {}),
        ([helper.make_node("Transpose", ["c"], ["y"], "t", perm=[0, 1, 3, 2])], ["y"], {"y": "c"}),
        ([helper.make_node("Transpose", ["c"], ["t"], "t", perm=[0, 1, 3, 2]), relu("t")], ["y"], {"t": "y"}),
        ([relu(output="r"), helper.make_node("Transpose", ["r"], ["y"], "t")], ["y"], {"c": "r", "y": "r"}),
        ([helper.make_node("MaxPool", ["c"], ["y"], "pool", kernel_shape=[1, 1])], ["y"], {}),
    ],
)  # fmt: skip
def test_which_tensors_have_the_range_of_another(nodes: list[Any], outputs: list[str], same: dict[str, str]) -> None:
    assert Graph(convs(nodes, outputs)).same_ranges() == same


def test_what_a_graph_inside_reads_is_looked_at() -> None:
    """A branch may read any tensor around it without naming it as an input."""

    def choice(node: Any, output: str) -> Any:
        branch = helper.make_graph([node], f"branch-{output}", [], [value(node.output[0], [1, 4, 8, 8])])
        return helper.make_node("If", ["yes"], [output], f"either-{output}", then_branch=branch, else_branch=branch)

    inner = choice(helper.make_node("Neg", ["c"], ["n"], "neg"), "m")
    built = convs([relu(), choice(inner, "z")], ["y", "z"])
    built.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))

    assert Graph(built).same_ranges() == {}


class Observed:
    """A prepared net, and the minmax ranges of its tensors: all looked at, and as calibration does it."""

    def __init__(self, built: Any, folder: Path) -> None:
        self.folder = folder
        self.prepared = folder / "prepared.onnx"
        BACKEND.prepare(models.save(built, folder / "m.onnx"), self.prepared)
        tap = BACKEND.tap(self.prepared)
        self.own: dict[str, Range] = {}
        for feeds in models.rows(built, 40):
            for name, array in tap.run(feeds):
                known = self.own.get(name, Range(0.0, 0.0))
                self.own[name] = Range(min(known.low, float(array.min())), max(known.high, float(array.max())))
        self.shared = {name: self.own[tap.same_range.get(name, name)] for name in self.own}
        self.heldout = models.rows(built, 40, seed=1, spread=0.8)

    def rewrite(self, ranges: dict[str, Range], **spec: Any) -> Path:
        out = self.folder / "int8.onnx"
        BACKEND.rewrite(self.prepared, ranges, CandidateSpec("static", "minmax", **spec), out)
        return out

    def error(self, ranges: dict[str, Range], **spec: Any) -> float:
        reference, target = BACKEND.open(self.prepared), BACKEND.open(self.rewrite(ranges, **spec))
        return float(sum(np.square(reference.run(one)[0] - target.run(one)[0]).sum() for one in self.heldout))


@pytest.mark.parametrize("operators", [(), BACKEND.core_operators()])
def test_the_int8_model_is_the_same_as_if_all_had_been_looked_at(tmp_path: Path, operators: tuple[str, ...]) -> None:
    net = Observed(models.separable_net(), tmp_path)

    assert net.own != net.shared
    assert (
        net.rewrite(net.own, operators=operators).read_bytes()
        == net.rewrite(net.shared, operators=operators).read_bytes()
    )


def test_where_the_activation_stays_float_its_range_loses_less(tmp_path: Path) -> None:
    """Then the tensor before it is on a grid of its own, of which the activation would throw half away."""
    net = Observed(models.conv_net(), tmp_path)
    kept = {"float_layers": tuple(one.name for one in BACKEND.layers(net.prepared) if one.operator == "Relu")}

    assert len(kept["float_layers"]) == 2
    assert net.error(net.shared, **kept) < net.error(net.own, **kept)
