"""What a recipe prefers: one number for each candidate, and the order that follows. Pure.

The number is the weighted sum of the logarithms of what int8 takes of float's time, size and memory; lower is better.
Logarithms, so that half of the time and twice the size cancel each other where both weigh the same. Time and memory are
measured, so numbers that differ by no more than such a measurement may be off are a tie.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as dataclass_replace
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.gain import Gain, gains
from edge_agent.wire.manifest import Preference
from edge_agent.worker.measure.memory import kept_ratio

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

    @property
    def gain(self) -> Gain:
        """The same as what is gained over float."""
        return gains(time_ratio=self.time, size_ratio=self.size, memory_ratio=self.memory)


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
    if model.disk_bytes and reference.size_bytes:
        size = model.disk_bytes / reference.size_bytes
    if model.steady_rss_bytes is not None and reference.steady_rss_bytes is not None:
        memory = kept_ratio(model.steady_rss_bytes, reference.steady_rss_bytes)
    return Costs(model.ratio_p50, size, memory)


def file_costs(model: MeasuredModel, reference: MeasuredModel) -> Costs:
    """The costs of a model beside one that was never given an optimised form: sizes are of model files alone."""
    found = costs(replace(model, form_bytes=None), reference)
    return found if model.memory_ratio is None else dataclass_replace(found, memory=model.memory_ratio)


def tie(prefer: Preference, margin: float) -> float:
    """How far numbers may be apart and still be one, where times and memory within ``margin`` are one."""
    weights = WEIGHTS[prefer]
    return max(weights.time, weights.memory) * math.log1p(margin)


def tied(items: Iterable[T], number: Callable[[T], float], apart: float) -> Iterator[list[T]]:
    """Groups of what is one, those of the lowest ``number`` first.

    One is what is no more than ``apart`` from the lowest of what is left. So an order does not hang on which of two
    that are alike was measured a little lower.
    """
    left = sorted(items, key=number)
    while left:
        most = number(left[0]) + apart
        one = [item for item in left if number(item) <= most]
        left = left[len(one) :]
        yield one
