"""Windows counted class by class: by what float gives, and only where it is right if the windows have labels."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from support import onnx_models
from support.jobs import make_job, run_stages

from edge_agent.backends import onnx as backend
from edge_agent.jobs.task import Stage, read_task
from edge_agent.wire.manifest import Output
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.search.score import Score
from edge_agent.worker.search.scoring import ReferenceOutputs

CLASSES = 3
EACH = 20
GIVEN = np.repeat(np.arange(CLASSES), EACH)
"""What float gives to each window."""
NEXT_CLASS = np.eye(CLASSES)[[1, 2, 0]]


def classifier(path: Path, scores: NDArray[Any]) -> Path:
    """The rows of ``scores`` are what it answers to each class."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [onnx_models.value("x", [1, CLASSES])], [onnx_models.value("y", [1, CLASSES])]
    return onnx_models.save(onnx_models.model([node], *ends, {"w": scores.astype(np.float32)}), path)


def scored(folder: Path, int8: NDArray[Any], labels: NDArray[np.intp] | None) -> Score:
    seen = {"x": np.eye(CLASSES, dtype=np.float32)[GIVEN]}
    heldout = seen if labels is None else seen | {"labels": labels}
    output = Output(kind="classes")
    job_dir = make_job(folder, classifier(folder / "m.onnx", np.eye(CLASSES)), seen, heldout, output=output)
    assert run_stages(job_dir, Stage.CAPTURE).code == ""
    context = Context(job_dir, folder, read_task(job_dir), Stage.VALIDATE, lambda *_: None)
    data = open_dataset(context, backend.inspect(context.model_path))
    with ReferenceOutputs(backend, context.model_path, data, "heldout", context.task, folder / "float.bin") as floats:
        floats.run(lambda _: None, runtime="")
        judge = floats.judge(floats.meaning(output, None))
        return floats.score(classifier(folder / "int8.onnx", int8), judge, lambda _: None, runtime="")


def test_without_labels_a_class_has_the_windows_that_float_gives_it(tmp_path: Path) -> None:
    lost = np.eye(CLASSES)
    lost[2] = lost[0]

    assert scored(tmp_path, lost, None).classes.counts == {0: (EACH, EACH), 1: (EACH, EACH), 2: (EACH, 0)}


def test_what_int8_has_right_by_luck_does_not_make_up_for_what_it_has_lost(tmp_path: Path) -> None:
    """int8 is always one class off; of each class it has right as many windows as float, but other ones."""
    labels = GIVEN.copy()
    labels[::2] = (GIVEN[::2] + 1) % CLASSES

    score = scored(tmp_path, NEXT_CLASS, labels)

    assert score.correct.count((True, False)) == score.correct.count((False, True)) == GIVEN.size // 2
    assert score.classes.counts == dict.fromkeys(range(CLASSES), (EACH // 2, 0))


def test_what_is_kept_of_a_window_is_how_near_it_came_to_another_class_and_not_how_far_its_output_moved(
    tmp_path: Path,
) -> None:
    """int8 scales class 0 a hundredfold and all but mixes up class 1."""
    score = scored(tmp_path, np.array([[100.0, 0, 0], [0, 1.0, 0.9], [0, 0, 1.0]]), None)

    far, near, same = np.array(score.nearness).reshape(CLASSES, EACH)[:, 0]
    assert near == max(far, near, same)
    assert far == min(far, near, same)
