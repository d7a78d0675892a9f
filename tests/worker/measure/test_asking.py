"""Processes that are started ahead of what they are asked: how many, when, and what becomes of them."""

import os
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from bench.networks import conv_stack

from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.process.program import EXIT_OUT_OF_MEMORY, python_child
from edge_agent.worker.measure import asking
from edge_agent.worker.measure.asking import Probes, at_once
from edge_agent.worker.measure.comparison import compare
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.question import Request, Served

pytestmark = pytest.mark.children(covered=False)

CORES = len(os.sched_getaffinity(0))


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that has room for three processes at once."""
    monkeypatch.setattr(asking, "at_once", lambda: 3)


@pytest.fixture
def request_for(tmp_path: Path) -> Request:
    onnx.save(conv_stack((2, 6, 6), [2], [1]), tmp_path / "model.onnx")
    write_feeds(tmp_path / "feeds.npz", {"x": np.ones((1, 2, 6, 6), np.float32)})
    model = Served(str(tmp_path / "model.onnx"), "onnxruntime")
    return Request(feeds=str(tmp_path / "feeds.npz"), models=[model], rounds=3, min_rounds=3)


def waiting() -> set[int]:
    """The processes of this one that have not ended."""
    return {one.pid for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE}


def test_as_many_as_are_expected_are_started_at_once_and_one_is_used_after_the_other(
    three: None, request_for: Request
) -> None:
    before = waiting()
    with Probes() as probes:
        probes.expect(4)
        probes.ask(request_for)
        two = waiting() - before
        probes.ask(request_for)
        one = waiting() - before
        last = [probes.ask(request_for) for _ in range(2)]
        none = waiting() - before

    assert (len(two), len(one), len(none)) == (2, 1, 0), "the last was started for itself"
    assert one < two
    assert [len(times) for answer in last for times in answer.times_ms] == [3, 3]


def test_who_waits_has_imported_the_runtime_and_sleeps(three: None, request_for: Request) -> None:
    before = waiting()
    with Probes() as probes:
        probes.expect(2)
        probes.ask(request_for)
        (other,) = map(psutil.Process, waiting() - before)
        mapped = {Path(region.path).name for region in other.memory_maps()}
        spent = other.cpu_times()
        probes.expect(0)
        assert other.status() == psutil.STATUS_SLEEPING
        assert other.cpu_times() == spent

    assert any("onnxruntime" in name for name in mapped)
    assert not other.is_running()


def test_each_has_its_memory_laid_out_anew(three: None, request_for: Request) -> None:
    before = waiting()
    with Probes() as probes:
        probes.expect(3)
        probes.ask(request_for)
        starts = {Path(f"/proc/{pid}/maps").read_text().split("-")[0] for pid in waiting() - before}

    assert len(starts) == 2


def test_what_is_not_expected_starts_nothing_ahead(three: None, request_for: Request) -> None:
    before = waiting()
    with Probes() as probes:
        probes.ask(request_for)
        assert waiting() == before


def test_what_was_started_in_vain_ends_with_an_error_too(three: None, request_for: Request, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    before = waiting()

    probes = Probes()
    probes.expect(3)
    with pytest.raises(ModelError, match="model_unreadable"), probes:
        probes.ask(request_for)

    assert waiting() == before


def test_a_runtime_that_is_not_here_is_told_when_it_is_asked_for(three: None, request_for: Request) -> None:
    with Probes() as probes:
        probes.expect(2)
        with pytest.raises(ModelError, match="abacus"):
            probes.ask(Request(feeds=request_for.feeds, models=[Served("m.onnx", "abacus")]))


def test_who_has_imported_another_runtime_is_not_asked(three: None, request_for: Request) -> None:
    other = Request(feeds=request_for.feeds, models=[Served("m.tflite", "ai-edge-litert")])
    before = waiting()
    with Probes() as probes:
        probes.expect(3)
        probes.ask(request_for)
        kept = waiting() - before
        with pytest.raises(ModelError):
            probes.ask(other)
        assert waiting() - before == kept, "its memory would count as that of the runtime that is asked for"
        probes.ask(request_for)
        assert len(waiting() - before) == len(kept) - 1


def test_who_has_waited_too_long_is_not_asked(
    three: None, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_STALE_S", 0.0)
    before = waiting()
    with Probes() as probes:
        probes.expect(3)
        assert probes.ask(request_for).times_ms
        assert waiting() == before


def test_where_a_measurement_takes_long_nothing_more_is_started_ahead(
    three: None, request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_SHORT_S", 0.0)
    before = waiting()
    with Probes() as probes:
        probes.expect(2)
        probes.ask(request_for)
        probes.ask(request_for)
        probes.expect(3)
        probes.ask(request_for)
        assert waiting() == before


def test_a_request_may_be_longer_than_a_pipe_holds(three: None, request_for: Request) -> None:
    many = Request(feeds=request_for.feeds, models=request_for.models * 2000, most_bytes=1, rounds=1, min_rounds=1)
    with Probes() as probes:
        probes.expect(2)
        assert len(probes.ask(many).times_ms) == many.fewest


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (f"import sys; sys.exit({EXIT_OUT_OF_MEMORY})", LimitError),
        ("import os; os.kill(os.getpid(), 11)", StageError),
    ],
)
def test_one_that_dies_before_it_is_asked(
    three: None, request_for: Request, monkeypatch: pytest.MonkeyPatch, script: str, error: type[Exception]
) -> None:
    monkeypatch.setattr(asking, "python_child", lambda *_: [python_child("x")[0], "-c", script])
    with Probes() as probes:
        probes.expect(2)
        with pytest.raises(error):
            probes.ask(request_for)


@pytest.mark.parametrize(("memory", "most"), [(0, 1), (500, 1), (1100, 3), (4000, 4)])
def test_there_are_as_many_at_once_as_processors_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, memory: int, most: int
) -> None:
    monkeypatch.setattr(asking, "worker_memory_bytes", lambda _configured: memory << 20)
    monkeypatch.setattr(asking.os, "sched_getaffinity", lambda _pid: range(16))
    assert at_once() == most

    monkeypatch.setattr(asking.os, "sched_getaffinity", lambda _pid: range(1))
    assert at_once() == 1


def test_they_are_asked_from_a_comparison_too(three: None, request_for: Request, tmp_path: Path) -> None:
    """As many as the first look needs are started in two rounds, and none is left."""
    before = waiting()
    left: list[int] = []
    model = request_for.models[0]

    def on_process(_count: int) -> None:
        left.append(len(waiting() - before))

    told = compare(model, model, Path(request_for.feeds), limit=0, root=tmp_path, on_process=on_process)

    assert told.processes == 5
    assert left == [2, 1, 0, 1, 0]
    assert waiting() == before
