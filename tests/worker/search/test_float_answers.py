"""How float is asked: each row once, and what it answered for the search set is not asked for again."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from support.jobs import NO_PROOF, make_job, run_stages
from support.onnx_models import conv_net, model, save, value, weights

from edge_agent.backends import Array, Feeds, ModelInfo
from edge_agent.backends import onnx as backend
from edge_agent.backends.onnx.session import OnnxSession
from edge_agent.jobs.task import Stage, read_task
from edge_agent.quant.agreement import first_of
from edge_agent.wire.manifest import Output
from edge_agent.worker.artefacts import read_answers
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.search.float_answers import ask_float
from edge_agent.worker.search.scoring import ReferenceOutputs

ROWS = 120
CLASSES = Output(kind="classes")


class Counting:
    """A session that counts what it runs."""

    def __init__(self, session: Any) -> None:
        self.calls = 0
        self._session = session

    def run(self, feeds: Feeds) -> list[Array]:
        self.calls += 1
        answers: list[Array] = self._session.run(feeds)
        return answers


def images(count: int, seed: int = 0) -> dict[str, Array]:
    return {"x": np.random.default_rng(seed).normal(size=(count, 3, 16, 16)).astype(np.float32)}


def job_of(folder: Path, built: Any, arrays: dict[str, Array], **task: Any) -> Path:
    folder.mkdir(exist_ok=True)
    return make_job(folder, save(built, folder / "m.onnx"), arrays, {"x": arrays["x"][:10]}, gates=NO_PROOF, **task)


def context_of(job_dir: Path, stage: Stage) -> tuple[Context, ModelInfo]:
    context = Context(job_dir, job_dir, read_task(job_dir), stage, lambda *_: None)
    return context, backend.inspect(context.model_path)


@pytest.mark.parametrize("leads", ["labels", "groups", ""])
def test_no_row_is_run_twice(tmp_path: Path, leads: str) -> None:
    arrays = images(ROWS) | ({leads: np.arange(ROWS) % 10} if leads else {})
    job_dir = job_of(tmp_path, conv_net(), arrays, output=CLASSES)
    assert run_stages(job_dir, Stage.CAPTURE).code == ""
    context, info = context_of(job_dir, Stage.CALIBRATE)
    data = open_dataset(context, info)
    session, told = Counting(backend.open(context.model_path)), list[int]()

    answers = ask_float(session, info, data, context.task, told.append)

    assert session.calls == len(answers.classes) == ROWS
    assert told[-1] == ROWS
    float_model = backend.open(context.model_path)
    given = [
        int(np.argmax(float_model.run(row.feeds)[0])) for split in ("calibration", "search") for row in data.rows(split)
    ]
    assert answers.classes == [(number,) for number in given]
    assert answers.one_each
    assert all(one.flags.owndata for one in answers.outputs), "a runtime's arrays hold all that its calls have taken"


@pytest.mark.parametrize("leads", ["labels", "groups", ""])
def test_the_search_is_given_what_float_said_of_its_rows(
    tmp_path: Path, leads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = images(ROWS) | ({leads: np.arange(ROWS) % 10} if leads else {})
    job_dir = job_of(tmp_path, conv_net(), arrays, output=CLASSES)
    assert run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE).code == ""
    context, info = context_of(job_dir, Stage.QUANTIZE)
    known = read_answers(job_dir / "calibrate")
    assert known is not None
    data = open_dataset(context, info)

    def references(folder: Path, answers: Array | None) -> Iterator[Array]:
        with ReferenceOutputs(backend, context.model_path, data, "search", context.task, folder / "f.bin") as floats:
            floats.run(lambda _: None, runtime="onnxruntime", known=answers)
            yield from floats.answers()

    run = list(references(tmp_path, None))
    monkeypatch.setattr(OnnxSession, "run", lambda *_: pytest.fail("float was run once more"))

    kept = list(references(tmp_path, known))

    assert len(kept) == len(run) == data.count("search")
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(kept, run, strict=True))


def two_heads() -> Any:
    nodes = [helper.make_node("MatMul", ["x", name], [f"y{name}"], f"product{name}") for name in "ab"]
    ends = [value("x", [1, 8])], [value("ya", [1, 4]), value("yb", [1, 4])]
    return model(nodes, *ends, {"a": weights(8, 4), "b": weights(8, 4, seed=1)})


def wide_output() -> Any:
    """A megabyte and a half for each row."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "product")]
    return model(nodes, [value("x", [1, 4, 8])], [value("y", [1, 4, 100_000])], {"w": weights(8, 100_000)})


@pytest.mark.parametrize(("built", "shape"), [(two_heads, (8,)), (wide_output, (4, 8))])
def test_large_outputs_and_several_are_run_again(tmp_path: Path, built: Any, shape: tuple[int, ...]) -> None:
    rows = {"x": np.random.default_rng(0).normal(size=(40, *shape)).astype(np.float32)}
    job_dir = job_of(tmp_path, built(), rows)
    assert run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE).code == ""

    assert read_answers(job_dir / "calibrate") is None


def test_what_is_in_memory_of_large_outputs_is_bounded(tmp_path: Path) -> None:
    rows = {"x": np.random.default_rng(0).normal(size=(150, 4, 8)).astype(np.float32)}
    job_dir = job_of(tmp_path, wide_output(), rows)
    assert run_stages(job_dir, Stage.CAPTURE).code == ""
    context, info = context_of(job_dir, Stage.CALIBRATE)
    data, session = open_dataset(context, info), backend.open(context.model_path)

    tracemalloc.start()
    ask_float(session, info, data, context.task, lambda _: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 64 << 20, "fifty of 75 search rows, which once were all in memory, have 75 MiB"


def test_the_first_outputs_say_what_they_mean_and_of_large_ones_a_few_do() -> None:
    small, large = np.zeros(10, np.float32), np.zeros(4 << 20, np.float32)

    assert len(first_of(small for _ in range(100))) == 64
    assert len(first_of(small for _ in range(5))) == 5
    assert len(first_of(large for _ in range(100))) == 4
