"""Names in a model that meet those which a rewriting makes: models are called so by some exporters, and by people."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from support import onnx_models as models

from edge_agent import backends
from edge_agent.backends import CandidateSpec, Method, Range
from edge_agent.backends.onnx import rewriting
from edge_agent.backends.onnx.names import name_nodes, restore, set_apart
from edge_agent.errors import ModelError

BACKEND = backends.load("onnx")


def two_layers(first: str = "m", second: str = "k", weight: str = "v", source: str = "x", result: str = "y") -> Any:
    """``source`` [1, 8] → MatMul → Relu → Gemm → ``result``; nodes are called as the tensors that they give."""
    nodes = [
        helper.make_node("MatMul", [source, "w"], [first], first),
        helper.make_node("Relu", [first], [second], second),
        helper.make_node("Gemm", [second, weight, "c"], [result], result),
    ]
    constants = {"w": models.weights(8, 16), weight: models.weights(16, 4, seed=1), "c": models.weights(4, scale=0.1)}
    return models.model(nodes, [models.value(source, [1, 8])], [models.value(result, [1, 4])], constants)


def sqnr_db(built: Any, folder: Path, method: Method) -> float:
    original, prepared, out = (folder / name for name in ("m.onnx", "prepared.onnx", "int8.onnx"))
    BACKEND.prepare(models.save(built, original), prepared)
    rows = models.rows(built, 30)
    tap, ranges = BACKEND.tap(prepared), dict[str, Range]()
    for name, value in (seen for feeds in rows for seen in tap.run(feeds)):
        known = ranges.get(name, Range(0.0, 0.0))
        ranges[name] = Range(min(known.low, float(value.min())), max(known.high, float(value.max())))
    BACKEND.rewrite(prepared, ranges, CandidateSpec(method, "minmax" if method == "static" else ""), out)
    BACKEND.check(original, out)
    before, after = BACKEND.open(original), BACKEND.open(out)
    wanted, got = (np.stack([one.run(feeds)[0] for feeds in rows]) for one in (before, after))
    return float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))


@pytest.mark.parametrize("method", ["static", "dynamic", "uniform"])
@pytest.mark.parametrize(
    "names",
    [
        pytest.param({}, id="nodes-as-their-tensors"),
        pytest.param({"second": "x_scale"}, id="scale"),
        pytest.param({"first": "x_QuantizeLinear_Output", "second": "x_DequantizeLinear_Output"}, id="pair"),
        pytest.param({"weight": "w_quantized"}, id="weight"),
        pytest.param({"weight": "w_zero_point", "first": "w_scale_1"}, id="grid"),
        pytest.param({"source": "w_scale", "result": "w_quantized"}, id="input-and-output"),
        pytest.param({"result": "w_zero_point", "first": "made/w_zero_point"}, id="twice"),
        pytest.param({"weight": "w_int8", "first": "w_blocks", "second": "v_rows"}, id="stored"),
    ],
)
def test_a_name_that_is_taken_is_no_obstacle(tmp_path: Path, names: dict[str, str], method: Method) -> None:
    assert sqnr_db(two_layers(**names), tmp_path, method) > 25


def test_names_that_are_alone_stay() -> None:
    built = two_layers(first="norm_scale")

    assert set_apart(built) == {}
    assert built.graph.node[0].output[0] == "norm_scale"


def test_the_graphs_inside_are_renamed_too() -> None:
    inner = helper.make_graph(
        [helper.make_node("Add", ["x_scale", "x"], ["sum"], "add")], "then", [], [models.value("sum", [1, 8])], []
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["x_scale"], "relu"),
        helper.make_node("If", ["flag"], ["y"], "if", then_branch=inner, else_branch=inner),
    ]
    inputs = [models.value("x", [1, 8]), models.value("flag", [1], onnx.TensorProto.BOOL)]
    built = models.model(nodes, inputs, [models.value("y", [1, 8])], {})

    apart = set_apart(built)
    restore(built, apart)

    onnx.checker.check_model(built, full_check=True)
    assert apart == {"x_scale": "own/x_scale"}
    assert built.graph.node[1].attribute[0].g.node[0].input[0] == "own/x_scale"


def test_nodes_get_names_of_their_own() -> None:
    nodes = [helper.make_node("Relu", ["x"], [f"y{number}"], name) for number, name in enumerate(("a", "", "a", "a"))]

    name_nodes(nodes)

    assert [node.name for node in nodes] == ["a", "Relu_y1", "a_2", "a_3"]


def test_what_the_quantizer_fails_on_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "set_apart", lambda _: {})  # its own fault with such names

    with pytest.raises(ModelError, match="quantizer fails at node 'y' at tensor 'x_scale': KeyError") as caught:
        sqnr_db(two_layers(second="x_scale"), tmp_path, "static")
    assert caught.value.code == "rewrite_invalid"
