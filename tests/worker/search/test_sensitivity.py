"""How much memory looking into a model takes: told from its weights and from what a call of it takes."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from support.onnx_models import model, save, value, weights

from edge_agent.process.heap import give_back, resident_bytes
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.memory import called_bytes
from edge_agent.worker.measure.question import Served
from edge_agent.worker.search import sensitivity
from edge_agent.worker.search.sensitivity import fits

MIB = 1 << 20
STEP = 16 * MIB


def net(size: int) -> Any:
    """A few weights, and 64 bytes of activations for each value of the input."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c"], "first", pads=[1, 1]),
        helper.make_node("Conv", ["c", "w2"], ["y"], "second", pads=[1, 1]),
    ]
    constants = {"w1": weights(16, 1, 3), "w2": weights(1, 16, 3)}
    return model(nodes, [value("x", [1, 1, size])], [value("y", [1, 1, size])], constants)


def test_what_a_call_takes_counts_beside_the_weights() -> None:
    give_back()
    mine = -(-resident_bytes() // STEP) * STEP

    assert fits(0, MIB << 20, MIB << 20), "no limit"
    assert fits(mine + 96 * MIB, 11 * MIB)
    assert not fits(mine + 96 * MIB, 17 * MIB)
    assert fits(mine + 320 * MIB, MIB, 110 * MIB)
    assert not fits(mine + 200 * MIB, MIB, 110 * MIB)


def test_what_is_free_at_the_moment_decides_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the search of one command does not look for float layers in one run and not in the next."""
    for free, mine, fitting in ((224, 98, True), (239, 111, True), (223, 98, False), (224, 113, False)):
        monkeypatch.setattr(sensitivity, "resident_bytes", partial(int, mine * MIB + 1))
        assert fits(free * MIB, 15 * MIB) is fitting, (free, mine)


def test_free_memory_of_this_process_does_not_count() -> None:
    """Pieces of a freed block lie between those that live on, as sessions leave them: the heap keeps them."""
    pieces = [bytes(100_000) for _ in range(2000)]
    keep = pieces[::50]
    give_back()
    before = resident_bytes()
    del pieces

    fits(1 << 40, MIB)

    assert keep
    assert resident_bytes() < before - 100 * MIB


@pytest.mark.children(covered=False)
def test_large_activations_are_measured(tmp_path: Path) -> None:
    taken = []
    for size in (1000, 500_000):
        path = save(net(size), tmp_path / f"{size}.onnx")
        write_feeds(tmp_path / "feeds.npz", {"x": np.zeros((1, 1, size), np.float32)})
        taken.append(called_bytes(Served(str(path), "onnxruntime"), tmp_path / "feeds.npz"))

    assert taken[1] - taken[0] > 30 * MIB, "32 MB for what is between both layers alone"
