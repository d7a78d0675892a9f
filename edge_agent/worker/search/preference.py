"""What a recipe prefers: one number for each candidate, and the order that follows. Pure.

The number is the weighted sum of the logarithms of what int8 takes of float's time, size and memory; lower is better.
Logarithms, so that half of the time and twice the size cancel each other where both weigh the same. Time and memory are
measured, so numbers that differ by no more than such a measurement may be off are a tie.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from edge_agent.jobs.result import MeasuredModel
from edge_agent.wire.manifest import MinGain, Preference

_LEAST_BYTES = 1 << 20
"""What a process takes is measured to about a tenth of it: smaller models take no less."""

T = TypeVar("T")


class Weights(NamedTuple):
    """How much each axis counts."""

    time: float
    size: float
    memory: float


WEIGHTS: Mapping[Preference, Weights] = MappingProxyType(
    {
        "speed": Weights(1.0, 0.0, 0.0),
        "size": Weights(0.0, 1.0, 0.0),
        "memory": Weights(0.0, 0.0, 1.0),
        "balanced": Weights(0.5, 0.25, 0.25),
    }
)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a candidate takes of float's: ratios; None: not measured."""

    time: float | None
    size: float | None
    memory: float | None = None


def score(costs: Costs, prefer: Preference) -> float:
    """The number of a candidate: 0 is float's, lower is better. An axis that was not measured does not count."""
    told = zip(WEIGHTS[prefer], (costs.time, costs.size, costs.memory), strict=True)
    return math.fsum(weight * math.log(ratio) for weight, ratio in told if ratio is not None and ratio > 0)


def preferred(model: MeasuredModel, reference: MeasuredModel, prefer: Preference) -> MeasuredModel:
    """``model`` with its number."""
    return replace(model, preference=score(costs(model, reference), prefer))


def costs(model: MeasuredModel, reference: MeasuredModel) -> Costs:
    """What a candidate takes of float's, as far as both were measured."""
    size = memory = None
    if model.size_bytes and reference.size_bytes:
        size = model.size_bytes / reference.size_bytes
    if model.model_rss_bytes is not None and reference.model_rss_bytes is not None:
        memory = max(model.model_rss_bytes, _LEAST_BYTES) / max(reference.model_rss_bytes, _LEAST_BYTES)
    return Costs(model.ratio_p50, size, memory)


def gains(of: Costs, least: MinGain) -> bool:
    """Whether so much is gained on one axis at least, as far as is known; without a gate on any axis, always."""
    asked = zip((least.time, least.size, least.memory), (of.time, of.size, of.memory), strict=True)
    counted = [(share, ratio) for share, ratio in asked if share]
    return not counted or any(ratio is not None and ratio <= 1.0 - share for share, ratio in counted)


def tie(prefer: Preference, margin: float) -> float:
    """How far numbers may be apart and still be one, where times and memory within ``margin`` are one."""
    weights = WEIGHTS[prefer]
    return max(weights.time, weights.memory) * math.log1p(margin)


def best_first(
    items: Sequence[T], number: Callable[[T], float], apart: float, otherwise: Callable[[T], tuple[int, int, str]]
) -> list[T]:
    """``items`` by their ``number``, the lowest first.

    Those that are no more than ``apart`` from the lowest of what is left are one, and go by ``otherwise``, smallest
    first. So an order does not hang on which of two that are alike was measured a little lower.
    """
    left, order = sorted(items, key=number), []
    while left:
        best = number(left[0]) + apart
        equals = [item for item in left if number(item) <= best]
        left = left[len(equals) :]
        order += sorted(equals, key=otherwise)
    return order
