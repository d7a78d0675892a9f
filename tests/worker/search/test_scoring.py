"""Windows counted class by class: by what float gives, and only where it is right if the windows have labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from support import onnx_models
from support.jobs import NO_PROOF, make_job, run_stages

from edge_agent.backends import onnx as backend
from edge_agent.jobs.task import Stage, read_task
from edge_agent.wire.manifest import Output, State
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
    job_dir = make_job(
        folder, classifier(folder / "m.onnx", np.eye(CLASSES)), seen, heldout, output=output, gates=NO_PROOF
    )
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


def opened(folder: Path, arrays: dict[str, Any], model: Path | None = None, **task: Any) -> ReferenceOutputs:
    """The search set of rows that are calibration rows, too, with float's outputs."""
    path = model or classifier(folder / "m.onnx", np.eye(CLASSES))
    job_dir = make_job(folder, path, arrays, arrays, **task)
    assert run_stages(job_dir, Stage.CAPTURE).code == ""
    context = Context(job_dir, folder, read_task(job_dir), Stage.QUANTIZE, lambda *_: None)
    data = open_dataset(context, backend.inspect(context.model_path))
    floats = ReferenceOutputs(backend, context.model_path, data, "heldout", context.task, folder / "float.bin")
    floats.run(lambda _: None, runtime="")
    return floats


def test_a_pass_ends_when_it_is_told_to_and_what_it_saw_is_in_the_order_of_the_rows(tmp_path: Path) -> None:
    asked: list[int] = []

    def at_the_fifteenth(score: Score) -> bool:
        asked.append(len(score.agreed))
        return score.disagreements < 15

    with opened(tmp_path, {"x": np.eye(CLASSES, dtype=np.float32)[GIVEN]}, output=Output(kind="classes")) as floats:
        judge = floats.judge(floats.meaning(Output(kind="classes"), None))
        lost = np.eye(CLASSES)[[1, 2, 2]]  # wrong in two classes of three
        file = classifier(tmp_path / "int8.onnx", lost)
        score = floats.score(file, judge, lambda _: None, runtime="", goes_on=at_the_fifteenth)
        whole = floats.score(file, judge, lambda _: None, runtime="")

    assert score.disagreements == 15
    assert 15 < len(score.agreed) < GIVEN.size
    assert asked[0] >= 10
    assert score.places == sorted(score.places)
    assert score.agreed == [whole.agreed[place] for place in score.places]
    assert {GIVEN[place] for place in score.places} == set(range(CLASSES))  # rows lie class by class
    assert (score.judged and score.judged.windows) == len(score.agreed)


def test_a_whole_pass_in_another_order_shows_the_same(tmp_path: Path) -> None:
    groups = np.repeat(np.arange(12), 5)
    with opened(
        tmp_path, {"x": np.eye(CLASSES, dtype=np.float32)[GIVEN], "groups": groups}, output=Output(kind="classes")
    ) as floats:
        judge = floats.judge(floats.meaning(Output(kind="classes"), None))
        file = classifier(tmp_path / "int8.onnx", np.array([[100.0, 0, 0], [0, 1.0, 0.9], [0.1, 0, 1.0]]))
        other = floats.score(file, judge, lambda _: None, runtime="", goes_on=lambda _: True)
        score = floats.score(file, judge, lambda _: None, runtime="")

    assert other.places == score.places == list(range(GIVEN.size))
    assert other.nearness == score.nearness
    assert other.groups == score.groups == groups.tolist()
    assert other.metrics.sqnr_db is not None
    assert score.metrics.sqnr_db is not None
    assert abs(other.metrics.sqnr_db - score.metrics.sqnr_db) < 1e-9


@pytest.mark.parametrize("groups", [None, np.arange(60) // 10], ids=["one stretch", "recordings"])
@pytest.mark.parametrize("reset", ["recording", "never"])
def test_state_is_carried_as_float_carried_it_whatever_the_order(
    tmp_path: Path, groups: NDArray[np.intp] | None, reset: Any
) -> None:
    """The model against itself agrees to the last bit, which it does not if its state is another."""
    built = onnx_models.stateful_net()
    name, state = (spec.name for spec in built.graph.input)
    shape = [one.dim_value for one in built.graph.input[0].type.tensor_type.shape.dim]
    rows = np.random.default_rng(0).normal(0, 1, (60, *shape[1:])).astype(np.float32)
    arrays = {name: rows} if groups is None else {name: rows, "groups": groups}
    path = onnx_models.save(built, tmp_path / "m.onnx")
    states = (State(input=state, output=built.graph.output[1].name, reset=reset),)
    with opened(tmp_path, arrays, path, state=states, output=Output(kind="regression")) as floats:
        judge = floats.judge(floats.meaning(Output(kind="regression"), None))
        score = floats.score(path, judge, lambda _: None, runtime="", goes_on=lambda _: True)

    assert score.metrics.whole.max_abs_error == 0.0
