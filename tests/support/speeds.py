"""Speeds that a test sets instead of measuring them: what a search finds must not hang on who is fastest just now."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto

from edge_agent.worker.measure.comparison import Screened
from edge_agent.worker.measure.latency import Decision, Latency, Percentiles
from edge_agent.worker.measure.memory import Memory
from edge_agent.worker.measure.question import Served
from edge_agent.worker.measure.race import Raced
from edge_agent.worker.search import contest, screening, speed_proof

RACE_ERROR = 0.005
"""The fraction by which a race's ratios may be off."""


def taking(kept_bytes: int) -> Memory:
    """The memory of a model that keeps so much."""
    return Memory(kept_bytes + (55 << 20), kept_bytes, kept_bytes, kept_bytes, load_ms=20.0, first_ms=2.0)


def latency(decision: Decision, ratio: float = 0.5) -> Latency:
    """The outcome of a full latency statistic."""
    times = Percentiles(1.0, 2.0, 3.0)
    return Latency(decision, ratio, ratio * 1.1, ratio * 0.9, ratio, 0.0, 8, times, times, Served("m", "onnxruntime"))


def prove(monkeypatch: pytest.MonkeyPatch, compare: Callable[..., Latency]) -> None:
    """What is raced is as fast as it was screened, all models take the same memory, and ``compare`` is the proof."""
    monkeypatch.setattr(contest, "race", _raced_as_screened)
    monkeypatch.setattr(contest, "measure_memory", lambda models, *_, **__: [taking(10 << 20)] * len(models))
    monkeypatch.setattr(speed_proof, "compare", compare)


def _raced_as_screened(reference: Served, targets: Sequence[Served], feeds: Path, **_: Any) -> list[Raced]:
    own, *others = screening.screen([reference, *targets], feeds)
    return [Raced(one.times, one.ratio(own), RACE_ERROR) for one in others]


def screened_at(ratio: float) -> Callable[..., list[Screened]]:
    """A screening in which every candidate takes so much of float's time."""
    reference = Screened(Percentiles(1.0, 2.0, 3.0), (1.0,))
    target = Screened(Percentiles(ratio, 2.2, 3.2), (ratio,))
    return lambda models, *_, **__: [reference, *[target] * (len(models) - 1)]


def screened_by_weights(models: Sequence[Served], *_: Any, **__: Any) -> list[Screened]:
    """A screening of .onnx files in which each weight that is int8 saves a tenth of float's time."""
    ratios = [1.0 - 0.1 * _integer_weights(Path(one.path)) for one in models]
    return [Screened(Percentiles(ratio, ratio, ratio), (ratio,)) for ratio in ratios]


def _integer_weights(path: Path) -> int:
    constants = onnx.load(path).graph.initializer
    return sum(one.data_type in (TensorProto.INT8, TensorProto.UINT8) and len(one.dims) > 1 for one in constants)
