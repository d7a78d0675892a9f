"""A contest: how far a race goes until it is decided which candidate is best."""

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from support.finals import FLOAT, LIMIT, Finals

from edge_agent.jobs.task import Task
from edge_agent.wire.manifest import Gates, Recipe
from edge_agent.worker.measure.asking import Probes
from edge_agent.worker.measure.question import Answer, Request
from edge_agent.worker.measure.race import EARLIEST, FEWEST, MOST
from edge_agent.worker.search import contest
from edge_agent.worker.search.contest import Contest


def held(
    finals: Finals, ratios: Mapping[str, Sequence[float]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str | None, int]:
    """The winner where candidates take such parts of float's time in one process after another, and the processes."""
    finals.feeds = folder
    numbers = count()

    def answer(request: Request) -> Answer:
        number = next(numbers)
        times = {name: of[number % len(of)] for name, of in ratios.items()} | {"float": 1.0}
        return Answer(times_ms=[[times[served.path]] for served in request.models])

    monkeypatch.setattr(Probes, "ask", lambda _, request: answer(request))
    monkeypatch.setattr(contest, "measure_memory", finals.measure_memory)
    task = Task(
        job="j", name="m", version=1, model="model.onnx", format="onnx",
        recipe=Recipe(prefer=finals.prefer), gates=Gates(min_gain=finals.min_gain),
    )  # fmt: skip
    order = Contest(cast("Any", finals), task, FLOAT).run(finals.tried, left_s=lambda: 100.0, on_process=lambda _: None)
    return order[0].record.operators, next(numbers)


@pytest.fixture
def finals() -> Finals:
    found = Finals(prefer="speed")
    found.add("a", 0.5)
    found.add("b", 0.5, 250)
    return found


def test_one_that_is_faster_in_all_of_the_first_processes_is_raced_no_further(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = {"a": (0.50, 0.60, 0.47), "b": (0.53, 0.64, 0.50)}  # one process was slowed

    assert held(finals, spread, tmp_path, monkeypatch) == ("a", EARLIEST)


def test_two_of_one_speed_are_told_apart_by_what_needs_no_race(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = {"a": (0.500, 0.503, 0.501), "b": (0.502, 0.500, 0.503)}
    finals.add("c", 0.52, 200)

    winner, processes = held(finals, spread | {"c": (0.56, 0.54)}, tmp_path, monkeypatch)

    assert (winner, processes) == ("b", EARLIEST), "the smaller file"


def test_what_may_be_a_tie_or_not_is_raced_on(finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doubtful = {"a": (0.50,), "b": (0.49, 0.51, 0.53)}

    assert held(finals, doubtful, tmp_path, monkeypatch)[1] == MOST


def test_a_race_ends_too_once_every_ratio_is_known_well(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_margin = {"a": (0.5,), "b": (0.509, 0.511)}

    assert held(finals, at_the_margin, tmp_path, monkeypatch)[1] == FEWEST


def test_whether_one_is_within_the_limit_is_part_of_what_is_best(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.tried.clear()
    finals.add("a", LIMIT, 200)
    finals.add("b", LIMIT, 300)
    doubtful = {"a": (LIMIT - 0.1, LIMIT + 0.1), "b": (1.0, 1.001)}

    assert held(finals, doubtful, tmp_path, monkeypatch)[1] > FEWEST
