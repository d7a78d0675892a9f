"""Models with a tensor inside that no int8 grid can stand for: what is beside it stays float, by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from support import onnx_models as models
from support.jobs import make_job, run_stages
from support.results import read_results

from edge_agent import backends
from edge_agent.backends import CandidateSpec
from edge_agent.jobs.task import Stage
from edge_agent.wire.manifest import Gates
from edge_agent.worker.artefacts import prepared_path, read_ranges

TOKENS, WIDTH = 8, 16
CAUSAL = np.triu(np.ones((TOKENS, TOKENS), bool), 1)
INF = float("inf")
BACKEND = backends.load("onnx")


def attention(*masking: Any, **constants: Any) -> Any:
    """``x`` [n, 8, 16] → self-attention, its ``scores`` made ``masked`` by the nodes ``masking`` → ``y`` [n, 4]."""
    nodes = [
        helper.make_node("MatMul", ["x", "wq"], ["q"], "query"),
        helper.make_node("MatMul", ["x", "wk"], ["k"], "key"),
        helper.make_node("Transpose", ["k"], ["kt"], "turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"], "scores"),
        *masking,
        helper.make_node("Softmax", ["masked"], ["weights"], "softmax", axis=-1),
        helper.make_node("MatMul", ["weights", "x"], ["mixed"], "mix"),
        helper.make_node("Flatten", ["mixed"], ["flat"], "flat"),
        helper.make_node("Gemm", ["flat", "w", "b"], ["y"], "head", transB=1),
    ]
    constants |= {
        "wq": models.weights(WIDTH, WIDTH, scale=0.2),
        "wk": models.weights(WIDTH, WIDTH, seed=1, scale=0.2),
        "w": models.weights(4, TOKENS * WIDTH),
        "b": models.weights(4, scale=0.1),
    }
    x, y = models.value("x", ["n", TOKENS, WIDTH]), models.value("y", ["n", 4])
    return models.model(nodes, [x], [y], constants)


def added(value: float) -> Any:
    mask = np.where(CAUSAL, np.float32(value), np.float32(0))
    return attention(helper.make_node("Add", ["scores", "mask"], ["masked"], "add"), mask=mask)


def chosen_where(value: float) -> Any:
    node = helper.make_node("Where", ["causal", "value", "scores"], ["masked"], "choose")
    return attention(node, causal=CAUSAL, value=np.float32(value).reshape(()))


def logarithm() -> Any:
    """The mask is computed: log(0) is minus infinity."""
    nodes = (
        helper.make_node("ReduceSum", ["scores", "none"], ["sum"], "sum", noop_with_empty_axes=0),
        helper.make_node("Mul", ["sum", "zero"], ["zeros"], "zeros"),
        helper.make_node("Add", ["zeros", "open"], ["opened"], "opened"),
        helper.make_node("Log", ["opened"], ["mask"], "log"),
        helper.make_node("Add", ["scores", "mask"], ["masked"], "add"),
    )
    zero = np.float32(0).reshape(1)
    return attention(*nodes, open=(~CAUSAL).astype(np.float32), zero=zero, none=np.zeros(0, np.int64))


def nan_that_is_mended() -> Any:
    nodes = (
        helper.make_node("Sub", ["scores", "scores"], ["nothing"], "nothing"),
        helper.make_node("Div", ["nothing", "nothing"], ["nans"], "nans"),
        helper.make_node("Concat", ["scores", "nans"], ["both"], "both", axis=0),
        helper.make_node("Split", ["both"], ["masked", "rest"], "apart", axis=0),
    )
    return attention(*nodes)


def empty_part() -> Any:
    """A slice that passes by the whole axis, as exporters write for a shape that is known only later."""
    nodes = (
        helper.make_node("Slice", ["scores", "start", "end", "axes"], ["none"], "slice"),
        helper.make_node("Concat", ["none", "scores"], ["masked"], "join", axis=1),
    )
    start, end, axes = (np.array([number], np.int64) for number in (TOKENS, 100, 1))
    return attention(*nodes, start=start, end=end, axes=axes)


def job(folder: Path, built: Any, **task: Any) -> tuple[Path, Any]:
    arrays = {"x": np.random.default_rng(0).normal(0, 1, (200, TOKENS, WIDTH)).astype(np.float32)}
    return make_job(folder, models.save(built, folder / "float.onnx"), arrays, **task), arrays["x"]


@pytest.mark.parametrize(
    ("built", "names", "layers"),
    [
        pytest.param(added(-INF), ("masked",), {"softmax"}, id="minus-infinity-added"),
        pytest.param(chosen_where(-INF), ("masked",), {"softmax"}, id="minus-infinity-chosen"),
        pytest.param(added(-1e4), ("masked", "near -1.0"), {"add", "softmax"}, id="ten-thousand"),
        pytest.param(chosen_where(-1e9), ("masked", "-1e+09"), {"choose", "softmax"}, id="milliard"),
        pytest.param(added(float(np.finfo(np.float32).min)), ("masked",), {"add", "softmax"}, id="lowest-float"),
        pytest.param(logarithm(), ("mask",), {"add", "softmax"}, id="computed"),
        pytest.param(nan_that_is_mended(), ("nans",), {"both", "apart"}, id="nan"),
        pytest.param(empty_part(), ("none", "no elements"), {"slice", "join"}, id="no-elements"),
    ],
)
def test_what_is_beside_it_stays_float_and_the_rest_is_int8(
    tmp_path: Path, built: Any, names: tuple[str, ...], layers: set[str]
) -> None:
    job_dir, x = job(tmp_path, built)

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE)

    assert (outcome.code, outcome.message) == ("", "")
    warning = next(text for text in read_results(job_dir)["data"]["warnings"] if "float (" in text)
    assert all(name in warning for name in names)
    found = read_ranges(job_dir / "calibrate")
    assert set(found.float_layers) == layers
    for method in found.ranges:
        assert sqnr_db(job_dir, found.bounded(CandidateSpec("static", method)), found.of(method), x) > 10


def sqnr_db(job_dir: Path, spec: CandidateSpec, ranges: Any, x: Any) -> float:
    """What a candidate makes of these windows."""
    original, out = job_dir.parent / "float.onnx", job_dir / "int8.onnx"
    BACKEND.rewrite(prepared_path(job_dir / "calibrate", ".onnx"), ranges, spec, out)
    assert BACKEND.check(original, out)["int8_weights"] >= 2  # of query, key and head
    before, after = BACKEND.open(original), BACKEND.open(out)
    wanted, got = (np.stack([one.run({"x": row[None]})[0] for row in x]) for one in (before, after))
    return float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))


@pytest.mark.slow
def test_the_search_ends_with_a_candidate(tmp_path: Path) -> None:
    job_dir, _ = job(tmp_path, added(-INF), gates=Gates(max_latency_ratio=0, max_size_ratio=0))

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert (outcome.code, outcome.message) == ("", "")
    told = read_results(job_dir)
    assert "masked" not in {layer["tensor"] for layer in told["layers"]}


def test_an_output_that_is_not_finite_is_blamed_by_name(tmp_path: Path) -> None:
    job_dir, _ = job(tmp_path, chosen_where(INF))

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE)

    assert outcome.code == "non_finite"
    assert "output 'y'" in outcome.message


def test_a_mask_that_calibration_never_meets_is_not_rounded(tmp_path: Path) -> None:
    """A constant without a range stands for itself: the quantizer would give it an infinite scale."""
    built = attention(
        helper.make_node("ReduceMax", ["x"], ["largest"], "largest", keepdims=1, axes=[2]),
        helper.make_node("Greater", ["largest", "never"], ["hidden"], "hidden"),
        helper.make_node("Where", ["hidden", "value", "scores"], ["masked"], "choose"),
        never=np.float32(1e6).reshape(()),
        value=np.float32(-INF).reshape(()),
    )
    job_dir, x = job(tmp_path, built)

    run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE)

    found = read_ranges(job_dir / "calibrate")
    assert found.float_layers == []
    assert sqnr_db(job_dir, CandidateSpec("static", "minmax"), found.of("minmax"), x) > 10
