"""Layers inside If and Loop have int8 weights, where a method needs to know nothing of their activations."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import onnx_models as models
from support.jobs import make_job, run_stages
from support.results import read_results

from edge_agent import backends
from edge_agent.backends import CandidateSpec, Method, Range
from edge_agent.backends.onnx.graph import with_inner
from edge_agent.backends.onnx.inner import hoist_weights
from edge_agent.errors import ModelError
from edge_agent.jobs.task import Stage
from edge_agent.wire.manifest import Gates

BACKEND = backends.load("onnx")
STEPS, WIDTH, HIDDEN = 5, 20, 48


def branch(name: str, seed: int, *, stored: bool) -> Any:
    """LSTM → its last state → Gemm, all in one branch; its weights are initializers of it or Constant nodes."""
    weights = {
        f"{name}_w": models.weights(1, 4 * HIDDEN, WIDTH, seed=seed, scale=0.2),
        f"{name}_r": models.weights(1, 4 * HIDDEN, HIDDEN, seed=seed, scale=0.1),
        f"{name}_v": models.weights(8, HIDDEN, seed=seed),
    }
    tensors = [numpy_helper.from_array(value, key) for key, value in weights.items()]
    shape = numpy_helper.from_array(np.array([1, HIDDEN]), f"{name}_shape")
    constants = [helper.make_node("Constant", [], [one.name], one.name, value=one) for one in tensors]
    nodes = [
        helper.make_node("LSTM", ["x", *list(weights)[:2]], ["", f"{name}_h"], f"{name}_cell", hidden_size=HIDDEN),
        helper.make_node("Reshape", [f"{name}_h", shape.name], [f"{name}_flat"], f"{name}_reshape"),
        helper.make_node("Gemm", [f"{name}_flat", f"{name}_v"], [f"{name}_y"], f"{name}_head", transB=1),
    ]
    made = [*([] if stored else constants), *nodes]
    return helper.make_graph(made, name, [], [models.value(f"{name}_y", [1, 8])], [shape, *(tensors if stored else [])])


def two_rates(*, stored: bool = True) -> Any:
    """A detector for two rates: ``x`` [5, 1, 20] and ``rate`` → If → ``y`` [1, 8]; no layer is outside of it."""
    nodes = [
        helper.make_node("Equal", ["rate", "known"], ["is"], "equal"),
        helper.make_node(
            "If", ["is"], ["y"], "choose",
            then_branch=branch("a", 0, stored=stored), else_branch=branch("b", 1, stored=stored),
        ),
    ]  # fmt: skip
    inputs = [models.value("x", [STEPS, 1, WIDTH]), models.value("rate", [], models.INT64)]
    return models.model(nodes, inputs, [models.value("y", [1, 8])], {"known": np.array(16000)})


def feeds(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    rates = (16000, 8000)
    shape = (STEPS, 1, WIDTH)
    return [{"x": rng.normal(size=shape).astype(np.float32), "rate": np.array(rates[row % 2])} for row in range(count)]


def rewritten(folder: Path, built: Any, method: Method, **spec: Any) -> tuple[Any, float, float]:
    """The int8 model, its SQNR over both branches, and its size as a part of float's."""
    original, prepared, out = (folder / name for name in ("m.onnx", "prepared.onnx", "int8.onnx"))
    BACKEND.prepare(models.save(built, original), prepared)
    BACKEND.rewrite(prepared, {}, CandidateSpec(method, **spec), out)
    BACKEND.check(original, out)
    before, after, rows = BACKEND.open(original), BACKEND.open(out), feeds(30)
    wanted, got = (np.stack([one.run(row)[0] for row in rows]) for one in (before, after))
    sqnr_db = float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))
    return onnx.load(out), sqnr_db, out.stat().st_size / original.stat().st_size


def integers(model: Any) -> int:
    """How many matrices of integers are stored."""
    return sum(
        one.data_type in (TensorProto.INT8, TensorProto.UINT8) and len(one.dims) > 1 for one in model.graph.initializer
    )


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("stored", [True, False])
def test_weights_inside_are_stored_in_int8(tmp_path: Path, *, stored: bool, per_channel: bool) -> None:
    model, sqnr_db, size = rewritten(tmp_path, two_rates(stored=stored), "uniform", per_channel=per_channel)

    assert integers(model) == 6
    assert sqnr_db > 30
    assert size < 0.4


