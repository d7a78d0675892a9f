"""LSTMs become the runtime's own quantized LSTM. Where there is none they stay float amid int8, as GRU and RNN do."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from support import onnx_models as models
from support.jobs import make_job, run_stages
from support.results import read_results

from edge_agent import backends
from edge_agent.backends import CandidateSpec
from edge_agent.backends.onnx import recurrent
from edge_agent.errors import ModelError
from edge_agent.jobs.task import Stage
from edge_agent.wire.manifest import Gates, Recipe

BACKEND = backends.load("onnx")
STEPS, WIDTH, HIDDEN = 6, 20, 32
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def sequence_net(operator: str = "LSTM", *, head: bool = True, directions: int = 1, state: bool = False) -> Any:
    """``x`` [6, 1, 20] → a recurrent layer → its last state, maybe a Gemm → ``y``."""
    rows = GATES[operator] * HIDDEN
    given = ["x", "w", "r", "b", "", "h0", "c0"] if state else ["x", "w", "r", "b"]
    direction = "bidirectional" if directions > 1 else "forward"
    cell = helper.make_node(operator, given, ["", "h"], "cell", hidden_size=HIDDEN, direction=direction)
    flat = helper.make_node("Reshape", ["h", "shape"], ["flat" if head else "y"], "flat")
    nodes = [cell, flat]
    constants = {
        "w": models.weights(directions, rows, WIDTH, scale=0.2),
        "r": models.weights(directions, rows, HIDDEN, scale=0.2),
        "b": models.weights(directions, 2 * rows, scale=0.1),
        "shape": np.array([1, directions * HIDDEN]),
    }
    if state:
        constants |= {name: models.weights(directions, 1, HIDDEN, scale=0.3) for name in ("h0", "c0")}
    if head:
        nodes.append(helper.make_node("Gemm", ["flat", "v"], ["y"], "head"))
        constants["v"] = models.weights(directions * HIDDEN, 5)
    outputs = [models.value("y", [1, 5 if head else directions * HIDDEN])]
    return models.model(nodes, [models.value("x", [STEPS, 1, WIDTH])], outputs, constants)


def dynamic(built: Any, folder: Path, **spec: Any) -> tuple[list[str], float, float]:
    """The operators of the dynamic model, its SQNR, and its size as a part of float's."""
    original, prepared, out = (folder / name for name in ("m.onnx", "prepared.onnx", "int8.onnx"))
    BACKEND.prepare(models.save(built, original), prepared)
    BACKEND.rewrite(prepared, {}, CandidateSpec("dynamic", **spec), out)
    BACKEND.check(original, out)
    with pytest.raises(ModelError, match="already_quantized"):
        BACKEND.inspect(out)
    before, after = BACKEND.open(original), BACKEND.open(out)
    rows = models.rows(built, 30)
    wanted, got = (np.stack([one.run(feeds)[0] for feeds in rows]) for one in (before, after))
    sqnr_db = float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))
    return [node.op_type for node in onnx.load(out).graph.node], sqnr_db, out.stat().st_size / original.stat().st_size


@pytest.mark.parametrize("types", ["u8s8", "u8u8"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="with-head"),
        pytest.param({"head": False}, id="alone"),
        pytest.param({"directions": 2}, id="bidirectional"),
        pytest.param({"state": True}, id="initial-state"),
    ],
)
def test_an_lstm_is_the_runtimes_quantized_one(
    tmp_path: Path, settings: dict[str, Any], types: Any, *, per_channel: bool
) -> None:
    operators, sqnr_db, size = dynamic(sequence_net(**settings), tmp_path, types=types, per_channel=per_channel)

    assert "DynamicQuantizeLSTM" in operators
    assert "LSTM" not in operators
    assert sqnr_db > 25
    assert size < 0.45


@pytest.mark.parametrize("operator", ["GRU", "RNN"])
def test_what_has_no_quantized_form_stays_float_amid_int8(tmp_path: Path, operator: str) -> None:
    operators, sqnr_db, _ = dynamic(sequence_net(operator), tmp_path)

    assert {operator, "MatMulInteger"} <= set(operators)
    assert sqnr_db > 30


def test_an_lstm_that_is_named_stays_float(tmp_path: Path) -> None:
    operators, _, _ = dynamic(sequence_net(), tmp_path, float_layers=("cell",))

    assert {"LSTM", "MatMulInteger"} <= set(operators)


def test_an_lstm_stays_float_where_the_runtime_lacks_the_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: Any) -> None:
        raise ModelError("custom_operator", "no such operator")

    monkeypatch.setattr(recurrent, "create_session", none)
    recurrent.has_kernel.cache_clear()

    operators, _, _ = dynamic(sequence_net(), tmp_path)

    recurrent.has_kernel.cache_clear()
    assert {"LSTM", "MatMulInteger"} <= set(operators)


def test_a_scale_of_an_lstm_is_checked(tmp_path: Path) -> None:
    dynamic(sequence_net(), tmp_path)
    model = onnx.load(tmp_path / "int8.onnx")
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == "r_scale")
    scale.CopyFrom(onnx.numpy_helper.from_array(np.zeros_like(onnx.numpy_helper.to_array(scale)), "r_scale"))
    onnx.save(model, tmp_path / "int8.onnx")

    with pytest.raises(ModelError, match=r"rewrite_invalid.*'cell'.*scale"):
        BACKEND.check(tmp_path / "m.onnx", tmp_path / "int8.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("head", [True, False])
def test_the_search_tries_it(tmp_path: Path, *, head: bool) -> None:
    x = np.random.default_rng(0).normal(size=(200, STEPS, 1, WIDTH)).astype(np.float32)
    model = models.save(sequence_net(head=head), tmp_path / "float.onnx")
    job_dir = make_job(tmp_path, model, {"x": x}, gates=Gates(max_latency_ratio=0), recipe=Recipe(method="dynamic"))

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert (outcome.code, outcome.message) == ("", "")
    ran = [one for one in read_results(job_dir)["candidates"] if one.get("agreement")]
    assert ran
    assert all(one["size_bytes"] < 0.45 * model.stat().st_size for one in ran)


@pytest.mark.parametrize("operator", ["GRU", "RNN"])
def test_no_static_candidate_is_tried_where_nothing_but_a_recurrent_layer_has_weights(
    tmp_path: Path, operator: str
) -> None:
    job_dir = recurrent_job(tmp_path, operator, head=False)

    run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert {one["method"] for one in read_results(job_dir)["candidates"]} == {"uniform"}


@pytest.mark.parametrize("method", ["static", "dynamic"])
def test_a_method_without_a_form_of_any_layer_is_refused_with_the_layers_name(tmp_path: Path, method: Any) -> None:
    job_dir = recurrent_job(tmp_path, "GRU", head=False, recipe=Recipe(method=method))

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert outcome.code == "no_candidate"
    assert f"{method} int8" in outcome.message
    assert "GRU 'cell'" in outcome.message
    assert "'auto'" in outcome.message


def recurrent_job(folder: Path, operator: str, *, head: bool, **task: Any) -> Path:
    x = np.random.default_rng(0).normal(size=(200, STEPS, 1, WIDTH)).astype(np.float32)
    model = models.save(sequence_net(operator, head=head), folder / "float.onnx")
    return make_job(folder, model, {"x": x}, gates=Gates(max_latency_ratio=0), **task)
