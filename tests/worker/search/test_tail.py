"""What follows the last layers with weights: found in a graph, and left float first where int8 would lose it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import onnx_models, tflite_models
from support.detectors import LAYOUTS, asked, onnx_detector, pictures, save, tflite_detector
from support.jobs import make_job, run_stages
from support.results import told
from support.speeds import latency, prove, screened_at

from edge_agent.backends import Backend, Flow, Layer, Node, Range, load
from edge_agent.jobs.task import Stage
from edge_agent.wire.detection_head import HeadLayout
from edge_agent.wire.manifest import Gates, Output, Recipe
from edge_agent.worker.artefacts import read_chosen, read_ranges
from edge_agent.worker.measure.latency import Decision
from edge_agent.worker.search import screening
from edge_agent.worker.search.tail import NO_TAIL, Tail, float_tail, tail_nodes

DECODING = ("boxes_conv_flat", "in_pixels", "placed", "scores_conv_flat", "sigmoid", "y")
"""Of the ONNX detector: what can be quantized behind the last convolutions."""
ALIKE, UNLIKE = {"a": Range(0, 5.0), "b": Range(-1.0, 0.6)}, {"a": Range(0, 300.0), "b": Range(0, 1.0)}


def chain(*weights: float, joins: bool = False) -> list[Node]:
    """Nodes ``0``, ``1`` … that read one another; the last one also reads ``a`` and ``b``."""
    nodes = [Node(str(n), [f"t{n}"], [f"t{n + 1}"], count) for n, count in enumerate(weights)]
    last = nodes[-1]
    return [*nodes[:-1], last._replace(inputs=[*last.inputs, "a", "b"], joins=joins)]


def names(nodes: list[Node]) -> list[str]:
    return [node.name for node in tail_nodes(nodes)]


def test_the_tail_begins_behind_the_last_weights() -> None:
    assert names(chain(10, 0, 10, 0, 0)) == ["3", "4"]
    assert names(chain(10, 0, 10)) == []


def test_a_layer_with_next_to_no_weights_only_decodes() -> None:
    assert names(chain(1e6, 0, 16, 0)) == ["1", "2", "3"]
    assert names(chain(1e4, 0, 16, 0)) == ["3"]


def test_a_branch_that_comes_back_to_a_layer_is_before_it() -> None:
    nodes = [
        Node("layer", ["x"], ["a"], 10),
        Node("gate", ["a"], ["g"]),
        Node("product", ["a", "g"], ["p"]),
        Node("last", ["p"], ["y"], 10),
        Node("also", ["a"], ["z"]),
        Node("end", ["y"], ["out"]),
    ]

    assert names(nodes) == ["also", "end"]


def test_weights_in_a_graph_of_its_own_end_a_tail_and_a_model_without_has_none() -> None:
    assert names(chain(10, 0, float("inf"), 0)) == ["3"]
    assert names(chain(float("inf"), 0)) == ["1"]
    assert names(chain(0, 0)) == []


@pytest.mark.parametrize(
    ("kind", "ranges", "joins", "wanted"),
    [
        ("detection_head", {}, False, True),
        ("detection", ALIKE, True, True),
        ("raw", UNLIKE, True, True),
        ("raw", UNLIKE, False, False),
        ("raw", ALIKE, True, False),
        ("classes", {"a": Range(0, 300.0), "b": Range(0, 0)}, True, False),
        ("classes", {}, True, False),
    ],
)
def test_detectors_and_what_joins_unlike_scales_start_with_a_float_tail(
    kind: str, ranges: Mapping[str, Range], *, joins: bool, wanted: bool
) -> None:
    layers = [Layer("0", "Conv", ("t0",), ("t1",)), Layer("2", "Concat", ("t2", "a", "b"), ("y",))]

    found = float_tail(Flow(chain(10, 0, 0, joins=joins), ["t3"]), layers, ["raw", kind], [0], ranges)

    assert found == (Tail(("2",), frozenset({"Conv"})) if wanted else NO_TAIL)


def test_a_model_that_is_all_tail_has_none() -> None:
    layers = [Layer("1", "Sigmoid", ("t1",), ("t2",))]

    assert float_tail(Flow(chain(10, 0), ["t2"]), layers, ["detection_head"], [0], {}) == NO_TAIL


def test_what_another_output_joins_is_no_reason() -> None:
    """As the state of a recurrent model, which is carried and not judged."""
    flow = Flow([Node("0", ["t0"], ["t1"], 10), Node("2", ["a", "b", "t1"], ["state"], joins=True)], ["t1", "state"])
    layers = [Layer("0", "Conv", ("t0",), ("t1",)), Layer("2", "Concat", ("a", "b"), ("state",))]

    assert float_tail(flow, layers, ["binary"], [0], UNLIKE) == NO_TAIL
    assert float_tail(flow, layers, ["raw"], [1], UNLIKE).layers == ("2",)


def prepared(built: Any, folder: Path) -> tuple[Backend, Path]:
    path = save(built, folder)
    backend, out = load(path.suffix[1:]), folder / f"prepared{path.suffix}"
    backend.prepare(path, out)
    return backend, out


def tail_of(built: Any, folder: Path) -> list[str]:
    backend, path = prepared(built, folder)
    named = {layer.name for layer in backend.layers(path)}
    return [node.name for node in tail_nodes(backend.flow(path).nodes) if node.name in named]


def test_the_tail_of_a_detector_is_its_decoding(tmp_path: Path) -> None:
    assert sorted(tail_of(onnx_detector(), tmp_path)) == sorted(DECODING)  # two branches have no order of their own
    assert tail_of(tflite_detector(), tmp_path) == ["boxes/flat", "scores/flat", "in_pixels", "placed", "sigmoid", "y"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_its_decoding_behind_the_last_convolutions(layout: HeadLayout, tmp_path: Path) -> None:
    backend, path = prepared(onnx_detector(layout), tmp_path)
    tail = tail_of(onnx_detector(layout), tmp_path)

    assert not [name for name in tail if "conv" in name and "flat" not in name]
    behind = {name for node in tail_nodes(backend.flow(path).nodes) for name in node.outputs}
    assert {spec.name for spec in backend.inspect(path).outputs} <= behind


def test_the_tail_of_a_classifier_is_its_softmax_and_layers_in_a_loop_or_branch_count(tmp_path: Path) -> None:
    backend, path = prepared(tflite_models.branching_net(), tmp_path)

    assert tail_of(tflite_models.lstm_net(), tmp_path) == []
    assert tail_nodes(backend.flow(path).nodes) == []
    assert all("softmax" in name.lower() or name == "y" for name in tail_of(onnx_models.conv_net(), tmp_path))


FORMATS = pytest.mark.parametrize("built", [onnx_detector, tflite_detector], ids=["onnx", "tflite"])


@FORMATS
def test_joining_unlike_scales_shows_in_the_ranges_of_a_real_calibration(built: Any, tmp_path: Path) -> None:
    path = save(built(), tmp_path)
    job_dir = make_job(tmp_path, path, {"x": pictures(path, 120)}, output=Output(kind="raw"))
    run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE)
    backend, ready = load(path.suffix[1:]), job_dir / "calibrate" / f"prepared{path.suffix}"
    ranges = read_ranges(job_dir / "calibrate").of("minmax")

    assert float_tail(backend.flow(ready), backend.layers(ready), ["raw"], [0], ranges).layers
    assert not float_tail(backend.flow(ready), backend.layers(ready), ["raw"], [0], {}).layers


@pytest.mark.children(covered=False)
@pytest.mark.parametrize(
    ("built", "layout"),
    [
        pytest.param(onnx_detector, "yolov8", id="onnx"),
        pytest.param(tflite_detector, "yolov8_rows", id="tflite"),
        pytest.param(partial(onnx_detector, "yolov5"), "yolov5", id="yolov5", marks=pytest.mark.slow),
        pytest.param(partial(onnx_detector, "end_to_end"), "end_to_end", id="end_to_end", marks=pytest.mark.slow),
        pytest.param(partial(onnx_detector, "ssd"), "ssd", id="ssd", marks=pytest.mark.slow),
        pytest.param(partial(onnx_detector, "detr"), "detr", id="detr", marks=pytest.mark.slow),
    ],
)
def test_a_detector_is_tried_with_a_float_tail_first_and_keeps_its_boxes(
    built: Any, layout: HeadLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(monkeypatch, lambda *_, **__: latency(Decision.ACCEPTED))
    monkeypatch.setattr(screening, "screen", screened_at(0.5))  # no start is faster than another
    path = save(built(), tmp_path)
    job_dir = make_job(
        tmp_path, path, {"x": pictures(path, 600)}, output=asked(layout),
        recipe=Recipe(method="static", calibration="mse", search_budget_s=600),
        gates=Gates(max_latency_ratio=0, max_size_ratio=0),
    )  # fmt: skip

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    records = told(outcome)["candidates"]
    tail = set(records[0]["float_layers"])
    assert {"y", "boxes", "scores"} & tail
    assert tail <= set(read_chosen(job_dir / "quantize").spec.float_layers)
    verdict = run_stages(job_dir, Stage.VALIDATE)
    assert verdict.code == ""
    assert told(verdict)["data"]["detections"]["recall"] > 0.95
    if layout in ("yolov8", "yolov8_rows", "yolov5", "end_to_end"):  # boxes in pixels beside scores
        plain = [one for one in records if one["operators"] == "all" and not one["float_layers"]]
        assert plain
        assert all(one["code"] in ("agreement_too_low", "detections_lost") for one in plain if one["windows"])


def test_a_classifier_is_searched_as_before(tmp_path: Path) -> None:
    backend, path = prepared(onnx_models.conv_net(), tmp_path)
    values = {name: Range(-1.0, float(np.random.default_rng(0).uniform(1, 5))) for name in "abc"}

    assert float_tail(backend.flow(path), backend.layers(path), ["classes"], [0], values) == NO_TAIL
