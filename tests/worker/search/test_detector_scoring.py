"""A detector's head through a real scoring: what it is found to be, and what a head that int8 has killed comes to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from support import onnx_models
from support.jobs import make_job, run_stages

from edge_agent.backends import onnx as backend
from edge_agent.jobs.task import Stage, read_task
from edge_agent.quant.detection.kept import with_detections
from edge_agent.quant.gates import evaluate_heldout
from edge_agent.wire.manifest import Gates, Output
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.search.score import Score
from edge_agent.worker.search.scoring import ReferenceOutputs

SIDE, CLASSES = 8, 2
CELLS = SIDE * SIDE
ROWS = 100
SEPARATE = Output(kind="detection_head", boxes="boxes", scores="scores")


def detector(path: Path, *, gain: float, separate: bool = False) -> Path:
    """``x`` [1, cells]: how much is to be seen in each; boxes of 20 pixels. Its classes take turns."""
    y, x = np.mgrid[:SIDE, :SIDE].reshape(2, -1) * 16.0 + 8
    boxes = np.stack([x, y, np.full(CELLS, 20.0), np.full(CELLS, 20.0)])[None]
    of_class = np.stack([np.diag(np.arange(CELLS) % CLASSES == number) for number in range(CLASSES)])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
        helper.make_node("Reshape", ["probabilities", "shape"], ["by_class"]),
        helper.make_node("Mul", ["places", "one"], ["moved"]),
    ]
    shapes: dict[str, list[int]] = {"output0": [1, 4 + CLASSES, CELLS]}
    if separate:
        nodes += [helper.make_node("Transpose", ["by_class"], ["scores"], perm=[0, 2, 1])]
        nodes += [helper.make_node("Transpose", ["moved"], ["boxes"], perm=[0, 2, 1])]
        shapes = {"boxes": [1, CELLS, 4], "scores": [1, CELLS, CLASSES]}
    else:
        nodes += [helper.make_node("Concat", ["moved", "by_class"], ["output0"], axis=1)]
    constants: dict[str, NDArray[Any]] = {
        "w": (np.concatenate(list(of_class), axis=1) * gain).astype(np.float32),
        "bias": np.full(CLASSES * CELLS, -6, np.float32),
        "shape": np.array([1, CLASSES, CELLS]),
        "places": boxes.astype(np.float32),
        "one": np.ones((1, 1, 1), np.float32),
    }
    outputs = [onnx_models.value(name, shape) for name, shape in shapes.items()]
    return onnx_models.save(onnx_models.model(nodes, [onnx_models.value("x", [1, CELLS])], outputs, constants), path)


def windows(share: float) -> NDArray[np.float32]:
    """In ``share`` of them there are two things to be seen."""
    random = np.random.default_rng(0)
    seen = random.uniform(0, 0.1, (ROWS, CELLS)).astype(np.float32)
    for row in range(round(share * ROWS)):
        seen[row, random.choice(CELLS, 2, replace=False)] = 1.0
    return seen


def scored(folder: Path, share: float, *, gain: float, separate: bool = False) -> tuple[str, Score]:
    """The kind that was found, and a copy with another ``gain`` against float."""
    output = SEPARATE if separate else Output()
    path = detector(folder / "m.onnx", gain=10, separate=separate)
    job_dir = make_job(folder, path, {"x": windows(share)}, {"x": windows(share)}, output=output)
    assert run_stages(job_dir, Stage.CAPTURE).code == ""
    target = detector(folder / "int8.onnx", gain=gain, separate=separate)
    context = Context(job_dir, folder, read_task(job_dir), Stage.VALIDATE, lambda *_: None)
    data = open_dataset(context, backend.inspect(context.model_path))
    with ReferenceOutputs(backend, context.model_path, data, "heldout", context.task, folder / "float.bin") as floats:
        floats.run(lambda _: None, runtime="")
        judge = floats.judge(floats.meaning(output, None))
        judge.check_coverage()
        return judge.meaning.kind, floats.score(target, judge, lambda _: None, runtime="")


@pytest.mark.parametrize("separate", [False, True])
def test_a_head_that_is_hardly_off_keeps_every_box(tmp_path: Path, *, separate: bool) -> None:
    kind, score = scored(tmp_path, 0.8, gain=9.9, separate=separate)

    assert kind == "detection_head"
    assert score.disagreements == 0
    assert score.detections is not None
    assert (score.detections.reference, score.detections.recall, score.detections.precision) == (160, 1.0, 1.0)
    assert len(score.outputs(Gates())) == 1, "boxes and scores are judged together"


@pytest.mark.parametrize("separate", [False, True])
def test_a_head_without_scores_is_refused_though_most_windows_are_empty(tmp_path: Path, *, separate: bool) -> None:
    """Nothing is to be seen in 98 of 100 windows, so 98 agree, and the boxes are right to the last digit."""
    kind, score = scored(tmp_path, 0.02, gain=0.0, separate=separate)

    judgement = evaluate_heldout(Gates(min_agreement=0.9), "detection_head", score.measured(size_ratio=0.5))
    assert (kind, score.disagreements, judgement.passed) == ("detection_head", 2, True)
    refused = with_detections(judgement, score.detections)
    assert refused.code == "detections_lost"
    assert refused.message == "int8 finds 0 of the 4 boxes that float finds; at least 80 % are needed"
