"""What fp16 is held against where float has an optimised form: measurements are made up."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.captures import context
from support.speeds import taking

from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import Task
from edge_agent.wire.manifest import Gates, MinGain
from edge_agent.worker.measure.memory import Memory
from edge_agent.worker.measure.question import Served
from edge_agent.worker.search import fp16
from edge_agent.worker.search.policy import FLOAT16, EvaluatedCandidate

MIB = 1 << 20
TAKEN = {"float.onnx": 40 * MIB, "optimized.onnx": 10 * MIB, "fp16.onnx": 30 * MIB}


class Evaluator:
    """Float's form takes a quarter of what its model file takes."""

    reference = MeasuredModel(method="float", size_bytes=1000, form_bytes=1000)
    feeds = Path("feeds.npz")

    def float_file_served(self) -> Served:
        return Served("float.onnx", "onnxruntime")

    def float_served(self) -> Served:
        return Served("optimized.onnx", "onnxruntime")

    def target_served(self, _item: EvaluatedCandidate) -> Served:
        return Served("fp16.onnx", "onnxruntime")


@pytest.mark.parametrize(
    ("code", "ratio", "asked"), [(None, 0.75, ["fp16.onnx", "float.onnx"]), ("x", None, ["fp16.onnx"])]
)
def test_fp16_is_held_against_the_model_file_of_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, ratio: float | None, asked: list[str]
) -> None:
    measured: list[str] = []

    def measure(models: Sequence[Served], *_: Any, **__: Any) -> list[Memory]:
        measured.extend(one.path for one in models)
        return [taking(TAKEN[one.path]) for one in models]

    monkeypatch.setattr(fp16, "measure_memory", measure)
    gates = Gates(max_memory_ratio=0.8, min_gain=MinGain(time=0, size=0.4, memory=0))
    task = Task(job="j", name="m", version=1, model="model.onnx", format="onnx", gates=gates)
    evaluator: Any = Evaluator()
    item = EvaluatedCandidate(FLOAT16, MeasuredModel(method="float16", size_bytes=500, code=code), passed=not code)

    found = fp16._weighed(context(tmp_path, task), evaluator, item)

    assert (found.memory_ratio, found.code, measured) == (ratio, code, asked)
