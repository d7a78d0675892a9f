"""Screenings and comparisons of models that do not fit into memory together: groups of them, each with float."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_agent.worker.measure.asking import Probes, ask
from edge_agent.worker.measure.comparison import compare, expected_s, screen
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.latency import Decision
from edge_agent.worker.measure.question import LONG_CALL_S, Answer, Request, Served

pytestmark = pytest.mark.children(covered=False)

LENGTH, CHANNELS = 1 << 16, 64
ACTIVATION_BYTES = 4 * LENGTH * CHANNELS
"""16 MiB."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of few weights over a long row, so that a session takes what its activations take."""
    folder = tmp_path_factory.mktemp("wide")
    weights = np.full((CHANNELS, 1, 1), 0.5, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"]),
            helper.make_node("Sigmoid", ["a"], ["b"]),
            helper.make_node("ReduceMean", ["b"], ["y"], axes=[2]),
        ],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, LENGTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, CHANNELS, 1])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "wide.onnx")
    write_feeds(folder / "feeds.npz", {"x": np.ones((1, 1, LENGTH), np.float32)})
    return folder


def test_a_process_takes_no_more_models_than_fit_and_the_fewest_in_any_case(folder: Path) -> None:
    models = [Served(str(folder / "wide.onnx"), "onnxruntime")] * 10
    request = Request(feeds=str(folder / "feeds.npz"), models=models, rounds=1, min_rounds=1, seconds=0.0)

    every = ask(request)
    some = ask(replace(request, most_bytes=every.peak_rss_bytes // 2))
    fewest = ask(replace(request, most_bytes=1, fewest=3))

    assert len(every.times_ms) == 10
    assert 2 <= len(some.times_ms) < 8
    assert some.peak_rss_bytes <= every.peak_rss_bytes * 0.55
    assert len(fewest.times_ms) == 3


def test_float_that_does_not_fit_twice_is_loaded_once_and_timed_twice(folder: Path) -> None:
    models = [Served(str(folder / "wide.onnx"), "onnxruntime")] * 3
    request = Request(feeds=str(folder / "feeds.npz"), models=models, rounds=4, min_rounds=4, seconds=0.0, fewest=3)

    apart, shared = ask(request), ask(replace(request, most_bytes=1))

    assert [len(times) for times in shared.times_ms] == [4, 4, 4]
    assert apart.peak_rss_bytes - shared.peak_rss_bytes > 1.5 * ACTIVATION_BYTES


def test_a_screening_in_groups_finds_every_model(folder: Path) -> None:
    models = [Served(str(folder / "wide.onnx"), "onnxruntime")] * 5

    screened = screen(models, folder / "feeds.npz", most_bytes=1)

    assert [len(one.p50s_ms) for one in screened] == [1] * 5
    assert all(0.1 < one.ratio(screened[0]) < 10 for one in screened)


def scripted(monkeypatch: pytest.MonkeyPatch, milliseconds: dict[str, float], fits: int) -> list[list[str]]:
    """Processes that hold ``fits`` models, each slower than the one before; the models that they were asked for."""
    asked: list[list[str]] = []

    def answer(request: Request) -> Answer:
        asked.append([one.path for one in request.models])
        slower = 1.5 ** (len(asked) - 1)
        called = max(fits, request.fewest) if request.most_bytes else len(request.models)
        return Answer(times_ms=[[milliseconds[one.path] * slower] for one in request.models[:called]])

    monkeypatch.setattr(Probes, "ask", lambda _, request: answer(request))
    return asked


def served(*names: str) -> list[Served]:
    return [Served(name, "onnxruntime") for name in names]


def test_after_its_time_a_screening_begins_no_further_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = scripted(monkeypatch, {"f": 4.0, "a": 2.0, "b": 3.0, "c": 1.0}, fits=2)

    screened = screen(served("f", "a", "b", "c"), tmp_path, most_bytes=1, seconds=0.0)

    assert asked == [["f", "a", "b", "c"]]
    assert [one.ratio(screened[0]) for one in screened] == [1.0, 0.5]


def test_each_group_is_held_against_its_own_float(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = scripted(monkeypatch, {"f": 4.0, "a": 2.0, "b": 3.0, "c": 1.0}, fits=2)

    screened = screen(served("f", "a", "b", "c"), tmp_path, most_bytes=1)

    assert asked == [["f", "a", "b", "c"], ["f", "b", "c"], ["f", "c"]]
    assert [one.ratio(screened[0]) for one in screened] == pytest.approx([1.0, 0.5, 0.75, 0.25])


def test_every_float_is_in_every_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = scripted(monkeypatch, {"f": 4.0, "g": 5.0, "a": 2.0, "b": 3.0}, fits=1)

    screened = screen(served("f", "g", "a", "b"), tmp_path, references=2, most_bytes=1)

    assert asked == [["f", "g", "a", "b"], ["f", "g", "b"]]
    assert [one.ratio(screened[1]) for one in screened] == pytest.approx([0.8, 1.0, 0.4, 0.6])


def test_a_comparison_of_two_that_fit_is_one_in_pairs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = scripted(monkeypatch, {"f": 4.0, "a": 2.0}, fits=2)

    told = compare(*served("f", "a"), tmp_path, limit=1.0, most_bytes=1, root=tmp_path)

    assert (told.decision, told.processes) == (Decision.ACCEPTED, 5)
    assert told.ratio_p50 == pytest.approx(0.5)
    assert told.noise == pytest.approx(0.0)
    assert asked[:2] == [["f", "f", "a"], ["f", "a"]]


def test_slow_calls_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = 0.9 * LONG_CALL_S, 1.1 * LONG_CALL_S

    assert expected_s(1000 * long) < 0.5 * expected_s(1000 * short)
    assert expected_s(0.01) == pytest.approx(8 * 200 * 3 * 0.01 / 1000)
    assert expected_s(1.0) == pytest.approx(8 * 0.6)