@pytest.mark.parametrize("per_channel", [True, False])
def test_an_lstm_inside_is_the_runtimes_quantized_one(tmp_path: Path, *, per_channel: bool) -> None:
    model, sqnr_db, size = rewritten(tmp_path, two_rates(), "dynamic", per_channel=per_channel)

    assert [node.op_type for node in with_inner(model.graph.node)].count("DynamicQuantizeLSTM") == 2
    assert sqnr_db > 20
    assert size < 0.5


@pytest.mark.parametrize("method", ["dynamic", "uniform"])
def test_what_is_named_stays_float(tmp_path: Path, method: Method) -> None:
    model, _, _ = rewritten(tmp_path, two_rates(), method, float_layers=("a_cell",), per_channel=False)

    assert integers(model) == (2 if method == "dynamic" else 4)


def test_static_int8_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no layer would be int8.*LSTM 'a_cell'"):
        rewritten(tmp_path, two_rates(), "static", calibration="minmax")


def captured() -> Any:
    """A layer whose Relu is read beside the next layer by a branch: ``x`` [1, 32] → ``y`` [1, 8]."""
    again = helper.make_graph(
        [helper.make_node("MatMul", ["seen", "v"], ["a"])],
        "again", [], [models.value("a", [1, 8])], [numpy_helper.from_array(models.weights(8, 64).T, "v")],
    )  # fmt: skip
    same = helper.make_graph([helper.make_node("Identity", ["k"], ["b"])], "same", [], [models.value("b", [1, 8])])
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"], "first", transB=1),
        helper.make_node("Relu", ["h"], ["seen"], "relu"),
        helper.make_node("Gemm", ["seen", "u"], ["k"], "second", transB=1),
        helper.make_node("ReduceSum", ["x"], ["sum"], "sum", keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["is"], "greater"),
        helper.make_node("If", ["is"], ["y"], "choose", then_branch=again, else_branch=same),
    ]
    constants = {"w": models.weights(64, 32), "u": models.weights(8, 64), "zero": np.zeros((), np.float32)}
    return models.model(nodes, [models.value("x", [1, 32])], [models.value("y", [1, 8])], constants)


def test_what_a_branch_reads_of_an_activation_is_cut_there_too(tmp_path: Path) -> None:
    """The quantizer leaves out a Relu that a grid replaces; it gave the branch what is before."""
    built = captured()
    original, prepared, out = (tmp_path / name for name in ("m.onnx", "prepared.onnx", "int8.onnx"))
    BACKEND.prepare(models.save(built, original), prepared)
    tap, rows, ranges = BACKEND.tap(prepared), models.rows(built, 40), dict[str, Range]()
    for row in rows:
        for name, value in tap.run(row):
            known = ranges.get(name, Range(0.0, 0.0))
            ranges[name] = Range(min(known.low, float(value.min())), max(known.high, float(value.max())))
    ranges |= {name: ranges[other] for name, other in tap.same_range.items()}

    BACKEND.rewrite(prepared, ranges, CandidateSpec("static", "minmax"), out)

    wanted, got = (np.stack([BACKEND.open(path).run(row)[0] for row in rows]) for path in (original, out))
    assert 10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()) > 25


def test_moving_weights_changes_nothing(tmp_path: Path) -> None:
    for stored in (True, False):
        built = two_rates(stored=stored)
        before = BACKEND.open(models.save(built, tmp_path / "before.onnx"))
        names = [tensor.name for tensor in built.graph.initializer]

        hoist_weights(built)

        onnx.checker.check_model(built, full_check=True)
        after = BACKEND.open(models.save(built, tmp_path / "after.onnx"))
        assert len(built.graph.initializer) == len(names) + 6
        for row in feeds(6):
            np.testing.assert_array_equal(before.run(row)[0], after.run(row)[0])


@pytest.mark.slow
def test_a_model_of_nothing_else_ends_with_a_candidate(tmp_path: Path) -> None:
    rows = feeds(200)
    arrays = {name: np.stack([row[name] for row in rows]) for name in ("x", "rate")}
    job_dir = make_job(
        tmp_path, models.save(two_rates(), tmp_path / "m.onnx"), arrays, gates=Gates(max_latency_ratio=0)
    )

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert (outcome.code, outcome.message) == ("", "")
    assert {one["method"] for one in read_results(job_dir)["candidates"]} == {"dynamic", "uniform"}
