"""How long a stage says that it still takes."""

from pathlib import Path
from typing import Any

import pytest

from edge_agent.jobs.task import Stage, Task
from edge_agent.worker import context, pace

Told = list[tuple[float, float | None]]


def paced(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Told:
    """What is told of eleven steps, the first of which warms up: how far the stage is, and what is left."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    told: Told = []
    task = Task(job="j", name="m", version=1, format="onnx", model="m.onnx")
    stage = context.Context(
        folder, folder, task, Stage.VALIDATE, lambda fraction, _detail, eta: told.append((fraction, eta))
    )

    step = pace.Pace(stage, "window", 11, **options)
    for done, took in ((1, 5.0), (2, 0.5), (3, 0.5), (11, 4.0)):
        now[0] += took
        step(done)
    return told


def test_the_first_step_which_warms_up_says_nothing_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = paced(tmp_path, monkeypatch, begin=0.0, end=1.0)

    assert [left for _, left in told] == [None, 4.5, 4.0, 0.0]


def test_what_is_left_is_of_the_stage_and_not_of_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = paced(tmp_path, monkeypatch, begin=0.0, end=0.5)

    assert told[-1] == (0.5, 5.5)
    assert [left for _, left in told] == [None, 10.0, 9.5, 5.5]


def test_where_nobody_knows_how_much_follows_no_time_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [left for _, left in paced(tmp_path, monkeypatch, begin=0.0, end=0.5, timed=False)] == [None] * 4
