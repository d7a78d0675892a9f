"""How long a stage says that it still takes."""

from pathlib import Path

import pytest

from edge_agent.jobs.task import Stage, Task
from edge_agent.worker import context, pace


def test_the_first_step_which_warms_up_says_nothing_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    told: list[float | None] = []
    task = Task(job="j", name="m", version=1, format="onnx", model="m.onnx")
    stage = context.Context(tmp_path, tmp_path, task, Stage.VALIDATE, lambda _fraction, _detail, eta: told.append(eta))

    step = pace.Pace(stage, "window", 11, begin=0.0, end=1.0)
    for done, took in ((1, 5.0), (2, 0.5), (3, 0.5), (11, 4.0)):
        now[0] += took
        step(done)

    assert told == [None, 4.5, 4.0, 0.0]
