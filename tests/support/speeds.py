"""Speeds that a test sets instead of measuring them: what a search finds must not hang on who is fastest just now."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from edge_agent.worker.measure.comparison import Screened
from edge_agent.worker.measure.latency import Decision, Latency, Percentiles
from edge_agent.worker.measure.probe import Served


def latency(decision: Decision, ratio: float = 0.5) -> Latency:
    """The outcome of a full latency statistic."""
    times = Percentiles(1.0, 2.0, 3.0)
    return Latency(decision, ratio, ratio * 1.1, ratio * 0.9, ratio, 0.0, 8, times, times, Served("m", "onnxruntime"))


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
