"""The two models of a case: a float one, and the same with a sabotage of known size after it.

Float's product has ones in its diagonal, so it says what it is fed: a case's data are what its float model says. The
second input, ``mark``, is above a half where the sabotage may strike; in the float model nothing comes of it.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper
from support.onnx_models import model, save, value
from verdicts.case import Array, FloatModel, Tamper

HALF = np.float32(0.5)
_LITTLE = 4
"""Bytes that int8 has of what only fills, so that its graph is the same."""


def write_models(
    folder: Path, shape: tuple[int, ...], float_model: FloatModel, tamper: Tamper | None, second: Tamper | None
) -> tuple[Path, Path]:
    """Write the float model and the one that takes int8's place.

    Args:
        folder: where the files go.
        shape: of a window, without its batch axis.
        float_model: what float is made of.
        tamper: of the first output.
        second: of the second output.
    """
    wanted = save(_built(shape, float_model, (None, None)), folder / "float.onnx")
    ballast, scratch = (min(filled, _LITTLE) for filled in (float_model.ballast, float_model.scratch))
    bare = replace(float_model, ballast=ballast, scratch=scratch)
    return wanted, save(_built(shape, bare, (tamper, second)), folder / "int8.onnx")


def _built(shape: tuple[int, ...], float_model: FloatModel, tampers: tuple[Tamper | None, Tamper | None]) -> Any:
    graph = _Graph()
    gain = float_model.gain if float_model.always is None else 0.0
    diagonal = np.broadcast_to(np.asarray(gain, np.float32), shape[-1:])
    said = graph.node("MatMul", "x", graph.constant(np.diag(diagonal)))
    if float_model.always is not None:
        always = np.broadcast_to(np.asarray(float_model.always, np.float32), (1, *shape))
        said = graph.node("Add", said, graph.constant(np.array(always)))
    marked = "mark"
    if float_model.nan_if_marked:
        marked = graph.node("Sqrt", graph.node("Sub", graph.constant(HALF), "mark"))
    nothing = graph.node("Mul", marked, graph.constant(np.zeros((1,) * (len(shape) + 1), np.float32)))
    said = graph.node("Add", said, nothing)
    for filler in _fillers(graph, float_model):
        none = graph.node("Mul", graph.node("ReduceMax", filler, keepdims=0), graph.constant(np.float32(0)))
        said = graph.node("Add", said, none)
    if float_model.last:
        said = graph.node(float_model.last, said)
    first = said if tampers[0] is None else graph.tampered(said, tampers[0])
    graph.node("Identity", first, output="y")
    outputs = [value("y", [1, *shape])]
    if float_model.second:
        other = said
        if float_model.second == "constant":
            other = graph.node("Add", graph.node("Mul", said, graph.constant(np.float32(0))), graph.constant(HALF))
        if tampers[1] is not None:
            other = graph.tampered(other, tampers[1])
        graph.node("Identity", other, output="other")
        outputs.append(value("other", [1, *shape]))
    inputs = [value("x", [1, *shape]), value("mark", [1] * (len(shape) + 1))]
    return model(graph.nodes, inputs, outputs, graph.constants)


def _fillers(graph: "_Graph", float_model: FloatModel) -> Iterator[str]:
    """What only fills file or memory; it hangs on an input, or a runtime would compute it once and drop it."""
    one = graph.node("ReduceMax", "mark", keepdims=0) if float_model.ballast or float_model.scratch else ""
    if float_model.ballast:
        weights = np.random.default_rng(0).random(float_model.ballast // 4, np.float32)
        yield graph.node("Mul", graph.constant(weights), one)
    if float_model.scratch:
        yield graph.node("Expand", one, graph.constant(np.array([float_model.scratch // 4], np.int64)))


class _Graph:
    """Nodes and constants, named as they come."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def constant(self, values: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: int) -> str:
        name = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], f"n{len(self.nodes)}", **attributes))
        return name

    def tampered(self, said: str, tamper: Tamper) -> str:
        floats = {key: np.asarray(getattr(tamper, key), np.float32) for key in ("factor", "offset", "step")}
        got = self.node("Mul", said, self.constant(floats["factor"]))
        got = self.node("Add", got, self.constant(floats["offset"]))
        if floats["step"].any():
            step = self.constant(floats["step"])
            got = self.node("Mul", self.node("Round", self.node("Div", got, step)), step)
        if not tamper.marked:
            return got
        return self.node("Where", self.node("Greater", "mark", self.constant(HALF)), got, said)
