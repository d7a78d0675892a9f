"""How two models' memory compares: what one process differs from the next by is no difference."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support.onnx_models import model, save, value, weights

from edge_agent.backends import load
from edge_agent.errors import LimitError
from edge_agent.worker.measure import memory
from edge_agent.worker.measure.asking import Probes
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.memory import Memory, called_bytes, kept_ratio, measure_memory, measure_usual
from edge_agent.worker.measure.question import Answer, Footprint, Request, Served

MIB = 1 << 20


@pytest.mark.parametrize(
    ("target", "reference", "ratio"),
    [
        (10 * MIB, 20 * MIB, 0.5),
        (20 * MIB, 10 * MIB, 2.0),
        (10 * MIB, 10 * MIB + 400_000, 1.0),
        (MIB - 300_000, MIB, 1.0),  # 29 % of hardly anything
        (0, 4 * MIB, 0.125),  # no more than half a MiB
        (-40_000, 4 * MIB, 0.125),
        (4 * MIB, 0, 8.0),
        (-40_000, 400_000, 1.0),
    ],
)
def test_the_ratio_of_what_models_add(target: int, reference: int, ratio: float) -> None:
    assert kept_ratio(target, reference) == pytest.approx(ratio)


def test_each_model_has_a_process_a_repeat_and_is_held_against_that_process_before_it_was_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = {"float": iter([50, 60, 55]), "int8": iter([52, 51, 90])}
    asked: list[str] = []

    def answer(request: Request) -> Answer:
        [model] = request.models
        asked.append(model.path)
        before, taken = next(empty[model.path]) * MIB, {"float": 20, "int8": 5}[model.path] * MIB
        kept = Footprint(loaded_rss_bytes=taken // 2, steady_rss_bytes=before // 4, load_ms=before / MIB, first_ms=3.0)
        return Answer(empty_rss_bytes=before, peak_rss_bytes=before + taken, footprint=kept)

    monkeypatch.setattr(Probes, "ask", lambda _, request: answer(request))
    monkeypatch.setattr(memory, "ask", answer)
    models = [Served(name, "onnxruntime") for name in ("float", "int8")]
    counts: list[int] = []

    assert measure_memory(models, tmp_path, counts.append, repeats=3) == [
        Memory(75 * MIB, 20 * MIB, 10 * MIB, 55 * MIB // 4, 55.0, 3.0),
        Memory(57 * MIB, 5 * MIB, 5 * MIB // 2, 52 * MIB // 4, 52.0, 3.0),
    ]
    assert asked == ["float", "int8"] * 3
    assert counts == [1, 2, 3, 4, 5, 6]
    empty["float"] = iter([50])
    assert called_bytes(models[0], tmp_path) == 20 * MIB


def test_weights_that_a_form_maps_count_whole(tmp_path: Path) -> None:
    """One row reads one row of a table of 16 MiB."""
    table = weights(16_384, 256)
    nodes = [helper.make_node("Gather", ["table", "place"], ["y"], "look_up")]
    place = helper.make_tensor_value_info("place", onnx.TensorProto.INT64, [1])
    path = save(model(nodes, [place], [value("y", [1, 256])], {"table": table}), tmp_path / "m.onnx")
    form = load("onnx").optimize(path, tmp_path)
    write_feeds(tmp_path / "feeds.npz", {"place": np.array([3])})

    (taken,) = measure_memory([Served(str(form), "onnxruntime")], tmp_path / "feeds.npz", lambda _done: None, repeats=1)

    assert taken.loaded_rss_bytes >= table.nbytes
    assert taken.steady_rss_bytes >= table.nbytes
    assert taken.model_rss_bytes >= table.nbytes


def test_a_number_for_comparison_alone_ends_no_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[bool] = []

    def refuse(_probes: Probes, request: Request) -> Answer:
        asked.append(request.models[0].usual)
        raise LimitError("out_of_memory", "the models do not fit")

    monkeypatch.setattr(Probes, "ask", refuse)

    assert measure_usual(Served("float", "onnxruntime"), tmp_path, lambda _done: None) is None
    assert asked == [True]
