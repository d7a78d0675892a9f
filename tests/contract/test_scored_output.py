"""What is taken out of a model's outputs to be judged, and kinds of several outputs through a real scoring."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.jobs import make_job, run_stages

from edge_agent.backends import ModelInfo, TensorSpec
from edge_agent.backends import onnx as backend
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import ContractError, RecipeError
from edge_agent.jobs.data_summary import ClassLoss
from edge_agent.jobs.task import Stage, Task, read_task
from edge_agent.wire.manifest import Output, State
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.search.score import Score
from edge_agent.worker.search.scoring import ReferenceOutputs

RANDOM = np.random.default_rng(0)


def info(*outputs: str, inputs: tuple[str, ...] = ("x",)) -> ModelInfo:
    def specs(names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, "float32", (1, None)) for name in names)

    return ModelInfo("onnx", specs(inputs), specs(outputs), {}, "opset 17", 1)


def task(**fields: Any) -> Task:
    return Task(job="t", name="m", version=1, format="onnx", model="model.onnx", **fields)


def test_the_first_output_is_judged_unless_another_is_named() -> None:
    outputs = [np.array([1.0]), np.array([2.0])]

    assert ScoredOutput(info("a", "b"), task())({}, outputs) is outputs[0]
    assert ScoredOutput(info("a", "b"), task(output=Output(name="b")))({}, outputs) is outputs[1]


@pytest.mark.parametrize("output", [Output(name="c"), Output(kind="detection", boxes="a", scores="c")])
def test_an_output_that_the_model_lacks_is_named(output: Output) -> None:
    with pytest.raises(RecipeError, match=r"'c'.*has the outputs a, b"):
        ScoredOutput(info("a", "b"), task(output=output))


@pytest.mark.parametrize("classes", ["", "labels"])
def test_separate_outputs_of_a_detector_become_one_table(classes: str) -> None:
    output = Output(kind="detection", boxes="boxes", scores="scores", classes=classes)
    outputs = [np.array([[3, 4]]), np.array([[0.9, 0.2]]), np.arange(8.0).reshape(1, 2, 4)]

    table = ScoredOutput(info("labels", "scores", "boxes"), task(output=output))({}, outputs)

    numbers = (3, 4) if classes else (0, 0)
    assert table.tolist() == [[0, 1, 2, 3, 0.9, numbers[0]], [4, 5, 6, 7, 0.2, numbers[1]]]


def test_a_detectors_outputs_must_fit_together() -> None:
    output = Output(kind="detection", boxes="boxes", scores="scores")

    with pytest.raises(ContractError, match="not \\[N, 4\\]") as error:
        ScoredOutput(info("boxes", "scores"), task(output=output))({}, [np.zeros((1, 3, 4)), np.zeros((1, 2))])
    assert error.value.code == "shape_mismatch"


def test_the_anomaly_score_is_the_output_or_how_badly_it_gives_an_input_back() -> None:
    judged = ScoredOutput(
        info("y", inputs=("h", "x")), task(output=Output(kind="anomaly"), state=[State(input="h", output="y")])
    )
    feeds = {"h": np.zeros((1, 3)), "x": np.array([[1.0, 2.0, 3.0]])}

    assert judged(feeds, [np.array([[7.0]])]).tolist() == [[7.0]]
    assert judged(feeds, [np.array([[1.0, 2.0, 6.0]])]).tolist() == [3.0]
    with pytest.raises(ContractError, match="neither one anomaly score nor shaped like an input"):
        judged(feeds, [np.zeros((1, 4))])


def test_the_labels_that_lost_most_come_first() -> None:
    score = Score()
    for label, float_right, int8_right in [(1, True, False), (2, True, True), (1, True, False), (3, True, False)]:
        score.count_label(np.array(label), float_right=float_right, int8_right=int8_right)
    for number in range(30):
        score.count_label(number + 10, float_right=True, int8_right=False)

    losses = score.losses()

    assert losses[0] == ClassLoss(1, 2, 2, 0)
    assert len(losses) == 20
    assert all(loss.label != 2 for loss in losses)


def model(path: Path, outputs: dict[str, NDArray[Any]], shapes: dict[str, list[int]]) -> Path:
    """One matrix product an output."""
    nodes, tensors = [], []
    for name, weights in outputs.items():
        tensors += [
            numpy_helper.from_array(weights.astype(np.float32), f"w_{name}"),
            numpy_helper.from_array(np.array(shapes[name]), f"s_{name}"),
        ]
        nodes += [
            helper.make_node("MatMul", ["x", f"w_{name}"], [f"flat_{name}"]),
            helper.make_node("Reshape", [f"flat_{name}", f"s_{name}"], [name]),
        ]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16])]
    graph = helper.make_graph(nodes, "g", inputs, made, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def rows(count: int) -> NDArray[np.float32]:
    """The last element is always 1: its weights are a bias."""
    values = RANDOM.normal(size=(count, 16)).astype(np.float32)
    values[:, -1] = 1.0
    return values


def scored(
    folder: Path, outputs: dict[str, Any], shapes: dict[str, list[int]], output: Output, *, noise: float, labels: Any
) -> Score:
    """A float model against a copy whose weights are off, on 60 held-out rows."""
    heldout = {"x": rows(60)}
    if labels is not None:
        heldout["labels"] = labels(heldout["x"])
    job_dir = make_job(folder, model(folder / "m.onnx", outputs, shapes), {"x": rows(40)}, heldout, output=output)
    assert run_stages(job_dir, Stage.CAPTURE).code == ""
    off = {name: weights + RANDOM.normal(0, noise, weights.shape) for name, weights in outputs.items()}
    target = model(folder / "near.onnx", off, shapes)
    context = Context(job_dir, folder, read_task(job_dir), Stage.VALIDATE, lambda *_: None)
    data = open_dataset(context, backend.inspect(context.model_path))
    with ReferenceOutputs(backend, context.model_path, data, "heldout", context.task, folder / "float.bin") as floats:
        floats.run(lambda _: None, runtime="")
        judge = floats.judge(floats.meaning(context.task.output, None))
        judge.check_coverage()
        return floats.score(target, judge, lambda _: None, runtime="")


def random(count: int, scale: float = 1.0) -> NDArray[np.float64]:
    return RANDOM.normal(0, scale, (16, count))


def biased(weights: NDArray[np.float64], bias: list[float]) -> NDArray[np.float64]:
    weights[-1] = bias
    return weights


SYMBOLS = random(20)
CASES: dict[str, tuple[dict[str, Any], dict[str, list[int]], Output, Any]] = {
    "reconstruction": (
        {"y": np.eye(16) * 0.9},
        {"y": [1, 16]},
        Output(kind="anomaly"),
        lambda x: np.mean(np.square(0.1 * x), axis=1) > 0.012,
    ),
    "score": ({"y": random(1)}, {"y": [1, 1]}, Output(kind="anomaly", threshold=1.0), None),
    "separate detections": (
        {
            "boxes": biased(random(8, 0.1), [0, 0, 9, 9, 20, 20, 25, 29]),
            "scores": biased(random(2, 0.2), [0.6, 0.8]),
            "numbers": biased(random(2, 0.0), [1, 2]),
        },
        {"boxes": [1, 2, 4], "scores": [1, 2], "numbers": [1, 2]},
        Output(kind="detection", boxes="boxes", scores="scores"),
        None,
    ),
    "one table": (
        {"y": biased(random(6, 0.2) * [1, 1, 1, 1, 1, 0], [0, 0, 9, 9, 0.6, 1])},
        {"y": [1, 1, 6]},
        Output(kind="detection"),
        None,
    ),
    "sequence": (
        {"y": SYMBOLS},
        {"y": [5, 1, 4]},
        Output(kind="sequence", alphabet="abc"),
        lambda x: np.array([read(one) for one in (x @ SYMBOLS).reshape(-1, 5, 4)]),
    ),
    "mask": ({"y": random(3 * 64)}, {"y": [1, 3, 8, 8]}, Output(kind="mask", tolerance=0.9), None),
}


def read(steps: NDArray[Any]) -> str:
    """Greedy decoding, plainly."""
    text, last = "", 0
    for symbol in steps.argmax(axis=1):
        if symbol not in (0, last):
            text += " abc"[symbol]
        last = symbol
    return text


@pytest.mark.parametrize("name", CASES)
def test_a_copy_that_is_hardly_off_agrees_and_one_that_is_does_not(tmp_path: Path, name: str) -> None:
    outputs, shapes, output, labels = CASES[name]
    (tmp_path / "far").mkdir()

    near = scored(tmp_path, outputs, shapes, output, noise=1e-4, labels=labels)
    far = scored(tmp_path / "far", outputs, shapes, output, noise=1.0, labels=labels)

    assert near.disagreements <= 3
    assert far.disagreements >= 10
    assert near.measured().windows == len(near.nearness) == 60
    if labels is None:
        assert near.accuracy is None
    else:
        assert near.accuracy is not None
        assert near.accuracy[1] >= near.accuracy[0] - 0.05
        assert far.accuracy is not None
        assert far.accuracy[1] < far.accuracy[0] - 0.1
